"""Sends events of one listener to the hub, in batches, in order."""

from collections.abc import Awaitable, Callable, Iterable

from azure.eventhub import EventData, EventDataBatch
from azure.eventhub.aio import EventHubProducerClient

from songline.schemas.envelope import Event, encode

Confirm = Callable[[], Awaitable[None]]
"""Is awaited before a batch is sent, and raises where it must not be."""


async def at_once() -> None:
    """Return: it may be sent."""


class ListenSender:
    """Sends to the hub `music-events`."""

    def __init__(self, producer: EventHubProducerClient) -> None:
        self._producer = producer

    async def publish(self, user_id: str, events: Iterable[Event], confirm: Confirm = at_once) -> None:
        """Send the listener's events in order; return when the hub has them all. Raises EventHubError, and what
        `confirm` raises."""

        async def send(batch: EventDataBatch) -> None:
            await confirm()
            await self._producer.send_batch(batch)

        batch = await self._producer.create_batch(partition_key=user_id)
        for event in events:
            data = EventData(encode(event))
            try:
                batch.add(data)
            except ValueError:
                await send(batch)
                batch = await self._producer.create_batch(partition_key=user_id)
                batch.add(data)
        if len(batch):
            await send(batch)
