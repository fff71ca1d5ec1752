"""The catalog's part of the pump: songs are written and published as they come, or held while more of them come."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from songline.cloud.concurrency import gather_or_cancel
from songline.processors.catalog.fold import parse_songs
from songline.processors.catalog.held_facts import HeldFacts
from songline.processors.catalog.match_store import MatchStore
from songline.processors.catalog.song_store import SongStore, StoredSong
from songline.processors.runtime.hub_record import HubRecord
from songline.processors.runtime.persistent_retry import PersistentRetry
from songline.schemas.errors import PoisonError

IN_FLIGHT = 8
"""How many songs of a partition are written at a time."""

HELD_MAX = 500
"""So many songs of a partition are held at most: to write them takes a second or two."""


def never(record: HubRecord) -> bool:
    """Hold nothing: what a batch says is written before the next one comes."""
    return False


class CatalogPartitionProcessor:
    """A partition of `music-events`. `publish` returns once readers of the hub `catalog` get a song that was written.
    `matches` keeps what is said of names, where that is kept. `holds` says, of the last record of a batch, whether what
    the batch says may wait for `flush`: a song of which much is said is written once then."""

    def __init__(
        self,
        partition: str,
        songs: SongStore,
        publish: Callable[[StoredSong], Awaitable[None]],
        retries: PersistentRetry,
        matches: MatchStore | None = None,
        holds: Callable[[HubRecord], bool] = never,
    ) -> None:
        self._partition = partition
        self._songs = songs
        self._publish = publish
        self._retries = retries
        self._matches = matches
        self._holds = holds
        self._held = HeldFacts()
        self._gate = asyncio.Semaphore(IN_FLIGHT)

    @property
    def is_full(self) -> bool:
        """Whether what is held must be written before more is taken."""
        return len(self._held) >= HELD_MAX

    async def process(self, records: Sequence[HubRecord]) -> Mapping[int, PoisonError]:
        """Return once the songs are written and published, or held, with what can't be decoded, by position."""
        batch = parse_songs(records, self._partition)
        self._held.add(batch)
        if records and not self._holds(records[-1]):
            await self.flush()
        return batch.poison

    async def flush(self) -> None:
        """Return once all that is held is written and published."""
        await gather_or_cancel(map(self._write, self._held.songs))
        if self._matches is not None:
            for name, said in self._held.matches:
                await self._retries.run(partial(self._matches.apply, name, said), writes_item=True)
        self._held.matches.clear()

    def close(self) -> None:
        """Drop what is held: the partition's next reader reads it again."""
        self._held = HeldFacts()

    async def _write(self, song_id: str) -> None:
        await self._retries.run(partial(self._apply, song_id), writes_item=True)
        self._held.remove(song_id)

    async def _apply(self, song_id: str) -> None:
        facts, resubmitted = self._held.of(song_id)
        async with self._gate:
            # Published also where nothing changed: the worker that wrote the facts may have died before publishing.
            stored = await self._songs.apply(song_id, self._partition, facts, resubmitted)
            await self._publish(stored)
