"""The trending worker as a process of its own, and the charts that it writes."""

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from azure.cosmos.aio import ContainerProxy

from songline.cloud import cosmos
from songline.cloud.kafka import client_options
from songline.cloud.settings import CloudSettings
from songline.processes.entities import CONTAINERS
from songline.projections.charts.queries import freshest
from songline.schemas.channels import DATABASE, MUSIC_EVENTS, PARKED
from songline.schemas.documents import CURRENT, Chart
from songline.schemas.envelope import Event, decode
from songline.schemas.errors import PoisonError
from songline.schemas.parked import ParkedEvent, parked_id
from songline.schemas.plays import SHARDS_KEY, ShardProgressDocument, SongDay
from songline.schemas.progress import PROGRESS, Freshness
from tests.support.http import PLAIN
from tests.support.localcloud import LocalCloud
from tests.support.process import WorkerProcess

# Quick for tests: little is waited for, and a killed worker is missed soon.
QUICK = {
    "SONGLINE_TRENDING_FLUSH": "0.5",
    "SONGLINE_TRENDING_SAVE": "1",
    "SONGLINE_TRENDING_TICK": "0.5",
    "SONGLINE_TRENDING_WRITES": "100",
    "SONGLINE_TRENDING_SESSION_MS": "6000",
}


class TrendingWorker(WorkerProcess):
    """`python -m songline.processors.trending` on a localcloud; what it says goes to `log`."""

    def __init__(
        self,
        cloud: LocalCloud,
        log: Path,
        config: Mapping[str, str] = QUICK,
        module: str = "songline.processors.trending",
    ) -> None:
        super().__init__(module, {**cloud.environment, **config}, log)

    @property
    def health_url(self) -> str:
        """Where it serves whether it is ready, empty until it does."""
        said = re.search(r"health is served on (\S+)", self.said)
        return "" if said is None else said[1]

    async def is_ready(self) -> bool:
        """Whether it answers that it is ready."""
        if not self.health_url:
            return False
        async with httpx.AsyncClient(timeout=60, verify=PLAIN) as client:
            return (await client.get(self.health_url)).status_code == 200


async def make_containers(settings: CloudSettings) -> None:
    async with cosmos.client(settings.cosmos) as client:
        await cosmos.ensure(client, DATABASE, CONTAINERS)


async def current(container: ContainerProxy) -> dict[str, Chart]:
    """All live charts in Cosmos, by key."""
    query = "SELECT * FROM c WHERE c.id = @id"
    parameters: list[dict[str, object]] = [{"name": "@id", "value": CURRENT}]
    fresh = await progress(container)
    found = [one async for one in container.query_items(query, parameters=parameters)]
    return {one["chart"]: freshest(msgspec.convert(one, Chart), fresh) for one in found}


async def one_chart(container: ContainerProxy, key: str) -> Chart | None:
    query = "SELECT * FROM c WHERE c.id = @id"
    parameters: list[dict[str, object]] = [{"name": "@id", "value": CURRENT}]
    fresh = await progress(container)
    async for one in container.query_items(query, parameters=parameters, partition_key=key):
        return freshest(msgspec.convert(one, Chart), fresh)
    return None


async def progress(container: ContainerProxy) -> Freshness | None:
    """How fresh all charts are at least. To be asked for before what it is to be true of."""
    async for one in container.query_items("SELECT * FROM c", partition_key=PROGRESS):
        return msgspec.convert(one, Freshness)
    return None


async def song_days(container: ContainerProxy) -> list[SongDay]:
    """All that is written of songs' days."""
    query = "SELECT * FROM c WHERE c.songId != @shards"
    parameters: list[dict[str, object]] = [{"name": "@shards", "value": SHARDS_KEY}]
    return [msgspec.convert(one, SongDay) async for one in container.query_items(query, parameters=parameters)]


async def shards_reached(container: ContainerProxy, ends: dict[str, int]) -> bool:
    """Whether every shard says that it has written all songs' days up to these positions."""
    found = [one async for one in container.query_items("SELECT * FROM c", partition_key=SHARDS_KEY)]
    shards = [msgspec.convert(one, ShardProgressDocument) for one in found]
    reached = [{number: one.position for number, one in shard.partitions.items()} for shard in shards]
    return bool(shards) and len(shards) == shards[0].shards and all(one == ends for one in reached)


async def parked_records(settings: CloudSettings) -> list[ParkedEvent]:
    """All that is parked, by hub, partition and position."""
    async with cosmos.client(settings.cosmos) as client:
        container = cosmos.container(client, DATABASE, PARKED)
        found = [msgspec.convert(one, ParkedEvent) async for one in container.query_items("SELECT * FROM c")]
    return sorted(found, key=lambda one: (one.hub, one.partition, one.position))


async def read_hub(settings: CloudSettings, hub: str = MUSIC_EVENTS) -> list[tuple[int, int, bytes]]:
    """All that is in a hub: partition, offset, body."""
    # To seek to the beginning would race with the client's own looking for the end.
    consumer = AIOKafkaConsumer(**client_options(settings.eventhubs), auto_offset_reset="earliest")
    await consumer.start()
    try:
        # What the consumer itself remembers may be of a moment at which it reached nobody.
        cluster = await consumer._client.fetch_all_metadata()
        partitions = [TopicPartition(hub, number) for number in sorted(cluster.partitions_for_topic(hub))]
        consumer.assign(partitions)
        ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
        found: list[tuple[int, int, bytes]] = []
        async with asyncio.timeout(60):
            while any([await consumer.position(one) < end for one, end in ends.items()]):
                batches: dict[Any, list[Any]] = await consumer.getmany(timeout_ms=200)
                for tp, records in batches.items():
                    found += [(tp.partition, record.offset, record.value) for record in records]
        return found
    finally:
        await consumer.stop()


def told_apart(records: list[tuple[int, int, bytes]]) -> tuple[list[tuple[int, int, Event]], list[str]]:
    """The events of `music-events` by partition and position, and the ids under which the others are to be parked."""
    log, bad = [], []
    for partition, position, body in sorted(records, key=lambda one: one[:2]):
        try:
            log.append((partition, position, decode(body)))
        except PoisonError:
            bad.append(parked_id(MUSIC_EVENTS, str(partition), position))
    return log, bad
