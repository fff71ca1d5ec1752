"""Reads the whole body of a parked record, from its document or, if that is incomplete, from the hub."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import cast

from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient
from azure.eventhub.amqp import AmqpMessageBodyType
from azure.eventhub.exceptions import EventHubError

from songline.cloud import eventhubs
from songline.cloud.settings import EventHubsSettings
from songline.schemas.parked import ParkedEvent

PATIENCE_S = 15.0
_SAME_MOMENT = timedelta(seconds=1)


class BodyGoneError(Exception):
    """The document has only the beginning of the body, and the hub doesn't have the record any more."""


class HubAwayError(Exception):
    """The hub doesn't answer."""


class ParkedBodies:
    """Reads records by their positions, in the consumer group $Default, without checkpoints."""

    def __init__(self, settings: EventHubsSettings, patience_s: float = PATIENCE_S) -> None:
        self._settings = settings
        self._patience_s = patience_s

    async def read(self, parked: ParkedEvent) -> bytes:
        """The whole body. Raises BodyGoneError, HubAwayError."""
        if parked.complete:
            return parked.body_beginning
        consumer = eventhubs.consumer(self._settings, parked.hub, "$Default", retry_total=1)
        try:
            async with consumer, asyncio.timeout(self._patience_s):
                return await _read(consumer, parked)
        except TimeoutError:
            raise HubAwayError(f"hub {parked.hub} gave no answer within {self._patience_s:g} s") from None
        except EventHubError as error:
            raise HubAwayError(f"hub {parked.hub}: {error}".partition("\n")[0]) from None


async def _read(consumer: EventHubConsumerClient, parked: ParkedEvent) -> bytes:
    hub = await consumer.get_eventhub_properties()
    gone = f"only the first {len(parked.body_beginning):,} of {parked.body_bytes:,} bytes are kept, and "
    if parked.enqueued_at is not None and _aware(hub["created_at"]) > parked.enqueued_at + _SAME_MOMENT:
        raise BodyGoneError(f"{gone}hub {parked.hub} was created again at {hub['created_at']:%Y-%m-%d %H:%M:%S}")
    if parked.partition not in hub["partition_ids"]:
        raise BodyGoneError(f"{gone}hub {parked.hub} has no partition {parked.partition}")
    first, last = eventhubs.partition_ends(await consumer.get_partition_properties(parked.partition))
    if not first <= parked.position <= last:
        held = f"positions {first} to {last}" if first <= last else "no events"
        raise BodyGoneError(f"{gone}partition {parked.partition} of hub {parked.hub} has {held}")
    event = await _event(consumer, parked)
    body = _body(event)
    same = event.sequence_number == parked.position and body.startswith(parked.body_beginning)
    if not same or len(body) != parked.body_bytes:
        raise BodyGoneError(f"{gone}another record is at position {parked.position} of hub {parked.hub} now")
    return body


async def _event(consumer: EventHubConsumerClient, parked: ParkedEvent) -> EventData:
    """The first event at the record's position or after it."""
    found: asyncio.Future[EventData] = asyncio.get_running_loop().create_future()

    async def take(_: object, event: EventData | None) -> None:
        if event is not None and not found.done():
            found.set_result(event)

    async def fail(_: object, error: Exception) -> None:
        if not found.done():
            found.set_exception(error)

    receiving = asyncio.create_task(
        consumer.receive(
            take,
            partition_id=parked.partition,
            starting_position=parked.position,
            starting_position_inclusive=True,
            on_error=fail,
        )
    )
    try:
        return await found
    finally:
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)


def _body(event: EventData) -> bytes:
    """The bytes of the body; empty if it is not an AMQP data section."""
    if event.body_type != AmqpMessageBodyType.DATA:
        return b""
    body = cast("Iterable[bytes] | bytes", event.body)
    return body if isinstance(body, bytes) else b"".join(body)


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
