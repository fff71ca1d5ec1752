"""Fills a hub with bodies over its Kafka endpoint, in batches as large as the service takes."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaProducer

from songline.cloud.kafka import client_options
from songline.cloud.settings import CloudSettings

BATCH_BYTES = 400_000


@asynccontextmanager
async def filling_producer(settings: CloudSettings) -> AsyncIterator[AIOKafkaProducer]:
    """A producer of large batches for the block."""
    producer = AIOKafkaProducer(
        max_request_size=1_000_000, max_batch_size=BATCH_BYTES, **client_options(settings.eventhubs)
    )
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def send_bodies(
    producer: AIOKafkaProducer, hub: str, partitions: int, bodies: Iterable[tuple[int, bytes]]
) -> None:
    """Return once the hub has all `bodies`, each given with its partition, in their order."""
    batches: list[Any] = [producer.create_batch() for _ in range(partitions)]
    for partition, body in bodies:
        if batches[partition].append(key=None, value=body, timestamp=None) is None:
            await producer.send_batch(batches[partition], hub, partition=partition)
            batches[partition] = producer.create_batch()
            batches[partition].append(key=None, value=body, timestamp=None)
    for partition, batch in enumerate(batches):
        await producer.send_batch(batch, hub, partition=partition)
    await producer.flush()
