"""The counts of a shard: a table for each bucket and source partition, by song and region.

A source reports absolute counts, and a table keeps the greater of two reports (see `CountTable.raise_to`). So reports
may come twice, late or in any order between sources.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from songline.processors.trending.cells.wire import ROWS, CountRows
from songline.processors.trending.count_table import CountTable
from songline.processors.trending.song_index import Ints
from songline.processors.trending.spans import SPANS, UNIT_MS, Unit
from songline.schemas.plays import HOURS

_LONGEST: dict[Unit, int] = {
    unit: max(span.buckets for span in SPANS.values() if span.unit == unit) for unit in UNIT_MS
}


class BucketKey(NamedTuple):
    """One table: the minute or hour since 1970, and the source partition whose events it counts."""

    unit: Unit
    bucket: int
    source: int


class BucketIncrease(NamedTuple):
    """What a report added to a bucket: `more` (row, kind) for each of `pairs`; `rose` marks the rows that rose."""

    bucket: int
    pairs: Ints
    more: Ints
    rose: npt.NDArray[np.bool_]


class ShardCounts:
    """The tables of one shard, and which of their pieces have changed since they were last saved."""

    def __init__(self) -> None:
        self._tables: dict[BucketKey, CountTable] = {}
        self._newest: dict[Unit, int] = {}
        self._changed: dict[BucketKey, set[int]] = {}

    def is_over(self, unit: Unit, bucket: int) -> bool:
        """Whether no window can show the bucket any more. Hours stay until that is so of all of their day."""
        if unit not in self._newest:
            return False
        end = bucket if unit == "minute" else bucket // HOURS * HOURS + HOURS - 1
        return end <= self._newest[unit] - _LONGEST[unit]

    def raise_to(self, unit: Unit, source: int, rows: CountRows) -> Iterator[BucketIncrease]:
        """Raise the counts to what a source reports, and yield the increase of each bucket that is not over."""
        if not len(rows):
            return
        order = np.argsort(rows.bucket, kind="stable")
        rows = rows.select(order)
        buckets, starts = np.unique(rows.bucket, return_index=True)
        ends = np.append(starts, len(rows))[1:]
        for bucket, start, end in zip(buckets.tolist(), starts.tolist(), ends.tolist(), strict=True):
            if self.is_over(unit, bucket):
                continue
            key = BucketKey(unit, bucket, source)
            pairs = rows.pair[start:end]
            table = self._tables.setdefault(key, CountTable())
            slots, more = table.raise_to(pairs, rows.counts[start:end])
            rose: npt.NDArray[np.bool_] = np.any(more, axis=1)
            if rose.any():
                self._changed.setdefault(key, set()).update(np.unique(slots[rose] // ROWS).tolist())
            yield BucketIncrease(bucket, pairs, more, rose)

    def advance(self, unit: Unit, newest: int) -> list[BucketKey] | None:
        """Make `newest` the newest bucket of the unit. Return the tables that are dropped, None where `newest` is not
        newer than before."""
        if unit in self._newest and newest <= self._newest[unit]:
            return None
        self._newest[unit] = newest
        dropped = [key for key in self._tables if key.unit == unit and self.is_over(unit, key.bucket)]
        for key in dropped:
            del self._tables[key]
            self._changed.pop(key, None)
        return dropped

    def tables(self, unit: Unit) -> Iterator[tuple[int, CountTable]]:
        """Bucket and table of all that is held of a unit."""
        for key, table in self._tables.items():
            if key.unit == unit:
                yield key.bucket, table

    def changed_pieces(self) -> Iterator[tuple[BucketKey, int, CountRows]]:
        """The pieces that have changed since the last call: each with its table and its number there."""
        changed, self._changed = self._changed, {}
        for key, pieces in changed.items():
            keys, counts = self._tables[key].keys, self._tables[key].counts
            for piece in pieces:
                part = slice(piece * ROWS, (piece + 1) * ROWS)
                pairs = keys[part]
                yield key, piece, CountRows(pairs, np.full(len(pairs), key.bucket, np.int64), counts[part])

    def forget_changes(self) -> None:
        """Everything is as it was saved."""
        self._changed = {}
