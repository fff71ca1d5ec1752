"""All that a hub holds, read over Kafka: what every projection must follow from."""

import asyncio
from collections.abc import Iterable
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from msgspec import Struct

from songline.cloud.kafka import client_options
from songline.cloud.settings import EventHubsSettings
from songline.schemas.channels import MUSIC_EVENTS
from songline.schemas.envelope import Event, decode
from songline.schemas.errors import PoisonError

PATIENCE_S = 120.0


class HubLogRecord(Struct, frozen=True):
    """A record of a hub; `enqueued_s` (Unix seconds) is when the hub took it."""

    partition: int
    position: int
    enqueued_s: float
    body: bytes


class HubLog(Struct, frozen=True):
    """The records of a hub by (partition, position): those that are events, and those that nobody can read."""

    records: tuple[HubLogRecord, ...]
    events: tuple[tuple[int, int, Event], ...]
    unreadable: tuple[HubLogRecord, ...]

    @property
    def ends(self) -> dict[str, int]:
        """The last position of each partition that holds a record."""
        return {str(one.partition): one.position for one in self.records}


def hub_log(records: Iterable[HubLogRecord]) -> HubLog:
    """The log of these records, in any order."""
    in_order = sorted(records, key=lambda one: (one.partition, one.position))
    events, unreadable = [], []
    for one in in_order:
        try:
            events.append((one.partition, one.position, decode(one.body)))
        except PoisonError:
            unreadable.append(one)
    return HubLog(tuple(in_order), tuple(events), tuple(unreadable))


async def read_hub(settings: EventHubsSettings, hub: str = MUSIC_EVENTS) -> HubLog:
    """All that is in the hub now. Raises KafkaError, and TimeoutError after PATIENCE_S."""
    consumer = AIOKafkaConsumer(**client_options(settings), auto_offset_reset="earliest")
    async with asyncio.timeout(PATIENCE_S):
        await consumer.start()
        try:
            cluster = await consumer._client.fetch_all_metadata()
            partitions = [TopicPartition(hub, number) for number in sorted(cluster.partitions_for_topic(hub) or ())]
            consumer.assign(partitions)
            ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
            found: list[HubLogRecord] = []
            while any([await consumer.position(one) < end for one, end in ends.items()]):
                batches: dict[Any, list[Any]] = await consumer.getmany(timeout_ms=200)
                for place, batch in batches.items():
                    found += [
                        HubLogRecord(place.partition, one.offset, one.timestamp / 1000, one.value or b"")
                        for one in batch
                    ]
            return hub_log(found)
        finally:
            await consumer.stop()
