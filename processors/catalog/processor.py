"""The catalog's part of the pump: the songs of a batch are written and published at once."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from songline.processors.catalog.fold import ParsedSongBatch, parse_songs
from songline.processors.catalog.match_store import MatchStore
from songline.processors.catalog.song_store import SongStore, StoredSong
from songline.processors.runtime.hub_record import HubRecord
from songline.processors.runtime.persistent_retry import PersistentRetry
from songline.schemas.errors import PoisonError

IN_FLIGHT = 8
"""How many songs of a partition are written at a time."""


class CatalogPartitionProcessor:
    """A partition of `music-events`. It holds nothing between two batches. `publish` returns once readers of the hub
    `catalog` get a song that was written. `matches` keeps what is said of names, where
    that is kept."""

    def __init__(
        self,
        partition: str,
        songs: SongStore,
        publish: Callable[[StoredSong], Awaitable[None]],
        retries: PersistentRetry,
        matches: MatchStore | None = None,
    ) -> None:
        self._partition = partition
        self._songs = songs
        self._publish = publish
        self._retries = retries
        self._matches = matches
        self._gate = asyncio.Semaphore(IN_FLIGHT)

    @property
    def is_full(self) -> bool:
        """False: nothing is held."""
        return False

    async def process(self, records: Sequence[HubRecord]) -> Mapping[int, PoisonError]:
        """Return once the songs are written and published, with what can't be decoded, by position."""
        batch = parse_songs(records, self._partition)
        async with asyncio.TaskGroup() as group:
            for song_id in batch.facts.keys() | batch.resubmitted.keys():
                group.create_task(self._retries.run(partial(self._write, song_id, batch), writes_item=True))
        if self._matches is not None:
            for name, said in batch.matches:
                await self._retries.run(partial(self._matches.apply, name, said), writes_item=True)
        return batch.poison

    async def flush(self) -> None:
        """Nothing is held."""

    def close(self) -> None:
        """Nothing is held."""

    async def _write(self, song_id: str, batch: ParsedSongBatch) -> None:
        facts, resubmitted = batch.facts.get(song_id, ()), batch.resubmitted.get(song_id, ())
        async with self._gate:
            # Published also where nothing changed: the worker that wrote the facts may have died before publishing.
            stored = await self._songs.apply(song_id, self._partition, facts, resubmitted)
            await self._publish(stored)
