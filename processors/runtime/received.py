"""Events as the SDK gives them, as records."""

from collections.abc import Iterable
from typing import cast

from azure.eventhub import EventData
from azure.eventhub.amqp import AmqpMessageBodyType

from processors.record import Record


def record_of(event: EventData) -> Record:
    """The event with its position, when it was logged, and its bytes."""
    # The body is no data section where the sender was none of ours.
    data = event.body_type is AmqpMessageBodyType.DATA
    body = b"".join(cast("Iterable[bytes]", event.body)) if data else b""
    return Record(position_of(event), event.enqueued_time, body)


def position_of(event: EventData) -> int:
    """The event's sequence number."""
    assert event.sequence_number is not None, "the SDK gives none only to events that were not received"
    return event.sequence_number
