"""What is in a shard's windows at a moment: counts and scores of each row (a song in a region) and of each song."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from songline.processors.trending.shards.counts import TableRows
from songline.processors.trending.shards.row_index import RowIndex
from songline.processors.trending.shards.window_sums import Increase, WindowSums
from songline.processors.trending.song_index import REGION_BITS, Ints, region_name
from songline.processors.trending.sorted_columns import Column
from songline.processors.trending.spans import SPANS, Span, Unit
from songline.schemas.policy import ChartPolicy

TOGETHER = 4_000
"""Tables of fewer rows are added to the windows together, so many rows at once: a call costs as much as some thousand
rows, and more of them leave the processor's cache meanwhile."""


class SlidingWindow:
    """One window; `newest` is its newest bucket, None until it is placed for the first time.

    `world_changed`: the counts of all regions together have changed since this was set to False. `changed_regions` and
    `changed_songs` are those that changed since `clear_changes`; `all_changed`: all may have.
    """

    def __init__(self, name: str, span: Span, policy: ChartPolicy) -> None:
        self.span = span
        self.rows = WindowSums()
        self.songs = WindowSums()
        self.newest: int | None = None
        self.world_changed = True
        self.all_changed = True
        self._regions = np.zeros(1 << REGION_BITS, np.bool_)
        self._songs = np.zeros(0, np.bool_)
        self._weights = np.array(policy.bucket_weights(name, span.buckets), np.int64)

    @property
    def changed_regions(self) -> list[int]:
        return np.flatnonzero(self._regions).tolist()

    @property
    def changed_songs(self) -> list[int]:
        return np.flatnonzero(self._songs).tolist()

    def place(self, newest: int) -> None:
        """Move to end at the bucket `newest`, and be empty: what is inside has to be added again."""
        self.newest = newest
        self.change_all()
        self.rows.clear()
        self.songs.clear()

    def covers(self, bucket: int) -> bool:
        """Whether the bucket is inside."""
        return self.newest is not None and 0 <= self.newest - bucket < self.span.buckets

    def add(self, buckets: Ints, rows: Ints, songs: Ints, regions: Column, more: Increase) -> None:
        """Add counts of buckets, of which those count that it covers."""
        assert self.newest is not None
        ages = self.newest - buckets
        inside = (ages >= 0) & (ages < self.span.buckets)
        if not inside.all():
            ages, rows, songs, regions = (one[inside] for one in (ages, rows, songs, regions))
            more = more.select(inside)
        if not len(rows):
            return
        weights = self._weights[ages]
        # numpy multiplies and adds columns of whole numbers modulo 2^64.
        scores = weights * more.points
        self.rows.make_room(int(rows.max()) + 1)
        self.songs.make_room(int(songs.max()) + 1)
        self.rows.add(rows, more, weights, scores)
        self.songs.add(songs, more, weights, scores)
        self.world_changed = True
        if not self.all_changed:
            self._regions[regions] = True
            if len(self._songs) < len(self.songs.scores):
                self._songs = np.append(self._songs, np.zeros(len(self.songs.scores) - len(self._songs), np.bool_))
            self._songs[songs] = True

    def change_all(self) -> None:
        """Every list may differ."""
        self.world_changed = self.all_changed = True

    def clear_changes(self) -> None:
        self.all_changed = False
        self._regions[:] = False
        self._songs[:] = False

    @property
    def has_changes(self) -> bool:
        """Whether a region or a song may have changed."""
        return self.all_changed or bool(self._regions.any())


class ShardWindows:
    """All windows of one shard, over the rows that it has seen (`rows`)."""

    def __init__(self, policy: ChartPolicy, rows: RowIndex) -> None:
        self._windows = {name: SlidingWindow(name, span, policy) for name, span in SPANS.items()}
        self._weights = policy.weights
        self._rows = rows

    def add(self, unit: Unit, bucket: int, rows: Ints, more: Column) -> None:
        """Add counts of rows in a bucket to the windows of its unit. Rows may repeat."""
        if self._covers(unit, bucket):
            self._add(unit, np.full(len(rows), bucket, np.int64), rows, more)

    def slide(self, unit: Unit, newest: int, tables: Iterable[TableRows]) -> None:
        """Move the windows of a unit to end at the bucket `newest`, and fill them from the tables of that unit."""
        for window in self._windows.values():
            if window.span.unit == unit:
                window.place(newest)
        self.add_tables(tables)

    def add_tables(self, tables: Iterable[TableRows]) -> None:
        """Add what tables count, or by how much their counts differ, to the windows of their units."""
        small: dict[Unit, list[tuple[int, Ints, Column]]] = {"minute": [], "hour": []}
        sizes: dict[Unit, int] = {"minute": 0, "hour": 0}
        for (unit, bucket, _), rows, more in tables:
            if not self._covers(unit, bucket):
                continue
            if len(rows) >= TOGETHER:
                self.add(unit, bucket, rows, more)
                continue
            small[unit].append((bucket, rows, more))
            sizes[unit] += len(rows)
            if sizes[unit] >= TOGETHER:
                self._add_together(unit, small[unit])
                small[unit], sizes[unit] = [], 0
        for unit, left in small.items():
            if left:
                self._add_together(unit, left)

    def show(self, song: int) -> bool:
        """Whether a window counts a listen or a like of the song. No list has a song without one."""
        sums = [window.songs.counts for window in self._windows.values()]
        return any(song < len(counts) and counts[song].any() for counts in sums)

    def change_all(self) -> None:
        """Every list may differ: a song has moved into other genres, or is removed, or not any more."""
        for window in self._windows.values():
            window.change_all()

    def changed_worlds(self, *, whole: bool) -> Iterator[tuple[str, SlidingWindow]]:
        """Name and window of those of which the global lists may have changed since they were last taken here."""
        for name, window in self._windows.items():
            if whole or window.world_changed:
                window.world_changed = False
                yield name, window

    def changed(self, *, whole: bool) -> Iterator[tuple[str, SlidingWindow]]:
        """Name and window of those of which a region or song has changed since they were last taken here; `whole`: of
        all of them."""
        for name, window in self._windows.items():
            if whole or window.has_changes:
                yield name, window
                window.clear_changes()

    def _covers(self, unit: Unit, bucket: int) -> bool:
        """Whether a window has the bucket. A replay counts an hour before its windows get there."""
        return any(one.span.unit == unit and one.covers(bucket) for one in self._windows.values())

    def _add_together(self, unit: Unit, tables: Sequence[tuple[int, Ints, Column]]) -> None:
        """Add counts of several buckets, each with its rows, to the windows of their unit."""
        buckets, rows, more = zip(*tables, strict=True)
        self._add(
            unit,
            np.repeat(np.array(buckets, np.int64), [len(one) for one in rows]),
            np.concatenate(rows),
            np.concatenate(more),
        )

    def _add(self, unit: Unit, buckets: Ints, rows: Ints, more: Column) -> None:
        songs, regions = self._rows.songs(rows), self._rows.regions(rows)
        increase = Increase.of(more, self._weights)
        for window in self._windows.values():
            if window.span.unit == unit:
                window.add(buckets, rows, songs, regions, increase)


def region_scope(region: int) -> str | None:
    """The scope of a region's charts, None for the number that stands for no region."""
    code = region_name(region)
    return None if code is None else f"region:{code}"
