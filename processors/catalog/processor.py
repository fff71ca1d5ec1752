"""The catalog's side of the pump: what a batch says of songs is written at once, and told."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial

from songline.processors.catalog import fold
from songline.processors.catalog.compacted_topic_writer import CompactedTopicWriter
from songline.processors.catalog.song_store import SongStore
from songline.processors.runtime.hub_record import HubRecord
from songline.processors.runtime.persistent_retry import PersistentRetry
from songline.schemas.errors import PoisonError

IN_FLIGHT = 8


class CatalogPartitionProcessor:
    """A partition of `music-events`."""

    def __init__(self, partition: str, songs: SongStore, table: CompactedTopicWriter, retries: PersistentRetry) -> None:
        self._partition = partition
        self._songs = songs
        self._table = table
        self._retries = retries
        self._gate = asyncio.Semaphore(IN_FLIGHT)

    @property
    def full(self) -> bool:
        """Never: nothing is held."""
        return False

    async def take(self, records: Sequence[HubRecord]) -> Mapping[int, PoisonError]:
        """Returns when the songs are written and told: what could not be understood, by position."""
        said = fold.read(records)
        async with asyncio.TaskGroup() as group:
            for song_id in said.facts.keys() | said.again.keys():
                group.create_task(self._retries.run(partial(self._write, song_id, said), writes_item=True))
        return said.poison

    async def flush(self) -> None:
        """What was taken is written."""

    def close(self) -> None:
        """Nothing is held."""

    async def _write(self, song_id: str, said: fold.ParsedSongBatch) -> None:
        facts, again = said.facts.get(song_id, ()), said.again.get(song_id, ())
        async with self._gate:
            # What is found applied is published as well: its writer may have died before that.
            await self._table.publish(await self._songs.apply(song_id, self._partition, facts, again))
