"""A partition's open hour that is saved in part, and a worker that loads it after a start."""

import asyncio
from datetime import UTC, datetime
from itertools import count

from songline.processors.trending.action_hashes import UserHashes
from songline.processors.trending.cells.partition_cells import PartitionCells
from songline.processors.trending.cells.source_partition import SourcePartition
from songline.processors.trending.faust.batch import Batch
from songline.processors.trending.song_index import RegionIndex, SongIndex
from songline.processors.trending.spans import HOUR_MS
from songline.schemas.envelope import Event, encode
from songline.schemas.events import SongPlayed
from songline.schemas.moments import milliseconds
from tests.support.hour_storage import HourStorage
from tests.support.trending import KEY

NOW = datetime(2026, 11, 22, 14, 33, 30, tzinfo=UTC)
NOW_MS = milliseconds(NOW)
HOUR = NOW_MS // HOUR_MS
_owners = count()


def save(stored: HourStorage, users: range) -> None:
    """Save plays of these listeners in the changelog."""
    stored.saved.update({key.encode(): value for key, value in chunks(users).items()})


async def seal(stored: HourStorage, users: range) -> None:
    """Seal them in one block more of the hour."""
    await stored.add_block(HOUR, chunks(users).values())


def partition(cells: PartitionCells | None = None, songs: SongIndex | None = None) -> SourcePartition:
    shared = (SongIndex(1) if songs is None else songs, RegionIndex(), UserHashes())
    return SourcePartition(0, f"owner-{next(_owners)}", 1, *shared, KEY, -1, cells=cells)


def play(source: SourcePartition, users: range) -> None:
    """Have each of the listeners play a song, none of which is flushed."""
    data = [SongPlayed(user_id=f"user-{one}", song_id="song-1", played_ms=60_000, duration_ms=90_000) for one in users]
    bodies = [encode(Event(id="e", source="/tests", time=NOW, data=one)) for one in data]
    source.apply(Batch(0, len(bodies), range(len(bodies)), [NOW_MS] * len(bodies), bodies))


def chunks(users: range) -> dict[str, bytes]:
    source = partition()
    play(source, users)
    source.cells.add(source.cells.new_cell(HOUR))
    return {key: value for key, value in source.take_changes(NOW_MS).chunks.items() if value is not None}


class Successor:
    """A worker that loads the hour early, and is assigned the partition later."""

    def __init__(self, stored: HourStorage) -> None:
        self.store = stored.store()
        self._songs = SongIndex(1)
        self.store.load_early(0, PartitionCells(self._songs, KEY, count()), NOW_MS)

    async def read_early(self) -> None:
        """Return once all is loaded that is there."""
        assert self.store._early is not None
        await asyncio.gather(*self.store._early._partitions[0].loads.values())

    async def counted(self, users: range) -> list[int]:
        """The listens of the song after it was assigned and these listeners have played it; none if all had before."""
        early = self.store.take_early(0)
        assert early is not None
        source = partition(early.cells, self._songs)
        self.store.preload(0, early.cells, NOW_MS, early.loads)
        if (load := self.store._loads.get(0)) is not None:
            await load.task
        play(source, users)
        while source.cells.missing():
            await self.store.load_missing({0: source.cells}, NOW_MS)
            assert self.store.last_error({0}) is None
        changes: list[int] = source.take_changes(NOW_MS).hours.counts[:, 0].tolist()
        await self.store.load_missing({}, NOW_MS)
        return changes
