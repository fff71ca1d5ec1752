"""Messages as they are kept, from messages as clients send them."""

from uuid import UUID

import pytest

from localcloud.amqp.message import DATA, FOOTER, MESSAGE_ANNOTATIONS, section
from localcloud.amqp.types import Symbol, Timestamp, Ulong, Value
from localcloud.servicebus.errors import InvalidArgumentError
from localcloud.servicebus.message import MAX_UNIX_MS, SCHEDULED_TIME, read_content


def test_a_footer_in_front_of_the_body_is_kept_behind_it() -> None:
    """Where @azure/service-bus puts it."""
    footer, first, second = section(FOOTER, {Symbol("f"): 1}), section(DATA, b"a"), section(DATA, b"b")
    for payload in (footer + first + second, first + second + footer):
        assert read_content(payload, UUID(int=0)).body == first + second + footer
    assert read_content(footer, UUID(int=0)).body == footer


def with_due(moment: Value) -> bytes:
    return section(MESSAGE_ANNOTATIONS, {SCHEDULED_TIME: moment}) + section(DATA, b"a")


@pytest.mark.parametrize("moment", [Timestamp(MAX_UNIX_MS + 1), Timestamp(2**63 - 1), Ulong(2**64 - 1), 2**62])
def test_a_message_that_is_scheduled_beyond_all_years_is_refused(moment: Value) -> None:
    with pytest.raises(InvalidArgumentError, match=rf"x-opt-scheduled-enqueue-time is \d+; expected .* {MAX_UNIX_MS}"):
        read_content(with_due(moment), UUID(int=0))


@pytest.mark.parametrize("moment", [Timestamp(-(2**63)), Timestamp(0), Timestamp(MAX_UNIX_MS)])
def test_a_message_is_scheduled_in_any_year_that_there_is(moment: Timestamp) -> None:
    assert read_content(with_due(moment), UUID(int=0)).due_ms == moment
