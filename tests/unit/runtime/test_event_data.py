"""What the SDK gives of an event, whatever its sender made its body of."""

from typing import Any

import pytest
from azure.eventhub import EventData
from azure.eventhub._pyamqp.message import Message

from songline.processors.runtime.event_data import body_of

HALF = b'{"a":'


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"data": [b"{}"]}, b"{}"),
        ({"data": [HALF, b"1}"]}, b""),
        ({"data": [b"{}", b""]}, b""),
        ({"data": [None]}, b""),
        ({"value": b"{}"}, b""),
        ({"sequence": [[b"{}"]]}, b""),
    ],
    ids=str,
)
def test_a_body_is_one_data_section(body: dict[str, Any], expected: bytes) -> None:
    """Over Kafka the value of any other event is its encoded sections: trending parks it, so the others do."""
    event = EventData._from_message(Message(**body))
    assert body_of(event) == expected
