"""Reads the songs that can be streamed out of the catalog, and keeps them up to date with little reading.

All songs are read once, the newest first. From then on a question costs one query, for the documents that were written
since the last one began. What was deleted is not among these (a listener was forgotten): all is read anew now and then.
"""

import asyncio
import math
import time
from collections.abc import Callable
from typing import Any

from msgspec import Struct, field

from songline.players.opensubsonic.collection import Collection, Listed, derived, edged
from songline.projections.songs.served_songs import SongVersions
from songline.projections.store import DocumentStore, StoreUnavailableError
from songline.schemas.songs import SongDocument

MAX_SONGS = 50_000
"""So many songs are listed, the newest ones. Each takes about a kilobyte of memory."""
MAX_READ = 100_000
"""So many documents of the catalog are read for them, the newest ones: songs that were announced without their sound
are among these."""
FRESH_S = 1.0
"""A collection is as old as this at most."""
WHOLE_S = 600.0
"""All songs are read again after so many seconds."""
PATIENCE_S = 20.0
"""A request waits so long for the first read."""
MANY = 2_000
"""Where so many documents were written since, the whole catalog is read page by page."""
_PAGE = 1_000
_OVERLAP_S = 5
"""Seconds of documents that are read again: writers have clocks of their own, and a write takes its time."""
_COLUMNS = "SELECT c.id, c.facts, c.order, c.words, c._ts FROM c"
_NEWEST = f"{_COLUMNS} WHERE c.order < @before ORDER BY c.order DESC"
_CHANGED = f"{_COLUMNS} WHERE c._ts >= @since"
_BEFORE_ALL = "~"


class CatalogRow(SongDocument, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A song's document, and when it was written last, in unix seconds."""

    written_s: int = field(name="_ts")


class _Read(Struct):
    """What was read of one version of the catalog. `written_s`: documents as they were then are in it, in unix seconds.
    The reading may have taken a while: it is no later than its beginning."""

    version: int
    listed: dict[str, Listed]
    written_s: int
    whole_s: float
    fresh_s: float
    collection: Collection


class CollectionReader:
    """The collection of the live version of the songs; `steady` gives monotonic seconds."""

    def __init__(self, songs: SongVersions, steady: Callable[[], float] = time.monotonic) -> None:
        self._songs, self._steady = songs, steady
        self._read: _Read | None = None
        self._reading: asyncio.Task[_Read] | None = None

    async def read(self) -> Collection:
        """The collection, FRESH_S old at most. Raises StoreUnavailableError."""
        found = self._read
        if found is not None and self._steady() - found.fresh_s < FRESH_S:
            return found.collection
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._renewed(found))
            self._reading.add_done_callback(_seen)
        try:
            async with asyncio.timeout(PATIENCE_S):
                # Requests that come meanwhile share it, and it goes on when they are given up.
                return (await asyncio.shield(self._reading)).collection
        except TimeoutError:
            raise StoreUnavailableError("the catalog is being read, which takes its time when it is large") from None

    async def close(self) -> None:
        """End what is being read."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])

    async def _renewed(self, found: _Read | None) -> _Read:
        served = await self._songs.live()
        began_s = self._steady()
        if found is None or found.version != served.version or began_s - found.whole_s >= WHOLE_S:
            found = await self._whole(served.version, served.store, began_s)
        else:
            found = await self._changed(found, served.store, began_s)
        self._read = found
        return found

    async def _whole(self, version: int, store: DocumentStore, began_s: float) -> _Read:
        listed: dict[str, Listed] = {}
        before, written_s = _BEFORE_ALL, 0
        for _ in range(MAX_READ // _PAGE):
            rows = await store.find(_NEWEST, [{"name": "@before", "value": before}], _PAGE, CatalogRow)
            for row in rows:
                written_s = max(written_s, row.written_s)
                _apply(listed, row)
            if len(rows) < _PAGE or rows[-1].order is None or len(listed) >= MAX_SONGS:
                break
            before = rows[-1].order
        written_s -= self._taken_s(began_s)
        return _Read(version, listed, written_s, began_s, began_s, await _collected(listed))

    async def _changed(self, found: _Read, store: DocumentStore, began_s: float) -> _Read:
        since: list[dict[str, Any]] = [{"name": "@since", "value": max(0, found.written_s - _OVERLAP_S)}]
        rows = await store.find(_CHANGED, since, MANY, CatalogRow)
        if len(rows) == MANY:
            return await self._whole(found.version, store, began_s)
        written_s = max((row.written_s for row in rows), default=found.written_s) - self._taken_s(began_s)
        listed = found.listed
        is_changed = False
        for row in rows:
            is_changed = _apply(listed, row) or is_changed
        while len(listed) > MAX_SONGS:
            del listed[min(listed, key=lambda song_id: listed[song_id].song.uploaded_at)]
        collection = await _collected(listed) if is_changed else found.collection
        return _Read(found.version, listed, max(written_s, found.written_s), found.whole_s, began_s, collection)

    def _taken_s(self, began_s: float) -> int:
        """The whole seconds since a read began. The last document that it found was written in these, or before them:
        so many seconds earlier no page of it was read."""
        return math.ceil(self._steady() - began_s)


def _apply(listed: dict[str, Listed], row: CatalogRow) -> bool:
    """List the song, or drop it where it is gone or has no sound; return whether that changed anything."""
    song, before = row.song, listed.get(row.id)
    if song is None or song.sha256 is None or song.size is None:
        return listed.pop(row.id, None) is not None
    if before is not None and before.song == song:
        return False
    listed[row.id] = Listed(song, edged(word for word in row.words if not word.startswith(" ")))
    return True


async def _collected(listed: dict[str, Listed]) -> Collection:
    """The collection, with what is derived from it: in a thread, because that takes its time when it is large."""
    return await asyncio.to_thread(derived, list(listed.values()))


def _seen(reading: asyncio.Task[_Read]) -> None:
    """An error that no request waited for is one of the next read."""
    if not reading.cancelled():
        reading.exception()
