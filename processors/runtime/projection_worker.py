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

from songline.cloud import checkpoints, cosmos, eventhubs
from songline.cloud.cosmos import Container
from songline.processors.runtime import attempt_store, live_version, parked_store
from songline.processors.runtime.allocator import free_memory_released
from songline.processors.runtime.attempt_store import AttemptStore
from songline.processors.runtime.checkpoints import Checkpoints
from songline.processors.runtime.health import serve_health
from songline.processors.runtime.hub_metadata import HubMetadata
from songline.processors.runtime.hub_reader import HubReader
from songline.processors.runtime.live_version import LiveVersionWatch
from songline.processors.runtime.owner_file import OwnerFile, hold_owner_file, running_machine
from songline.processors.runtime.parked_store import ParkedStore
from songline.processors.runtime.parking_bound import ParkingBound
from songline.processors.runtime.partition_processor import OpenProcessor
from songline.processors.runtime.partition_reader import ReaderDependencies
from songline.processors.runtime.piece_gate import PieceGate
from songline.processors.runtime.process import CRASHED_IN_FOLD, run_unless
from songline.processors.runtime.projection_config import ProjectionEnvironment
from songline.processors.runtime.readiness import Readiness
from songline.processors.runtime.record_renaming import WatchRenamed, as_written
from songline.processors.runtime.recording_checkpoint_store import RecordingCheckpointStore
from songline.processors.runtime.watchdog import watchdog
from songline.processors.runtime.watermark_store import WatermarkStore
from songline.processors.runtime.watermarked_checkpoint_store import WatermarkedCheckpointStore
from songline.schemas.channels import ATTEMPTS, CHECKPOINT_BLOBS, DATABASE, MUSIC_EVENTS, PARKED, PROJECTIONS
from songline.schemas.progress_report import ProgressReport
from songline.schemas.projections import FIRST_VERSION, LiveVersionDocument, container_of

log = logging.getLogger(__name__)

MAX_RECONNECTS = 100
"""Connections that may be cut while a partition is owned; the next cut closes it. The SDK's default is three. It
connects again without a pause while the hub is away, so there are not more."""

LONGEST_PAUSE_S = 2

START_SPREAD = 0.25
"""Workers that are started in one instant begin at a random moment within this part of a balancing round."""


class ProjectionDefinition(Struct, frozen=True):
    """What a worker reads and writes.

    The reader `name` reads in the consumer group `group` and writes into the container of the live version of
    `projection`, whose partition key is the field `key`. `open_with` makes, of the container and the live version, what
    opens a partition's processor. Each of `needs` raises until something else that the processor writes to is there.
    Where an account has the container `former`, of an earlier release, `added` are made that it does not have yet.
    `make_first` makes the first version live and returns the live one, where a worker must prepare it before anything
    is read; it gets the account, the hub, and what it calls with what it does at the moment, and is tried again where
    a service fails. `behind_flush_s`: while it is far behind, events are held for so many seconds, where fuller writes
    are cheaper; 0: no longer than at other times. `watch_renamed`: by which events of forgotten listeners,
    and of names of songs, come under the names that count.
    """

    name: str
    group: str
    projection: str
    key: str
    open_with: Callable[[ContainerProxy, LiveVersionDocument], OpenProcessor]
    needs: tuple[Callable[[], Awaitable[object]], ...] = ()
    former: str = ""
    added: tuple[Container, ...] = ()
    make_first: Callable[[CosmosClient, HubMetadata, Callable[[str], None]], Awaitable[LiveVersionDocument]] | None = (
        None
    )
    behind_flush_s: float = 0.0
    watch_renamed: WatchRenamed = as_written


