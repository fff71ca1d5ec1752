"""All that a hub holds, read over Kafka: what every projection must follow from."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import UnknownTopicOrPartitionError
from msgspec import Struct

from songline.cloud.kafka import client_options, partitions_of_hubs, running
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


async def read_ends(settings: EventHubsSettings, hub: str = MUSIC_EVENTS) -> dict[str, int]:
    """The last position of each partition that holds a record now. Raises KafkaError, and TimeoutError."""
    async with _consumer(settings, hub) as (_, ends):
        return {str(place.partition): end - 1 for place, end in ends.items() if end}


async def read_hub(
    settings: EventHubsSettings, hub: str = MUSIC_EVENTS, after: Mapping[str, int] | None = None
) -> HubLog:
    """All that is in the hub now, or what is behind the positions `after` by partition, of which all that hold records
    are named. Raises KafkaError, and TimeoutError where nothing comes for PATIENCE_S."""
    async with _consumer(settings, hub) as (consumer, ends):
        if after is not None:
            for one in ends:
                consumer.seek(one, after.get(str(one.partition), -1) + 1)
        found: list[HubLogRecord] = []
        while any([await consumer.position(one) < end for one, end in ends.items()]):
            async with asyncio.timeout(PATIENCE_S):
                batches: dict[Any, list[Any]] = {}
                while not batches:
                    batches = await consumer.getmany(timeout_ms=200)
            for place, batch in batches.items():
                found += [
                    HubLogRecord(place.partition, one.offset, one.timestamp / 1000, one.value or b"") for one in batch
                ]
        return hub_log(found)


@asynccontextmanager
async def _consumer(
    settings: EventHubsSettings, hub: str
) -> AsyncIterator[tuple[AIOKafkaConsumer, dict[TopicPartition, int]]]:
    """A consumer at the beginning of all partitions, and their ends. Raises KafkaError, also where no such hub is."""
    unstarted = AIOKafkaConsumer(**client_options(settings), auto_offset_reset="earliest")
    async with running(unstarted) as consumer:
        async with asyncio.timeout(PATIENCE_S):
            count = (await partitions_of_hubs(consumer)).get(hub)
            if not count:
                raise UnknownTopicOrPartitionError(f"the namespace names no hub {hub}")
            partitions = [TopicPartition(hub, number) for number in range(count)]
            consumer.assign(partitions)
            ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
        yield consumer, ends
