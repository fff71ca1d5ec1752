"""The cells of a source partition: its actions by the UTC hour of their event time, and the counts of each cell.

A listener moves a song at most once an hour for each kind of action, and a listener lives in one partition. So a
cell is a *set* of actions in which the first one stays, and counts are a function of it. Folding events that the
cell has seen before changes nothing, so any part of the log may be replayed in its order.

The set is saved as chunks, and is their union. A chunk is rewritten by each flush until it is full, and is never
changed again. An owner of the partition writes chunks of its own and leaves those of earlier owners alone, so an owner
that has lost the partition without noticing it can overwrite nothing.
"""

from collections.abc import Callable, Iterator
from typing import TypeAlias

import msgspec
import numpy as np
from msgspec import Struct

from songline.processors.trending.cells.columns import KIND_BITS, MINUTE_BITS, ActionColumns, code
from songline.processors.trending.cells.wire import CountRows
from songline.processors.trending.count_table import KINDS, CountTable
from songline.processors.trending.song_index import REGION_BITS, Ints, RegionIndex, SongIndex
from songline.schemas.decoding import MsgpackDecoder

CHUNK_BYTES = 200_000
SECTION_ROWS = 1_500
"""Rows a section: at most 128 + 128 + 5 bytes each, so that a chunk and one more section keep below 600 KB."""


class ActionSection(Struct, frozen=True, array_like=True):
    """Actions in columns: `keys` joined by line feeds, minute of the hour (uint8), number of the region (uint16)."""

    keys: str
    minutes: bytes
    regions: bytes

    def size_bytes(self) -> int:
        """About what the section takes when it is encoded."""
        return len(self.keys) + len(self.minutes) + len(self.regions) + 16


LoadChunks: TypeAlias = Callable[[int], list[list[ActionSection]]]
"""The chunks of an hour, of all owners, as they were last saved."""


class Cell:
    """The actions of one partition and hour: what was counted, and what has changed since the last flush."""

    def __init__(self, hour: int, songs: SongIndex, chunks: list[list[ActionSection]]) -> None:
        self.hour = hour
        self._songs = songs
        self._seen: set[str] = set()
        self._minutes = CountTable()
        self._hours = CountTable()
        self._fresh: list[dict[str, int]] = []
        self._piece = len(chunks)
        self._open: list[ActionSection] = []
        self._size_bytes = 0
        for chunk in chunks:
            self._restore(chunk)

    @property
    def changed(self) -> bool:
        return bool(self._fresh)

    def fold(self, keys: list[str], codes: list[int]) -> None:
        """Count those of the actions, in their order, that are the first of their kind, listener and song."""
        firsts = dict(zip(reversed(keys), reversed(codes), strict=True))
        if not self._seen.isdisjoint(firsts):
            firsts = {key: firsts[key] for key in firsts.keys() - self._seen}
        if firsts:
            self._seen.update(firsts)
            self._fresh.append(firsts)

    def flush(self) -> tuple[CountRows, CountRows, dict[int, bytes]]:
        """What changed since the last flush: absolute counts by minute and by hour, and chunks to save by number."""
        codes = np.concatenate([np.fromiter(firsts.values(), np.int64, len(firsts)) for firsts in self._fresh])
        rows = self._count(codes)
        chunks = {}
        for firsts in self._fresh:
            for section in _sections(list(firsts), np.fromiter(firsts.values(), np.int64, len(firsts))):
                self._open.append(section)
                self._size_bytes += section.size_bytes()
                if self._size_bytes >= CHUNK_BYTES:
                    chunks[self._piece] = _encode(self._open)
                    self._piece += 1
                    self._open, self._size_bytes = [], 0
        if self._open:
            chunks[self._piece] = _encode(self._open)
        self._fresh = []
        return (*rows, chunks)

    def _count(self, codes: Ints) -> tuple[CountRows, CountRows]:
        minutes, more = _counted(codes)
        pairs, place = np.unique(minutes >> MINUTE_BITS, return_inverse=True)
        more_by_hour = np.zeros((len(pairs), KINDS), np.int64)
        np.add.at(more_by_hour, place, more)
        return (
            CountRows(
                minutes >> MINUTE_BITS,
                self.hour * 60 + (minutes & (1 << MINUTE_BITS) - 1),
                self._minutes.add(minutes, more),
            ),
            CountRows(pairs, np.full(len(pairs), self.hour, np.int64), self._hours.add(pairs, more_by_hour)),
        )

    def _restore(self, sections: list[ActionSection]) -> None:
        for section in sections:
            keys = section.keys.split("\n")
            codes = code(
                self._songs.numbers([key.partition(" ")[2] for key in keys]),
                np.frombuffer(section.regions, "<u2").astype(np.int64),
                np.frombuffer(section.minutes, np.uint8).astype(np.int64),
                np.fromiter([int(key[0]) for key in keys], np.int64, len(keys)),
            )
            new = [place for place, key in enumerate(keys) if key not in self._seen]
            self._seen.update(keys)
            self._count(codes[new])


class PartitionCells:
    """The cells of one source partition that are in use. The others are packed where they were saved."""

    def __init__(self, songs: SongIndex, regions: RegionIndex, load: LoadChunks) -> None:
        self._songs = songs
        self._regions = regions
        self._load = load
        self._cells: dict[int, Cell] = {}

    def fold(self, actions: ActionColumns) -> None:
        """Count a batch."""
        hours = actions.hours
        if not len(hours):
            return
        if (hours == hours[0]).all():
            self._cell(int(hours[0])).fold(actions.keys, actions.codes)
            return
        for hour in np.unique(hours).tolist():
            at = np.flatnonzero(hours == hour).tolist()
            self._cell(hour).fold([actions.keys[i] for i in at], [actions.codes[i] for i in at])

    def flush(self) -> Iterator[tuple[int, CountRows, CountRows, dict[int, bytes]]]:
        """Hour, counts by minute and by hour, and chunks of each cell that has changed."""
        for hour, cell in self._cells.items():
            if cell.changed:
                yield (hour, *cell.flush())

    def unload(self, before: int) -> None:
        """Drop the cells of hours before `before`, which are saved; a late event loads its cell again."""
        for hour in [hour for hour, cell in self._cells.items() if hour < before and not cell.changed]:
            del self._cells[hour]

    def _cell(self, hour: int) -> Cell:
        cell = self._cells.get(hour)
        if cell is None:
            cell = self._cells[hour] = Cell(hour, self._songs, self._load(hour))
        return cell


def _counted(codes: Ints) -> tuple[Ints, Ints]:
    """Distinct codes without their kind, and how many of each kind there are."""
    distinct, times = np.unique(codes, return_counts=True)
    keys, place = np.unique(distinct >> KIND_BITS, return_inverse=True)
    more = np.zeros((len(keys), KINDS), np.int64)
    more[place, distinct & (1 << KIND_BITS) - 1] = times
    return keys, more


def _sections(keys: list[str], codes: Ints) -> Iterator[ActionSection]:
    minutes = (codes >> KIND_BITS & (1 << MINUTE_BITS) - 1).astype(np.uint8)
    regions = (codes >> KIND_BITS + MINUTE_BITS & (1 << REGION_BITS) - 1).astype("<u2")
    for start in range(0, len(keys), SECTION_ROWS):
        end = start + SECTION_ROWS
        yield ActionSection("\n".join(keys[start:end]), minutes[start:end].tobytes(), regions[start:end].tobytes())


_encode = msgspec.msgpack.Encoder().encode
decode_chunk = MsgpackDecoder(list[ActionSection]).decode
