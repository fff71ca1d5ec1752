"""A hub whose link takes long."""

from typing import Any

from azure.eventhub import EventDataBatch
from azure.eventhub.aio import EventHubProducerClient

from tests.support.gate import Gate


class LateProducer(EventHubProducerClient):
    """The producer it is given, whose batches are there once a gate is open."""

    def __init__(self, producer: EventHubProducerClient, gate: Gate) -> None:
        self._producer_of_all, self._gate = producer, gate

    async def create_batch(self, **options: Any) -> EventDataBatch:
        await self._gate.enter()
        return await self._producer_of_all.create_batch(**options)

    async def send_batch(self, event_data_batch: Any, **options: Any) -> None:
        await self._producer_of_all.send_batch(event_data_batch, **options)
