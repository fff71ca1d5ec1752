"""What is known of each projection that has versions: its container, and where its versions say how far they are."""

from collections.abc import Awaitable, Callable, Mapping

from azure.cosmos.aio import ContainerProxy, CosmosClient
from azure.cosmos.exceptions import CosmosResourceNotFoundError
from msgspec import Struct, structs

from songline.cloud import cosmos
from songline.cloud.cosmos import Container
from songline.cloud.settings import names_blobs
from songline.processors.catalog import song_store
from songline.processors.history.charts.checkpoints import remove_checkpoints
from songline.processors.history.charts.trending_state import remove_charts_state
from songline.processors.library import shelf_store
from songline.processors.runtime.watermark_store import WatermarkStore
from songline.processors.trending.containers import CHARTS_CONTAINER, PLAYS_CONTAINER
from songline.processors.trending.state_version import StateVersion
from songline.schemas.channels import ATTEMPTS, CHARTS, DATABASE, LIBRARY, PLAYS, SONGS
from songline.schemas.decoding import convert
from songline.schemas.plays import SHARDS_KEY, ShardProgressDocument
from songline.schemas.progress import PROGRESS, Freshness, Watermark
from songline.schemas.projections import container_of

ReadWatermarks = Callable[[CosmosClient, int], Awaitable[Mapping[str, Watermark]]]
RemoveRest = Callable[[int, CosmosClient, Mapping[str, str]], Awaitable[None]]


async def _nothing(version: int, account: CosmosClient, environ: Mapping[str, str]) -> None:
    """A version has nothing of the kind."""


class VersionedProjection(Struct, frozen=True):
    """A projection whose versions are containers like `container`. `watermarks` reads how far a version is; nothing
    where its container is not there. `worker` writes the live version. `remove_rest` removes what a version has beside
    its container, and `remove_checkpoints` what a rebuild has left that is not gone on with."""

    name: str
    worker: str
    container: Container
    watermarks: ReadWatermarks
    remove_rest: RemoveRest = _nothing
    remove_checkpoints: RemoveRest = _nothing


def _stored(projection: str, key: str) -> ReadWatermarks:
    async def read(account: CosmosClient, version: int) -> Mapping[str, Watermark]:
        return await WatermarkStore(_container(account, projection, version), key).read_all()

    return read


async def _of_charts(account: CosmosClient, version: int) -> Mapping[str, Watermark]:
    """The positions are those of the charts. Of which hub they are, its worker has noted beside its state."""
    noted = WatermarkStore(cosmos.container(account, DATABASE, ATTEMPTS), document=StateVersion(version).positions)
    try:
        found = await _container(account, CHARTS, version).read_item(PROGRESS, PROGRESS)
    except CosmosResourceNotFoundError:
        return {}
    fresh, known, nothing = (
        convert(dict(found), Freshness),
        await noted.read_all(),
        Watermark(position=-1, through=None),
    )
    return {
        partition: structs.replace(known.get(partition, nothing), position=position, through=fresh.complete_through)
        for partition, position in fresh.position.items()
    }


async def _of_plays(account: CosmosClient, version: int) -> Mapping[str, Watermark]:
    """The least of all shards; nothing before each of them has said how far it is."""
    container = _container(account, PLAYS, version)
    items = container.query_items("SELECT * FROM c", partition_key=SHARDS_KEY)
    try:
        shards = [convert(dict(item), ShardProgressDocument) async for item in items]
    except CosmosResourceNotFoundError:
        return {}
    if not shards or len(shards) < shards[0].shards:
        return {}
    partitions = {partition for shard in shards for partition in shard.partitions}
    nothing = Watermark(position=-1, through=None)
    return {
        partition: min((shard.partitions.get(partition, nothing) for shard in shards), key=lambda one: one.position)
        for partition in partitions
    }


def _container(account: CosmosClient, projection: str, version: int) -> ContainerProxy:
    return cosmos.container(account, DATABASE, container_of(projection, version))


async def _remove_checkpoints_of_charts(version: int, account: CosmosClient, environ: Mapping[str, str]) -> None:
    if names_blobs(environ):
        await remove_checkpoints(environ, CHARTS, version)


async def _remove_checkpoints_of_plays(version: int, account: CosmosClient, environ: Mapping[str, str]) -> None:
    if names_blobs(environ):
        await remove_checkpoints(environ, PLAYS, version)


VERSIONED: Mapping[str, VersionedProjection] = {
    one.name: one
    for one in (
        VersionedProjection(
            CHARTS, "trending", CHARTS_CONTAINER, _of_charts, remove_charts_state, _remove_checkpoints_of_charts
        ),
        VersionedProjection(
            PLAYS, "trending", PLAYS_CONTAINER, _of_plays, remove_checkpoints=_remove_checkpoints_of_plays
        ),
        VersionedProjection(LIBRARY, "library", shelf_store.CONTAINER, _stored(LIBRARY, "shelf")),
        VersionedProjection(SONGS, "catalog", song_store.CONTAINER, _stored(SONGS, "id")),
    )
}
