"""A worker that keeps a projection of `music-events` in a container of Cosmos DB: its parts, put together."""

import asyncio
import logging
import random
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial

from azure.cosmos.aio import ContainerProxy, CosmosClient
from msgspec import Struct

from songline.cloud import blobs, checkpoints, cosmos, eventhubs
from songline.cloud.cosmos import Container
from songline.processors.runtime import attempt_store, parked_store
from songline.processors.runtime.attempt_store import AttemptStore
from songline.processors.runtime.checkpoints import Checkpoints
from songline.processors.runtime.health import serve_health
from songline.processors.runtime.hub_metadata import HubMetadata
from songline.processors.runtime.hub_reader import HubReader
from songline.processors.runtime.owner_file import OwnerFile, hold_owner_file, running_machine
from songline.processors.runtime.parked_store import ParkedStore
from songline.processors.runtime.parking_bound import ParkingBound
from songline.processors.runtime.partition_processor import OpenProcessor
from songline.processors.runtime.partition_reader import ReaderDependencies
from songline.processors.runtime.process import CRASHED_IN_FOLD, run_unless
from songline.processors.runtime.projection_config import ProjectionEnvironment
from songline.processors.runtime.readiness import Readiness
from songline.processors.runtime.recording_checkpoint_store import RecordingCheckpointStore
from songline.processors.runtime.watchdog import watchdog
from songline.processors.runtime.watermark_store import WatermarkStore
from songline.schemas.channels import ATTEMPTS, CHECKPOINT_BLOBS, DATABASE, MUSIC_EVENTS, PARKED
from songline.schemas.progress_report import ProgressReport

log = logging.getLogger(__name__)

MAX_RECONNECTS = 100
"""Connections that may be cut while a partition is owned; the next cut closes it. The SDK's default is three. It
connects again without a pause while the hub is away, so there are not more."""

LONGEST_PAUSE_S = 2

START_SPREAD = 0.25
"""Workers that are started in one instant begin at a random moment within this part of a balancing round."""


class ProjectionDefinition(Struct, frozen=True):
    """What a worker reads and writes.

    The reader `name` reads in the consumer group `group` and writes into `container`, whose partition key is the field
    `key`. `open_with` makes, of the container, what opens a partition's processor. Each of `needs` raises until
    something else that the processor writes to is there. Where an account has the container `former`, of an earlier
    version, `added` are made that it does not have yet. `prepare` is done before anything is read, also by every other
    worker; it gets the account, the hub, and what it calls with what it does at the moment, and is tried again where a
    service fails.
    """

    name: str
    group: str
    container: str
    key: str
    open_with: Callable[[ContainerProxy], OpenProcessor]
    needs: tuple[Callable[[], Awaitable[object]], ...] = ()
    former: str = ""
    added: tuple[Container, ...] = ()
    prepare: Callable[[CosmosClient, HubMetadata, Callable[[str], None]], Awaitable[None]] | None = None


async def run_projection(
    projection: ProjectionDefinition,
    environment: ProjectionEnvironment,
    stop: asyncio.Event,
    chance: Callable[[], float] = random.random,
) -> None:
    """Read until `stop`, together with every other worker of the same group. Waits for what is not there yet.

    `chance` gives a number from 0 to 1. Raises FoldCrashedError.
    """
    cloud, config = environment.cloud, environment.config
    readiness = Readiness()
    reader: HubReader | None = None

    def report() -> ProgressReport:
        reasons = readiness.reasons(projection.name)
        if reader is None:
            return ProgressReport(worker=projection.name, as_of=datetime.now(UTC), reasons=tuple(reasons))
        return reader.report(reasons)

    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serve_health(config.port, report))
        await stack.enter_async_context(watchdog(config.hang_s, CRASHED_IN_FOLD))
        # Not entered: that asks the account, which may not be there yet.
        database = cosmos.client(cloud.cosmos)
        stack.push_async_callback(database.close)
        container = cosmos.container(database, DATABASE, projection.container)
        parked, attempts = (cosmos.container(database, DATABASE, name) for name in (PARKED, ATTEMPTS))
        blob_store = await stack.enter_async_context(checkpoints.store(environment.blobs, CHECKPOINT_BLOBS))
        owners = stack.enter_context(hold_owner_file(environment.owners, projection.name, running_machine()))
        checkpoint_store = RecordingCheckpointStore(blob_store, owners)
        blob_service = await stack.enter_async_context(blobs.client(environment.blobs))
        # Its callers try again, with shorter pauses than the SDK's.
        metadata = eventhubs.consumer(cloud.eventhubs, MUSIC_EVENTS, projection.group, retry_total=0)
        await stack.enter_async_context(metadata)
        client = eventhubs.consumer(
            cloud.eventhubs,
            MUSIC_EVENTS,
            projection.group,
            checkpoint_store=checkpoint_store,
            load_balancing_interval=config.balance_s,
            partition_ownership_expiration_interval=config.expire_s,
            retry_total=MAX_RECONNECTS,
            retry_backoff_max=LONGEST_PAUSE_S,
        )
        await stack.enter_async_context(client)
        shared = ReaderDependencies(
            reader=projection.name,
            hub=MUSIC_EVENTS,
            open=projection.open_with(container),
            watermarks=WatermarkStore(container, projection.key),
            attempts=AttemptStore(attempts),
            parked=ParkedStore(parked),
            bound=ParkingBound(),
            metadata=HubMetadata(metadata),
            now=lambda: datetime.now(UTC),
            steady=time.monotonic,
            piece_lock=asyncio.Lock(),
        )
        namespace = eventhubs.namespace(cloud.eventhubs)
        group_checkpoints = Checkpoints(checkpoint_store, namespace, MUSIC_EVENTS, projection.group)
        reader = HubReader(client, shared, config, group_checkpoints, lambda: str(uuid.uuid4()))
        all_there = readiness.wait_for_all(
            partial(_make_added, database, projection),
            container.read,
            parked.read,
            attempts.read,
            blob_service.get_container_client(CHECKPOINT_BLOBS).get_container_properties,
            metadata.get_eventhub_properties,
            *projection.needs,
            partial(_release_earlier, owners, group_checkpoints),
        )
        # What follows a process that was killed is not one of many that start together.
        pause_s = 0.0 if owners.earlier else chance() * START_SPREAD * config.balance_s
        if not await run_unless(stop, all_there):
            return
        if projection.prepare is not None:
            preparing = readiness.wait_for(partial(projection.prepare, database, shared.metadata, readiness.say))
            if not await run_unless(stop, preparing):
                return
        if await run_unless(stop, asyncio.sleep(pause_s)):
            readiness.begin()
            await run_unless(stop, reader.run())


async def _release_earlier(owners: OwnerFile, group: Checkpoints) -> None:
    """Release the partitions of the process that held the file of owners before, and was killed. Raises AzureError."""
    if not owners.earlier:
        return
    if released := await group.release(owners.earlier):
        log.info("%d partitions of a process that is gone are released", released)
    owners.forget_earlier()


async def _make_added(account: CosmosClient, projection: ProjectionDefinition) -> None:
    """Make the containers that an earlier version did not have, in an account that it ran on. Raises AzureError."""
    former = projection.former or projection.container
    if await cosmos.exists(account, DATABASE, former):
        added = (parked_store.CONTAINER, attempt_store.CONTAINER, *projection.added)
        missing = tuple([one for one in added if not await cosmos.exists(account, DATABASE, one.name)])
        if missing:
            log.info("makes what an earlier version did not have: %s", ", ".join(one.name for one in missing))
            await cosmos.ensure(account, DATABASE, missing)
