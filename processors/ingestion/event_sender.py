"""Sends the events of an outbox to the hub."""

from collections.abc import Iterable
from typing import Any

import msgspec
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubProducerClient


class EventSender:
    """Sends events to the hub `music-events`."""

    def __init__(self, producer: EventHubProducerClient) -> None:
        self._producer = producer

    async def publish(self, events: Iterable[dict[str, Any]]) -> None:
        """Send the events in order; return when the hub has them all."""
        for event in events:
            batch = await self._producer.create_batch(partition_key=event["partitionkey"])
            batch.add(EventData(msgspec.json.encode(event)))
            await self._producer.send_batch(batch)
