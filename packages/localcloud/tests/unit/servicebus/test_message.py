"""Messages as they are kept, from messages as clients send them."""

from uuid import UUID

from localcloud.amqp.message import DATA, FOOTER, section
from localcloud.amqp.types import Symbol
from localcloud.servicebus.message import read_content


def test_a_footer_in_front_of_the_body_is_kept_behind_it() -> None:
    """Where @azure/service-bus puts it."""
    footer, first, second = section(FOOTER, {Symbol("f"): 1}), section(DATA, b"a"), section(DATA, b"b")
    for payload in (footer + first + second, first + second + footer):
        assert read_content(payload, UUID(int=0)).body == first + second + footer
    assert read_content(footer, UUID(int=0)).body == footer
