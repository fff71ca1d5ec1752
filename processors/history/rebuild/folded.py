"""Rebuilds of `library` and `songs`: their partitions are folded by the processors of their workers."""

import time
from functools import partial

from azure.cosmos.aio import ContainerProxy

from songline.cloud import cosmos
from songline.cloud.concurrency import gather_or_cancel
from songline.processors.catalog import song_store
from songline.processors.catalog.match_store import MatchStore
from songline.processors.catalog.processor import CatalogPartitionProcessor
from songline.processors.catalog.song_store import SongStore, StoredSong
from songline.processors.history.rebuild.hub_life import HubLife
from songline.processors.history.rebuild.partition_fold import FoldParts, PartitionFold
from songline.processors.history.rebuild.passes import ask_ends, repeat_passes
from songline.processors.history.rebuild.progress import events_between
from songline.processors.history.rebuild.projection import RebuildParts, RebuiltProjection
from songline.processors.library import shelf_store
from songline.processors.library.config import LibraryConfig
from songline.processors.library.processor import SHELVES_PER_PARTITION, LibraryProcessor, ShelfLayout
from songline.processors.library.shelf_store import ShelfStore
from songline.processors.runtime.hub_record import HubRecord
from songline.processors.runtime.partition_processor import OpenProcessor
from songline.processors.runtime.watermark_store import WatermarkStore
from songline.schemas.channels import DATABASE, LIBRARY, NAMES, SONGS
from songline.schemas.projections import VersionDocument


async def fold_history(parts: RebuildParts, key: str, open_processor: OpenProcessor) -> None:
    """Fold all partitions at once until they are at the hub's end, or have all from before `until_s`."""
    life = HubLife(parts.hub, parts.version)
    hub = await life.begin()
    watermarks = WatermarkStore(parts.container, key)
    partitions = sorted({*await parts.history.partitions(), *hub.partitions}, key=int)
    await watermarks.add(sorted(hub.partitions), hub.created_at)
    shared = FoldParts(open_processor, watermarks, life, parts.count)
    folds = [PartitionFold(partition, shared) for partition in partitions]
    for fold in folds:
        await fold.resume()
    for partition, count in parts.count.partitions.items():
        # A write of the rebuild before may have been under way when the version's positions were read.
        parts.count.events += events_between(parts.version.positions.get(partition, -1), count.position)

    async def fold_all() -> None:
        await life.begin()
        await gather_or_cancel(fold.run(parts.history, parts.until_s) for fold in folds)

    # Of live traffic more comes in while the last partition is folded.
    await repeat_passes(partial(ask_ends, parts), fold_all, once=parts.until_s is not None)


def open_libraries(container: ContainerProxy, version: VersionDocument) -> OpenProcessor:
    """What opens the processors of a version of the libraries."""
    config = LibraryConfig()
    layout = ShelfLayout(version.version, version.shelves)
    return LibraryProcessor(ShelfStore(container, config.room), layout, config.writes, config.buffer).open


def open_songs(container: ContainerProxy, version: VersionDocument, matches: MatchStore | None = None) -> OpenProcessor:
    """What opens the processors of a version of the songs. The hub `catalog` is the live version's: nothing is
    published. What was said of names is kept in `matches`, which has no versions. Nobody reads the version yet: all of
    it may wait until it is saved."""

    async def publish(stored: StoredSong) -> None:
        return

    def holds(record: HubRecord) -> bool:
        return True

    store = SongStore(container)
    return lambda partition, retries: CatalogPartitionProcessor(partition, store, publish, retries, matches, holds)


async def rebuild_libraries(parts: RebuildParts) -> None:
    """Fold the history into a version of the libraries. Raises as PartitionFold does."""
    await fold_history(parts, LIBRARIES.key, open_libraries(parts.container, parts.version))


async def rebuild_songs(parts: RebuildParts) -> None:
    """Fold the history into a version of the songs. Raises as PartitionFold does."""
    matches = MatchStore(cosmos.container(parts.account, DATABASE, NAMES), time.time)
    await fold_history(parts, CATALOG_SONGS.key, open_songs(parts.container, parts.version, matches))


LIBRARIES = RebuiltProjection(
    LIBRARY,
    shelf_store.CONTAINER,
    "shelf",
    rebuild_libraries,
    lambda partitions: partitions * SHELVES_PER_PARTITION,
)
CATALOG_SONGS = RebuiltProjection(SONGS, song_store.CONTAINER, "id", rebuild_songs)
