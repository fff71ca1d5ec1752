"""Events as azure-eventhub gives them, converted to records."""

from collections.abc import Iterable
from typing import cast

from azure.eventhub import EventData
from azure.eventhub.amqp import AmqpMessageBodyType

from songline.cloud.eventhub_frames import ReceivedEvent
from songline.processors.runtime.hub_record import HubRecord


def record_of(event: EventData) -> HubRecord:
    """The event as a record."""
    if isinstance(event, ReceivedEvent) and (fields := event.fields) is not None:
        return HubRecord(fields.position, fields.enqueued_at, fields.body)
    return HubRecord(position_of(event), event.enqueued_time, body_of(event))


def body_of(event: EventData) -> bytes:
    """The bytes of the event's one data section; no bytes where it has another kind of body.

    Our own senders always write one data section. Over Kafka, another body is not read as an event either, and all
    readers must agree on what counts. A section may hold null: the JavaScript client sends that for a body of null.
    """
    of_data = event.body_type is AmqpMessageBodyType.DATA
    sections = list(cast("Iterable[bytes | None]", event.body)) if of_data else []
    return sections[0] or b"" if len(sections) == 1 else b""


def position_of(event: EventData) -> int:
    """The event's sequence number."""
    assert event.sequence_number is not None, "the SDK gives none only to events that were not received"
    return event.sequence_number
