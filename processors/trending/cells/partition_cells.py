"""The cells of one source partition that are in memory, and what waits to be counted in them."""

from collections.abc import Iterator

import numpy as np
from msgspec import Struct

from songline.processors.trending.cells.chunks import Actions, join_actions
from songline.processors.trending.cells.columns import ActionColumns
from songline.processors.trending.cells.hour_index import HourIndex
from songline.processors.trending.cells.identity_key import IdentityKey
from songline.processors.trending.cells.indexed_cell import IndexedCell
from songline.processors.trending.cells.state import Cell, CellFlush
from songline.processors.trending.song_index import SongIndex


class CellUse(Struct, frozen=True):
    """The moments (Unix ms) of the first and of the last flush of a cell since it was loaded, 0 before the first one;
    and the actions that it has in memory."""

    first_ms: int
    last_ms: int
    rows: int


class PartitionCells:
    """The cells of one source partition that are in memory, and the actions that wait for a flush.

    `pieces` are numbers of chunks, of which none comes twice: a chunk that was sealed and deleted must not be taken
    for a new one. A cell has to be loaded from what was saved of it before its first flush, and one with an index has
    to be told what the index says of the actions that wait.
    """

    def __init__(self, songs: SongIndex, key: IdentityKey, pieces: Iterator[int]) -> None:
        self._songs = songs
        self._key = key
        self._pieces = pieces
        self._cells: dict[int, Cell] = {}
        self._waiting: dict[int, list[Actions]] = {}
        self._asked: dict[int, int] = {}
        """How many of the batches that wait for an hour its index was asked for."""
        self._used_ms: dict[int, tuple[int, int]] = {}
        self.held_ms = 0
        """Since when (Unix ms) the partition is held; 0: for long."""
        self.is_saved = True
        """Whether all that the last flush has changed is saved; whoever saves it says so."""

    def fold(self, actions: ActionColumns) -> None:
        """Have a batch wait for the next flush."""
        hours = actions.hours
        if not len(hours):
            return
        if (hours == hours[0]).all():
            self._wait(int(hours[0]), Actions(actions.hashes, actions.codes))
            return
        for hour in np.unique(hours).tolist():
            at = np.flatnonzero(hours == hour)
            self._wait(hour, Actions(actions.hashes[at], actions.codes[at]))

    def drop_before(self, hour: int) -> None:
        """Have nothing wait of the hours before this one."""
        for old in [one for one in self._waiting if one < hour]:
            del self._waiting[old]
            self._asked.pop(old, None)

    def missing(self) -> list[int]:
        """The hours of which something has to be loaded before the next flush."""
        return [hour for hour in self._waiting if hour not in self._cells or self.unasked(hour)]

    def unasked(self, hour: int) -> list[Actions]:
        """The batches that wait and were not asked for in the hour's index, none where its cell has no index."""
        if self.indexed_cell(hour) is None:
            return []
        return self._waiting.get(hour, [])[self._asked.get(hour, 0) :]

    def add_asked(self, hour: int, batches: int) -> None:
        """Note that the cell knows what the hour's index says of so many more of the batches that wait."""
        self._asked[hour] = self._asked.get(hour, 0) + batches

    def new_cell(self, hour: int, index: HourIndex | None = None) -> Cell:
        """A cell of the hour that is not in use yet: all that was saved of it, and is not covered by its index, has to
        be restored first."""
        if index is None:
            return Cell(hour, self._songs, self._key, self._pieces)
        return IndexedCell(hour, self._songs, self._key, self._pieces, index)

    def add(self, cell: Cell) -> None:
        """Use a cell that was restored."""
        self._cells[cell.hour] = cell

    def cell(self, hour: int) -> Cell | None:
        """The hour's cell, None where it is not in memory."""
        return self._cells.get(hour)

    def indexed_cell(self, hour: int) -> IndexedCell | None:
        """The hour's cell, if it has an index."""
        cell = self._cells.get(hour)
        return cell if isinstance(cell, IndexedCell) else None

    def flush(self, now_ms: int) -> Iterator[CellFlush]:
        """What has changed in each cell. No hour may be missing."""
        waiting, self._waiting = self._waiting, {}
        self._asked.clear()
        self.is_saved = False
        for hour, parts in waiting.items():
            self._used_ms[hour] = self._used_ms.get(hour, (now_ms, 0))[0], now_ms
            yield self._cells[hour].flush(join_actions(parts))

    def loaded(self) -> dict[int, CellUse]:
        """The hours in memory, and how they were used."""
        return {hour: CellUse(*self._used_ms.get(hour, (0, 0)), cell.rows) for hour, cell in self._cells.items()}

    def open_piece(self, hour: int) -> int | None:
        """The number of the hour's chunk that may be written again."""
        cell = self._cells.get(hour)
        return None if cell is None else cell.open_piece

    def close_chunk(self, hour: int) -> None:
        """Write no chunk of the hour again that was written."""
        if (cell := self._cells.get(hour)) is not None:
            cell.close_chunk()

    def unload(self, hour: int) -> None:
        """Drop an hour, which is saved; a late event loads it again."""
        if hour not in self._waiting:
            self.drop(hour)

    def drop(self, hour: int) -> None:
        """Drop an hour, which is saved, also where actions wait for it: it has to be loaded for them again."""
        self._cells.pop(hour, None)
        self._used_ms.pop(hour, None)
        self._asked.pop(hour, None)

    def _wait(self, hour: int, actions: Actions) -> None:
        self._waiting.setdefault(hour, []).append(actions)
