"""The counts of a shard: a table for each bucket and source partition, by row (a song in a region).

A source reports absolute counts, and a table keeps the greater of two reports (see `CountTable.raise_to`). So reports
may come twice, late or in any order between sources.

What is saved of a table is merged like reports, so any records that hold its rows between them will do. A save writes
the rows that have changed. Once these are as many as are in the pieces that they are of, or in more records than a
table may have, it writes these pieces anew, and deletes what was written of changes before. So each change is written
twice in the mean, or with it a piece a table, and no table leaves many records to the next owner.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from songline.processors.trending.cells.wire import ROWS, CountRows
from songline.processors.trending.count_table import KINDS, LIKES, LISTENS, UNLIKES, CountTable
from songline.processors.trending.shards.row_index import RowIndex
from songline.processors.trending.song_index import Ints
from songline.processors.trending.sorted_columns import Column
from songline.processors.trending.spans import HOUR_MS, SPANS, Unit, first_counted_hour

CHANGE_RECORDS = 16
"""So many records of changes a table may have, and as many as it has pieces where these are more."""

_LONGEST_MINUTES = max(span.buckets for span in SPANS.values() if span.unit == "minute")


class BucketKey(NamedTuple):
    """One table: the minute or hour since 1970, and the source partition whose events it counts."""

    unit: Unit
    bucket: int
    source: int


class TableRows(NamedTuple):
    """Rows of a table, each once, and of each its counts, or by how much these differ from what they were."""

    key: BucketKey
    rows: Ints
    counts: Column


class SavedRows(NamedTuple):
    """What is to be saved of a table: the piece of that number, or changed rows where it is None."""

    bucket: BucketKey
    piece: int | None
    rows: CountRows


class _Changes:
    """What has changed in a table: the slots since the last save, and the pieces since they were last written. `rows`
    are those that were saved as changes since then, in so many `records`."""

    def __init__(self) -> None:
        self.slots: list[Ints] = []
        self.pieces: set[int] = set()
        self.rows = 0
        self.records = 0


class BucketIncrease(NamedTuple):
    """What reports of sources added to a bucket: `more` (row, kind) for each of `rows`, whose `pairs` say song and
    region; `rose` marks those that rose. Rows may repeat, each from another source."""

    bucket: int
    rows: Ints
    pairs: Ints
    more: Ints
    rose: npt.NDArray[np.bool_]


class ShardCounts:
    """The tables of one shard, whose keys are numbers of `rows`, and which of their pieces have changed since they were
    last saved."""

    def __init__(self, rows: RowIndex) -> None:
        self._rows = rows
        self._tables: dict[BucketKey, CountTable] = {}
        self._newest: dict[Unit, int] = {}
        self._changed: dict[BucketKey, _Changes] = {}

    def is_over(self, unit: Unit, bucket: int) -> bool:
        """Whether no window can show the bucket any more. Hours stay until that is so of all of their day."""
        newest = self._newest.get(unit)
        if newest is None:
            return False
        if unit == "hour":
            # By the rule of those who send and write them, or a day would be dropped before it is written.
            return bucket < first_counted_hour(newest * HOUR_MS)
        return bucket <= newest - _LONGEST_MINUTES

    def raise_to(self, unit: Unit, sources: Ints, rows: CountRows) -> Iterator[BucketIncrease]:
        """Raise the counts to what sources report, and yield the increase of each bucket that is not over. `sources`
        has the source of each row; no source has a pair twice in a bucket."""
        order = np.lexsort((sources, rows.bucket))
        over = [bucket for bucket in np.unique(rows.bucket).tolist() if self.is_over(unit, bucket)]
        if over:
            order = order[~np.isin(rows.bucket[order], over)]
        if not len(order):
            return
        rows, sources = rows.select(order), sources[order]
        pairs, places = np.unique(rows.pair, return_inverse=True)
        numbers = self._rows.of(pairs)[places]
        begins = (rows.bucket[1:] != rows.bucket[:-1]) | (sources[1:] != sources[:-1])
        starts = [0, *(np.flatnonzero(begins) + 1).tolist()]
        ends = [*starts[1:], len(rows)]
        increases: dict[int, list[tuple[int, int, Ints, npt.NDArray[np.bool_]]]] = {}
        for start, end in zip(starts, ends, strict=True):
            key = BucketKey(unit, int(rows.bucket[start]), int(sources[start]))
            table = self._tables.setdefault(key, CountTable())
            slots, more = table.raise_to(numbers[start:end], rows.counts[start:end])
            # Columns are faster to look at than rows of three.
            rose: npt.NDArray[np.bool_] = (more[:, LISTENS] | more[:, LIKES] | more[:, UNLIKES]) != 0
            if rose.any():
                self._changed.setdefault(key, _Changes()).slots.append(slots[rose])
            increases.setdefault(key.bucket, []).append((start, end, more, rose))
        for bucket, parts in increases.items():
            # Those of a bucket stand behind each other.
            these = slice(parts[0][0], parts[-1][1])
            _, _, more_of, rose_of = zip(*parts, strict=True)
            more, rose = np.concatenate(more_of), np.concatenate(rose_of)
            yield BucketIncrease(bucket, numbers[these], rows.pair[these], more, rose)

    def restore(self, saved: TableRows) -> TableRows:
        """Raise the counts of a table to what was saved of it, whose rows rise; return by how much they rose."""
        table = self._tables.get(saved.key)
        if table is not None:
            return _changed(saved.key, saved.rows, table.raise_to(saved.rows, saved.counts)[1])
        self._tables[saved.key] = CountTable.filled(saved.rows, saved.counts)
        return saved

    def replace(self, saved: TableRows) -> TableRows:
        """Hold of a table what was saved of it, whose rows rise, and nothing else; return what differs from before."""
        had, counts = self._tables.pop(saved.key).by_key()
        if len(saved.rows):
            self._tables[saved.key] = CountTable.filled(saved.rows, saved.counts)
        rows = np.union1d(had.astype(np.int64), saved.rows)
        more = np.zeros((len(rows), KINDS), np.int64)
        more[np.searchsorted(rows, saved.rows)] += saved.counts
        more[np.searchsorted(rows, had)] -= counts
        return _changed(saved.key, rows, more)

    def moves(self, unit: Unit, bucket: int) -> bool:
        """Whether the bucket is not the newest one of the unit."""
        return self._newest.get(unit) != bucket

    def advance(self, unit: Unit, newest: int) -> list[BucketKey] | None:
        """Make `newest` the newest bucket of the unit, where a clock was set back an older one. Return the tables that
        are dropped, None where it is the newest one already."""
        if not self.moves(unit, newest):
            return None
        self._newest[unit] = newest
        dropped = [key for key in self._tables if key.unit == unit and self.is_over(unit, key.bucket)]
        for key in dropped:
            del self._tables[key]
            self._changed.pop(key, None)
        return dropped

    def tables(self, unit: Unit) -> Iterator[TableRows]:
        """All that is held of a unit, table by table."""
        for key, table in self._tables.items():
            if key.unit == unit:
                yield TableRows(key, *table.by_slot())

    def by_row(self) -> Iterator[tuple[BucketKey, Column, Column]]:
        """All tables: a copy of the rows, as they rise, and of their counts. Something may be counted meanwhile."""
        for key in list(self._tables):
            if (table := self._tables.get(key)) is not None:
                yield key, *table.by_key()

    def unsaved(self) -> Iterator[SavedRows]:
        """What to save of what has changed since the last call. Pieces of a table come before its next changes do, and
        in place of all that came before."""
        for bucket, changes in self._changed.items():
            if not changes.slots:
                continue
            slots, changes.slots = np.unique(np.concatenate(changes.slots)), []
            changes.pieces.update(np.unique(slots // ROWS).tolist())
            table = self._tables[bucket]
            keys, counts = table.keys, table.counts
            found = [np.arange(piece * ROWS, min(len(table), (piece + 1) * ROWS)) for piece in sorted(changes.pieces)]
            numbers: list[int | None] = [*sorted(changes.pieces)]
            changed = [slots[start : start + ROWS] for start in range(0, len(slots), ROWS)]
            rows, records = changes.rows + len(slots), changes.records + len(changed)
            if rows < sum(map(len, found)) and records <= max(CHANGE_RECORDS, len(changes.pieces)):
                changes.rows, changes.records = rows, records
                found, numbers = changed, [None] * len(changed)
            else:
                changes.rows = changes.records = 0
                changes.pieces.clear()
            for number, at in zip(numbers, found, strict=True):
                pairs = self._rows.pairs(keys[at])
                yield SavedRows(bucket, number, CountRows(pairs, np.full(len(at), bucket.bucket, np.int64), counts[at]))

    def forget_changes(self) -> None:
        """Everything is as it was saved."""
        self._changed = {}


def _changed(key: BucketKey, rows: Ints, more: Ints) -> TableRows:
    """The rows whose counts differ, by `more` (row, kind)."""
    # Columns are faster to look at than rows of three.
    which = (more[:, LISTENS] | more[:, LIKES] | more[:, UNLIKES]) != 0
    return TableRows(key, rows[which], more[which])
