"""Sends events of one listener to the hub, in batches, in order."""

from collections.abc import Iterable

from azure.eventhub import EventData, EventDataBatch
from azure.eventhub.aio import EventHubProducerClient

from songline.cloud.http_transport import Guard, unasked
from songline.schemas.envelope import Event, encode


class ListenSender:
    """Sends to the hub `music-events`."""

    def __init__(self, producer: EventHubProducerClient) -> None:
        self._producer = producer

    async def publish(self, user_id: str, events: Iterable[Event], check: Guard = unasked) -> None:
        """Send the listener's events in order; return when the hub has them all. `check` is asked before each batch.
        Raises EventHubError, and what `check` raises."""

        async def send(batch: EventDataBatch) -> None:
            await check()
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