async def run_projection(
    projection: ProjectionDefinition,
    environment: ProjectionEnvironment,
    stop: asyncio.Event,
    chance: Callable[[], float] = random.random,
) -> None:
    """Read until `stop`, together with every other worker of the same group. Waits for what is not there yet.

    `chance` gives a number from 0 to 1. Raises FoldCrashedError, and VersionChangedError once another version is live.
    """
    cloud, config = environment.cloud, environment.config
    readiness = Readiness()
    reader: HubReader | None = None
    watch: LiveVersionWatch | None = None

    def report() -> ProgressReport:
        reasons = readiness.reasons(projection.name)
        if reader is None or watch is None:
            return ProgressReport(worker=projection.name, as_of=datetime.now(UTC), reasons=tuple(reasons))
        return reader.report([*reasons, *watch.reasons(projection.name)])

    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serve_health(config.port, report, config.host))
        await stack.enter_async_context(watchdog(config.hang_s, CRASHED_IN_FOLD))
        await stack.enter_async_context(free_memory_released())
        database = await stack.enter_async_context(cosmos.opened(cloud.cosmos))
        parked, attempts, projections = (
            cosmos.container(database, DATABASE, name) for name in (PARKED, ATTEMPTS, PROJECTIONS)
        )
        blob_store = await stack.enter_async_context(checkpoints.store(environment.blobs, CHECKPOINT_BLOBS))
        owners = stack.enter_context(hold_owner_file(environment.owners, projection.name, running_machine()))
        checkpoint_store = RecordingCheckpointStore(blob_store, owners)
        # Its callers try again, with shorter pauses than the SDK's.
        metadata = eventhubs.consumer(cloud.eventhubs, MUSIC_EVENTS, projection.group, retry_total=0)
        await stack.enter_async_context(metadata)
        hub = HubMetadata(metadata)
        namespace = cloud.eventhubs.address
        group_checkpoints = Checkpoints(checkpoint_store, namespace, MUSIC_EVENTS, projection.group)
        all_there = readiness.wait_for_all(
            partial(_make_added, database, projection),
            parked.read,
            attempts.read,
            group_checkpoints.all,
            metadata.get_eventhub_properties,
            *projection.needs,
            partial(_release_earlier, owners, group_checkpoints),
        )
        # What follows a process that was killed is not one of many that start together.
        pause_s = 0.0 if owners.earlier else chance() * START_SPREAD * config.balance_s
        if not await run_unless(stop, all_there):
            return
        live: LiveVersionDocument | None = None

        async def find_live() -> None:
            nonlocal live
            live = await _find_live(database, projections, projection, hub, readiness.say)

        if not await run_unless(stop, readiness.wait_for(find_live)):
            return
        assert live is not None
        container = cosmos.container(database, DATABASE, container_of(projection.projection, live.version))
        if not await run_unless(stop, readiness.wait_for_all(container.read)):
            return
        watermarks = WatermarkStore(container, projection.key)
        begins = WatermarkedCheckpointStore(checkpoint_store, watermarks)
        client = eventhubs.consumer(
            cloud.eventhubs,
            MUSIC_EVENTS,
            projection.group,
            checkpoint_store=begins,
            load_balancing_interval=config.balance_s,
            partition_ownership_expiration_interval=config.expire_s,
            retry_total=MAX_RECONNECTS,
            retry_backoff_max=LONGEST_PAUSE_S,
        )
        await stack.enter_async_context(client)
        shared = ReaderDependencies(
            reader=projection.name,
            hub=MUSIC_EVENTS,
            open=projection.open_with(container, live),
            watermarks=watermarks,
            attempts=AttemptStore(attempts),
            parked=ParkedStore(parked),
            bound=ParkingBound(),
            metadata=hub,
            now=lambda: datetime.now(UTC),
            steady=time.monotonic,
            piece_gate=PieceGate(),
            renaming=await stack.enter_async_context(projection.watch_renamed(database, hub)),
        )
        watch = LiveVersionWatch(projections, live)
        reader = HubReader(client, shared, config, begins.given, lambda: str(uuid.uuid4()), projection.behind_flush_s)
        if await run_unless(stop, asyncio.sleep(pause_s)):
            readiness.begin()
            await run_unless(stop, watch.run_beside(reader.run()))


async def _find_live(
    account: CosmosClient,
    projections: ContainerProxy,
    projection: ProjectionDefinition,
    hub: HubMetadata,
    say: Callable[[str], None],
) -> LiveVersionDocument:
    """The live version, once there is one. Raises AzureError, EventHubError and DamagedVersionError."""
    live = await live_version.read(projections, projection.projection)
    if projection.make_first is not None and not live.shelves:
        live = await projection.make_first(account, hub, say)
    log.info("version %d of %s is live", live.version, projection.projection)
    return live


async def _release_earlier(owners: OwnerFile, group: Checkpoints) -> None:
    """Release the partitions of the process that held the file of owners before, and was killed. Raises AzureError."""
    if not owners.earlier:
        return
    if released := await group.release(owners.earlier):
        log.info("%d partitions of a process that is gone are released", released)
    owners.forget_earlier()


async def _make_added(account: CosmosClient, projection: ProjectionDefinition) -> None:
    """Make the containers that an earlier release did not have, in an account that it ran on. Raises AzureError."""
    former = projection.former or container_of(projection.projection, FIRST_VERSION)
    if await cosmos.exists(account, DATABASE, former):
        added = (parked_store.CONTAINER, attempt_store.CONTAINER, live_version.CONTAINER, *projection.added)
        missing = tuple([one for one in added if not await cosmos.exists(account, DATABASE, one.name)])
        if missing:
            log.info("makes what an earlier version did not have: %s", ", ".join(one.name for one in missing))
            await cosmos.ensure(account, DATABASE, missing)
