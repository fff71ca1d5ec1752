"""The cells of a source partition: its actions by the UTC hour of their event time, and the counts of each cell.

A listener moves a song at most once an hour for each kind of action, and a listener lives in one partition. So a
cell is a *set* of actions in which the first one stays, and counts are a function of it. Folding events that the
cell has seen before changes nothing, so any part of the log may be replayed in its order.

The set is saved as chunks, and is their union. A chunk is rewritten by each flush until it is closed, and is never
changed again. An owner of the partition writes chunks of its own and leaves those of earlier owners alone, so an owner
that has lost the partition without noticing it can overwrite nothing.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from msgspec import Struct

from songline.processors.trending.cells.action_codes import KIND_BITS, MINUTE_BITS
from songline.processors.trending.cells.chunks import (
    CHUNK_ROWS,
    Actions,
    ChunkColumns,
    SavedChunk,
    chunk_actions,
    encode_chunk,
    join_actions,
)
from songline.processors.trending.cells.identity_key import IdentityKey
from songline.processors.trending.cells.wire import CountRows
from songline.processors.trending.count_table import KINDS
from songline.processors.trending.song_index import Ints, SongIndex
from songline.processors.trending.sorted_columns import Column, Columns, CountMap, HashSet, Words

OPEN_ROWS = 512
"""A chunk with fewer actions stays open: the next flush writes it again, and has one record less."""
COUNT_ROWS = 1 << 18
"""Actions that were saved are counted so many at once: some hundred bytes each meanwhile."""


class CellFlush(Struct, frozen=True):
    """What changed in a cell since its last flush: absolute counts, and chunks to save by number."""

    hour: int
    minutes: CountRows
    hours: CountRows
    chunks: dict[int, bytes]


class CellColumns(NamedTuple):
    """All that a cell has counted: `identities` by their two words, and counts of songs, regions and minutes by code
    without kind (see `action_codes.code`). Both are in runs that rise."""

    identities: list[Columns]
    minutes: list[Columns]


class Cell:
    """The actions of one partition and hour: what was counted, and what is saved in the chunk that is open."""

    def __init__(self, hour: int, songs: SongIndex, key: IdentityKey, pieces: Iterator[int]) -> None:
        self.hour = hour
        self.songs = songs
        self._key = key
        self._pieces = pieces
        self._known = HashSet()
        self._minutes = CountMap()
        self._hours = CountMap()
        self._open: Actions | None = None
        self._piece = -1
        self.sealed_bytes = 0
        """The cell has the actions of so many bytes with which the blob of its sealed hour begins."""

    @property
    def rows(self) -> int:
        """The actions in memory."""
        return len(self._known)

    @property
    def open_piece(self) -> int | None:
        """The number of the chunk that the next flush may write again."""
        return None if self._open is None else self._piece

    def close_chunk(self) -> None:
        """Write no chunk again that was written."""
        self._open = None

    def flush(self, fresh: Actions) -> CellFlush:
        """Count those of the actions, in their order, that are the first of their kind, listener and song.

        `fresh`: actions with their hashes in place of their identities.
        """
        actions = self._firsts(Actions(self._key.identities(fresh.identities), fresh.codes))
        minutes, hours = self._count(np.sort(actions.codes))
        return CellFlush(self.hour, minutes, hours, dict(self._chunks(actions)))

    def restore(self, chunks: Iterable[SavedChunk | ChunkColumns]) -> None:
        """Count the actions of saved chunks. Chunks may come again, and in any order."""
        self.count_saved([self.saved_actions(chunk) for chunk in chunks])

    def saved_actions(self, chunk: SavedChunk | ChunkColumns) -> Actions:
        """The actions of a saved chunk, or of some, that were checked."""
        return chunk_actions(chunk, self.songs, self._key)

    def count_saved(self, parts: list[Actions]) -> None:
        """Count actions that were saved, and empty the list. Of a cell that is not in use yet, another thread may do
        it: nothing is changed but the cell."""
        if not parts:
            return
        actions = join_actions(parts)
        # One copy less of them.
        parts.clear()
        codes = self._firsts(actions).codes
        del actions
        codes = np.sort(codes)
        for start in range(0, len(codes), COUNT_ROWS):
            self._count(codes[start : start + COUNT_ROWS])

    @contextmanager
    def kept(self) -> Iterator[CellColumns]:
        """All that was counted, in columns that don't change in the block."""
        with self._known.kept() as identities, self._minutes.kept() as minutes:
            yield CellColumns(identities, minutes)

    def restore_columns(self, columns: CellColumns) -> None:
        """Hold what another cell of the hour has counted (`kept`), by the numbers that songs have here, in arrays that
        are used by nobody else. Nothing was counted yet."""
        self._known.restore(columns.identities)
        for keys, counts in columns.minutes:
            self._hours.add(*_summed(keys >> MINUTE_BITS, counts))
        self._minutes.restore(columns.minutes)

    def _firsts(self, actions: Actions) -> Actions:
        new = self._known.add(actions.identities)
        return actions if new.all() else Actions(actions.identities[new], actions.codes[new])

    def _chunks(self, fresh: Actions) -> Iterator[tuple[int, bytes]]:
        if not len(fresh):
            return
        actions = fresh if self._open is None else join_actions([self._open, fresh])
        for start in range(0, len(actions), CHUNK_ROWS):
            part = slice(start, start + CHUNK_ROWS)
            # Copies, or a few rows would keep the columns of a whole flush.
            chunk = Actions(actions.identities[part].copy(), actions.codes[part].copy())
            if self._open is None:
                self._piece = next(self._pieces)
            yield self._piece, encode_chunk(chunk, self.songs, self._key)
            self._open = chunk if len(chunk) < OPEN_ROWS else None

    def _count(self, codes: Ints) -> tuple[CountRows, CountRows]:
        """Count actions by their codes, which rise."""
        minutes, more = _counted(codes)
        pairs = minutes >> MINUTE_BITS
        starts = _starts(pairs)
        # Rows of a pair stand beside each other, since the minutes are sorted.
        more_by_hour = np.add.reduceat(more, starts)
        by_hour = pairs[starts]
        return (
            CountRows(
                pairs,
                self.hour * 60 + (minutes & (1 << MINUTE_BITS) - 1),
                self._minutes.add(minutes.astype(np.uint64), more),
            ),
            CountRows(
                by_hour,
                np.full(len(by_hour), self.hour, np.int64),
                self._hours.add(by_hour.astype(np.uint64), more_by_hour),
            ),
        )


def _counted(codes: Ints) -> tuple[Ints, Ints]:
    """The distinct ones of codes that rise, without their kind, and how many of each kind there are."""
    keys, kinds = codes >> KIND_BITS, codes & (1 << KIND_BITS) - 1
    starts = _starts(keys)
    more = np.zeros((len(starts), KINDS), np.int64)
    more[:, 0] = np.diff(starts, append=len(keys))
    # Most actions are of the first kind.
    for kind in range(1, KINDS):
        places = np.searchsorted(starts, np.flatnonzero(kinds == kind), side="right") - 1
        more[:, kind] = np.bincount(places, minlength=len(starts))
        more[:, 0] -= more[:, kind]
    return keys[starts], more


def _summed(keys: Column, counts: Column) -> tuple[Words, Ints]:
    """The distinct ones of keys that rise, and the sum of the counts of each."""
    starts = _starts(keys.astype(np.int64))
    return keys[starts].astype(np.uint64), np.add.reduceat(counts, starts, dtype=np.int64)


def _starts(keys: Ints) -> Ints:
    """Where another key begins, in keys of 0 and more that rise."""
    return np.flatnonzero(np.diff(keys, prepend=-1))
