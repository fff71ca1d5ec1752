"""What is known of each projection that has versions: its container, and where its versions say how far they are."""

from collections.abc import Awaitable, Callable, Mapping

from azure.cosmos.aio import ContainerProxy, CosmosClient
from azure.cosmos.exceptions import CosmosResourceNotFoundError
from msgspec import Struct

from songline.cloud.cosmos import Container
from songline.processors.catalog import song_store
from songline.processors.history.charts.trending_state import remove_charts_state
from songline.processors.library import shelf_store
from songline.processors.runtime.watermark_store import WatermarkStore
from songline.processors.trending.containers import CHARTS_CONTAINER, PLAYS_CONTAINER
from songline.schemas.channels import CHARTS, LIBRARY, PLAYS, SONGS
from songline.schemas.decoding import convert
from songline.schemas.plays import SHARDS_KEY, ShardProgressDocument
from songline.schemas.progress import PROGRESS, Freshness, Watermark

ReadWatermarks = Callable[[ContainerProxy], Awaitable[Mapping[str, Watermark]]]
RemoveRest = Callable[[int, CosmosClient, Mapping[str, str]], Awaitable[None]]


class VersionedProjection(Struct, frozen=True):
    """A projection whose versions are containers like `container`. `watermarks` reads how far a version is, from its
    container; of none where that is not there. `worker` writes the live version."""

    name: str
    worker: str
    container: Container
    watermarks: ReadWatermarks
    remove_rest: RemoveRest | None = None


def _stored(key: str) -> ReadWatermarks:
    async def read(container: ContainerProxy) -> Mapping[str, Watermark]:
        return await WatermarkStore(container, key).read_all()

    return read


async def _of_charts(container: ContainerProxy) -> Mapping[str, Watermark]:
    try:
        fresh = convert(dict(await container.read_item(PROGRESS, PROGRESS)), Freshness)
    except CosmosResourceNotFoundError:
        return {}
    return {
        partition: Watermark(position=position, through=fresh.complete_through)
        for partition, position in fresh.position.items()
    }


async def _of_plays(container: ContainerProxy) -> Mapping[str, Watermark]:
    """The least of all shards; nothing before each of them has said how far it is."""
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


VERSIONED: Mapping[str, VersionedProjection] = {
    one.name: one
    for one in (
        VersionedProjection(CHARTS, "trending", CHARTS_CONTAINER, _of_charts, remove_charts_state),
        VersionedProjection(PLAYS, "trending", PLAYS_CONTAINER, _of_plays),
        VersionedProjection(LIBRARY, "library", shelf_store.CONTAINER, _stored("shelf")),
        VersionedProjection(SONGS, "catalog", song_store.CONTAINER, _stored("id")),
    )
}
