"""Reads and resets the recorded positions of each worker, compared with the state of its hub."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from msgspec import Struct

from songline.cloud import checkpoints, cosmos, eventhubs
from songline.cloud.settings import read_blobs, read_cosmos, read_eventhubs
from songline.processors.runtime import live_version
from songline.processors.runtime.checkpoints import Checkpoints
from songline.processors.runtime.hub_metadata import HubMetadata
from songline.processors.runtime.resume_point import (
    HubMismatch,
    HubState,
    missing_partitions,
    reset_watermark,
    resume_point,
)
from songline.processors.runtime.watermark_store import WatermarkStore
from songline.processors.trending.state_version import StateVersion
from songline.schemas.channels import (
    ATTEMPTS,
    BROADCAST,
    BROADCAST_GROUP,
    CATALOG_GROUP,
    CHARTS,
    CHECKPOINT_BLOBS,
    DATABASE,
    LIBRARY,
    LIBRARY_GROUP,
    MUSIC_EVENTS,
    SONGS,
    TRENDING_GROUP,
)
from songline.schemas.channels import (
    PROJECTIONS as LIVE_VERSIONS,
)
from songline.schemas.progress import PROGRESS, Watermark
from songline.schemas.projections import PROJECTIONS_OF_VERSIONS, container_of
from songline.schemas.types import Moment

TRENDING = "trending"


class ProjectionPlace(Struct, frozen=True):
    """Where a worker records its positions: its consumer group and its Cosmos DB container, which is that of the live
    version where the projection has versions.

    `key` is the container's partition key. Trending commits to Kafka, and has no `checkpoints` in Blob Storage; its
    positions are those of the live version of the charts.
    """

    worker: str
    group: str
    projection: str
    key: str
    checkpoints: bool = True


PROJECTIONS: Mapping[str, ProjectionPlace] = {
    place.worker: place
    for place in (
        ProjectionPlace("library", LIBRARY_GROUP, LIBRARY, "shelf"),
        ProjectionPlace("catalog", CATALOG_GROUP, SONGS, "id"),
        ProjectionPlace("broadcast", BROADCAST_GROUP, BROADCAST, "id"),
        ProjectionPlace(TRENDING, TRENDING_GROUP, ATTEMPTS, "id", checkpoints=False),
    )
}


class PartitionCheckpoint(Struct, frozen=True, kw_only=True, rename="camel"):
    """A worker's recorded position in a partition, and the state of the hub.

    `position` is the last applied event, None if nothing is recorded. `checkpoint` is what scalers go by.
    `created_at` is the creation time of the hub that the position belongs to. `first` and `last` are the sequence
    numbers that the hub holds. `mismatch` says why the worker can't go on, None if it can.
    """

    partition: str
    position: int | None
    checkpoint: int | None
    created_at: Moment | None
    hub_created_at: Moment
    first: int
    last: int
    resets: int
    lost: int
    mismatch: str | None


class ProjectionCheckpoints:
    """The checkpoints of one worker. Methods raise AzureError and EventHubError."""

    def __init__(self, hub: HubMetadata, positions: WatermarkStore, checkpoints: Checkpoints | None) -> None:
        self._hub = hub
        self._positions = positions
        self._checkpoints = checkpoints

    async def read(self) -> list[PartitionCheckpoint]:
        """One for each partition that the hub has or had, by number."""
        noted = await self._positions.read_all()
        begins = {} if self._checkpoints is None else await self._checkpoints.all()
        hub = await self._hub.describe()
        lost = missing_partitions(noted, hub.partitions, MUSIC_EVENTS)
        rows = []
        for one in sorted(hub.partitions | lost.keys(), key=int):
            state = HubState(hub.created_at, 0, -1) if one in lost else await self._hub.read_state(one)
            rows.append(_described(one, noted.get(one), begins.get(one), state, lost.get(one)))
        return rows

    async def reset(self, partition: str) -> Watermark | None:
        """Make the worker read the partition from the first event that the hub holds; return the new watermark.

        For a partition that the hub doesn't have any more, the record is deleted and the position is -1. Returns None,
        without a change, if another reset came first.
        """
        hub, before = await self._hub.describe(), await self._positions.read(partition)
        if partition not in hub.partitions:
            await self._positions.remove(partition)
            return Watermark(position=-1, through=None)
        state = await self._hub.read_state(partition)
        if before is None:
            await self._positions.add([partition], state.created_at)
            before = await self._positions.read(partition)
        after = reset_watermark(before, state)
        if not await self._positions.reset(partition, before, after):
            return None
        if self._checkpoints is not None:
            await self._checkpoints.rewind(partition)
        return after


@asynccontextmanager
async def opened(place: ProjectionPlace, environ: Mapping[str, str]) -> AsyncIterator[ProjectionCheckpoints]:
    """The checkpoints of the worker of `place`, with open clients while the context lasts; raises SettingError,
    AzureError and DamagedVersionError."""
    settings, account = read_eventhubs(environ), read_cosmos(environ)
    storage = read_blobs(environ) if place.checkpoints else None
    async with AsyncExitStack() as stack:
        client = eventhubs.consumer(settings, MUSIC_EVENTS, place.group)
        await stack.enter_async_context(client)
        database = cosmos.client(account)
        stack.push_async_callback(database.close)
        in_blobs = None
        if storage is not None:
            store = await stack.enter_async_context(checkpoints.store(storage, CHECKPOINT_BLOBS))
            in_blobs = Checkpoints(store, settings.address, MUSIC_EVENTS, place.group)
        container = place.projection
        if container in PROJECTIONS_OF_VERSIONS:
            live = await live_version.read(cosmos.container(database, DATABASE, LIVE_VERSIONS), place.projection)
            container = container_of(place.projection, live.version)
        document = PROGRESS
        if place.worker == TRENDING:
            live = await live_version.read(cosmos.container(database, DATABASE, LIVE_VERSIONS), CHARTS)
            document = StateVersion(live.version).positions
        positions = WatermarkStore(cosmos.container(database, DATABASE, container), place.key, document)
        yield ProjectionCheckpoints(HubMetadata(client), positions, in_blobs)


def _described(
    partition: str, noted: Watermark | None, begins: int | None, hub: HubState, lost: HubMismatch | None
) -> PartitionCheckpoint:
    found = lost or resume_point(noted, hub, f"{MUSIC_EVENTS}/{partition}")
    reached = noted or Watermark(position=-1, through=None)
    return PartitionCheckpoint(
        partition=partition,
        position=None if noted is None else noted.position,
        checkpoint=begins,
        created_at=reached.created_at,
        hub_created_at=hub.created_at,
        first=hub.first,
        last=hub.last,
        resets=reached.resets,
        lost=reached.lost,
        mismatch=found.sentence if isinstance(found, HubMismatch) else None,
    )
