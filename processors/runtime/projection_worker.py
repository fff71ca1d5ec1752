"""A worker that keeps a projection of `music-events` in a container of Cosmos DB, put together."""

import asyncio
import random
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime

from azure.cosmos.aio import ContainerProxy
from msgspec import Struct

from songline.cloud import blobs, checkpoints, cosmos, eventhubs
from songline.cloud.settings import BlobSettings, CloudSettings
from songline.processors.runtime.attempt_store import AttemptStore
from songline.processors.runtime.checkpoints import Checkpoints
from songline.processors.runtime.health import serve_health
from songline.processors.runtime.hub_metadata import HubMetadata
from songline.processors.runtime.hub_reader import HubReader
from songline.processors.runtime.parked_store import ParkedStore
from songline.processors.runtime.parking_bound import ParkingBound
from songline.processors.runtime.partition_processor import OpenProcessor
from songline.processors.runtime.partition_reader import ReaderDependencies
from songline.processors.runtime.process import CRASHED_IN_FOLD, run_unless
from songline.processors.runtime.projection_config import ProjectionConfig
from songline.processors.runtime.readiness import Readiness
from songline.processors.runtime.watchdog import watchdog
from songline.processors.runtime.watermark_store import WatermarkStore
from songline.schemas.channels import ATTEMPTS, CHECKPOINT_BLOBS, DATABASE, MUSIC_EVENTS, PARKED
from songline.schemas.progress_report import ProgressReport

CUTS = 100
"""Connections that may be cut while a partition is ours. The SDK counts them for as long, three by default, and the
next one closes the partition. It tries them without a pause while the hub is away, so they are not more."""

LONGEST_PAUSE_S = 2

SPREAD = 0.25
"""Workers that are started in one instant begin within this part of a balancing round, by chance."""


class ProjectionDefinition(Struct, frozen=True):
    """What is read for, by the reader `name`: in the consumer group `group`, into the `container` whose partition key
    is the field `key`. `opens` makes, of the container, what makes a PartitionProcessor. Each of `needs` raises until
    what else it writes to is there."""

    name: str
    group: str
    container: str
    key: str
    opens: Callable[[ContainerProxy], OpenProcessor]
    needs: tuple[Callable[[], Awaitable[object]], ...] = ()


async def run_projection(
    projection: ProjectionDefinition,
    settings: CloudSettings,
    storage: BlobSettings,
    pace: ProjectionConfig,
    stop: asyncio.Event,
    chance: Callable[[], float] = random.random,
) -> None:
    """Read until `stop`, together with every other worker of the same group. Waits for what is not there yet.

    `chance` gives a number from 0 to 1. Raises FoldCrashedError.
    """
    readiness = Readiness()
    reader: HubReader | None = None

    def report() -> ProgressReport:
        waiting = readiness.reasons(projection.name)
        if reader is None:
            return ProgressReport(worker=projection.name, as_of=datetime.now(UTC), reasons=tuple(waiting))
        return reader.report(waiting)

    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serve_health(pace.port, report))
        await stack.enter_async_context(watchdog(pace.hang, CRASHED_IN_FOLD))
        # Entering the Cosmos client asks the account, which may not be there yet.
        database = cosmos.client(settings.cosmos)
        stack.push_async_callback(database.close)
        container = cosmos.container(database, DATABASE, projection.container)
        parked, attempts = (cosmos.container(database, DATABASE, name) for name in (PARKED, ATTEMPTS))
        store = await stack.enter_async_context(checkpoints.store(storage, CHECKPOINT_BLOBS))
        places = await stack.enter_async_context(blobs.client(storage))
        # Whoever asks tries again, with pauses shorter than the SDK's.
        asking = eventhubs.consumer(settings.eventhubs, MUSIC_EVENTS, projection.group, retry_total=0)
        await stack.enter_async_context(asking)
        client = eventhubs.consumer(
            settings.eventhubs,
            MUSIC_EVENTS,
            projection.group,
            checkpoint_store=store,
            load_balancing_interval=pace.balance,
            partition_ownership_expiration_interval=pace.expire,
            retry_total=CUTS,
            retry_backoff_max=LONGEST_PAUSE_S,
        )
        await stack.enter_async_context(client)
        kept = Checkpoints(store, eventhubs.namespace(settings.eventhubs), MUSIC_EVENTS, projection.group)
        parts = ReaderDependencies(
            reader=projection.name,
            hub=MUSIC_EVENTS,
            open=projection.opens(container),
            positions=WatermarkStore(container, projection.key),
            attempts=AttemptStore(attempts),
            parked=ParkedStore(parked),
            bound=ParkingBound(),
            ask=HubMetadata(asking),
            now=lambda: datetime.now(UTC),
            steady=time.monotonic,
            alone=asyncio.Lock(),
        )
        reader = HubReader(client, parts, pace, kept, lambda: str(uuid.uuid4()))
        arrival = readiness.wait_for_all(
            container.read,
            parked.read,
            attempts.read,
            places.get_container_client(CHECKPOINT_BLOBS).get_container_properties,
            asking.get_eventhub_properties,
            *projection.needs,
        )
        if await run_unless(stop, arrival) and await run_unless(stop, asyncio.sleep(chance() * SPREAD * pace.balance)):
            readiness.begin()
            await run_unless(stop, reader.run())
