"""Sends the events of an outbox to the hub."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import msgspec
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubProducerClient

Event = dict[str, Any]


async def always(event: Event) -> bool:
    """True: the event is to be sent, however late it is."""
    return True


class EventSender:
    """Sends events to the hub `music-events`."""

    def __init__(self, producer: EventHubProducerClient) -> None:
        self._producer = producer

    async def publish(self, events: Iterable[Event], is_due: Callable[[Event], Awaitable[bool]] = always) -> None:
        """Send the events in order; return when the hub has them all, but for those that are not due by then.

        `is_due` is asked for each once there is a link for it: it may take long until then.
        """
        for event in events:
            batch = await self._producer.create_batch(partition_key=event["partitionkey"])
            batch.add(EventData(msgspec.json.encode(event)))
            if await is_due(event):
                await self._producer.send_batch(batch)
