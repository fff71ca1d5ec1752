"""What is in a shard's windows at a moment: counts and scores of each row (a song in a region) and of each song."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from songline.processors.trending.count_table import LIKES, LISTENS, UNLIKES, CountTable
from songline.processors.trending.song_index import REGION_BITS, Ints, region_name
from songline.processors.trending.sorted_columns import KeyIndex
from songline.processors.trending.spans import SPANS, Span, Unit
from songline.schemas.policy import ChartPolicy, Weights

TOGETHER = 20_000
"""Rows of tables that are added to a window at once."""

SHOWN_KINDS = 2
"""Charts show listens and likes; what was taken back is in the score."""


class WindowSums:
    """Counts of listens and likes and the trending score, by a number that grows from 0: 16 bytes a number."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self.counts = np.zeros((0, SHOWN_KINDS), np.int32)
        self.scores = np.zeros(0, np.int64)

    def add(self, at: Ints, more: Ints, weights: Ints) -> None:
        """Add `more` (number, kind), each with the weight of its bucket; numbers may repeat."""
        np.add.at(self.counts, at, more[:, :SHOWN_KINDS].astype(np.int32))
        listen, like = self._weights.listen, self._weights.like
        np.add.at(self.scores, at, weights * (listen * more[:, LISTENS] + like * (more[:, LIKES] - more[:, UNLIKES])))

    def make_room(self, size: int) -> None:
        """Have room for the numbers below `size`."""
        have = len(self.scores)
        if size > have:
            room = max(size - have, have // 8)
            self.counts = np.concatenate([self.counts, np.zeros((room, SHOWN_KINDS), np.int32)])
            self.scores = np.concatenate([self.scores, np.zeros(room, np.int64)])

    def clear(self) -> None:
        self.counts[:] = 0
        self.scores[:] = 0


class SlidingWindow:
    """One window; `newest` is its newest bucket, None until it is placed for the first time.

    `world_changed`: the counts of all regions together have changed since this was set to False. `changed_regions` and
    `changed_songs` are those that changed since `clear_changes`; `all_changed`: all may have.
    """

    def __init__(self, name: str, span: Span, policy: ChartPolicy) -> None:
        self.span = span
        self.rows = WindowSums(policy.weights)
        self.songs = WindowSums(policy.weights)
        self.newest: int | None = None
        self.world_changed = True
        self.all_changed = True
        self.changed_regions: set[int] = set()
        self.changed_songs: set[int] = set()
        self._weights = np.array(policy.bucket_weights(name, span.buckets), np.int64)

    def place(self, newest: int) -> None:
        """Move to end at the bucket `newest`, and be empty: what is inside has to be added again."""
        self.newest = newest
        self.change_all()
        self.rows.clear()
        self.songs.clear()

    def covers(self, bucket: int) -> bool:
        """Whether the bucket is inside."""
        return self.newest is not None and 0 <= self.newest - bucket < self.span.buckets

    def add(self, buckets: Ints, rows: Ints, songs: Ints, regions: Ints, more: Ints) -> None:
        """Add counts of buckets, of which those count that it covers."""
        assert self.newest is not None
        ages = self.newest - buckets
        inside = (ages >= 0) & (ages < self.span.buckets)
        if not inside.all():
            ages, rows, songs, regions, more = (one[inside] for one in (ages, rows, songs, regions, more))
        if not len(rows):
            return
        weights = self._weights[ages]
        self.rows.make_room(int(rows.max()) + 1)
        self.songs.make_room(int(songs.max()) + 1)
        self.rows.add(rows, more, weights)
        self.songs.add(songs, more, weights)
        self.world_changed = True
        if not self.all_changed:
            self.changed_regions.update(np.unique(regions).tolist())
            self.changed_songs.update(np.unique(songs).tolist())

    def change_all(self) -> None:
        """Every list may differ."""
        self.world_changed = self.all_changed = True

    def clear_changes(self) -> None:
        self.all_changed = False
        self.changed_regions.clear()
        self.changed_songs.clear()


class ShardWindows:
    """All windows of one shard, over the rows that it has seen."""

    def __init__(self, policy: ChartPolicy) -> None:
        self._windows = {name: SlidingWindow(name, span, policy) for name, span in SPANS.items()}
        self._rows = KeyIndex()
        self._row_song = np.zeros(0, np.int32)
        self._row_region = np.zeros(0, np.int16)

    def add(self, unit: Unit, bucket: int, pairs: Ints, more: Ints) -> None:
        """Add counts of a bucket to the windows of its unit."""
        if self._covers(unit, bucket):
            self._add(unit, [bucket], [pairs], [more])

    def slide(self, unit: Unit, newest: int, tables: Iterable[tuple[int, CountTable]]) -> None:
        """Move the windows of a unit to end at the bucket `newest`, and fill them from the tables of that unit."""
        for window in self._windows.values():
            if window.span.unit == unit:
                window.place(newest)
        self._fill(unit, tables)

    def refill(self, unit: Unit, tables: Iterable[tuple[int, CountTable]]) -> None:
        """Fill the windows of a unit anew from its tables, where they are. Those that were never placed stay empty."""
        for window in self._windows.values():
            if window.span.unit == unit and window.newest is not None:
                window.place(window.newest)
        self._fill(unit, tables)

    def _fill(self, unit: Unit, tables: Iterable[tuple[int, CountTable]]) -> None:
        # Small tables are added together: a call costs as much as some thousand rows.
        buckets: list[int] = []
        pairs: list[Ints] = []
        more: list[Ints] = []
        size = 0
        for bucket, table in tables:
            if not self._covers(unit, bucket):
                continue
            buckets.append(bucket)
            pairs.append(table.keys)
            more.append(table.counts)
            size += len(table)
            if size >= TOGETHER:
                self._add(unit, buckets, pairs, more)
                buckets, pairs, more, size = [], [], [], 0
        if buckets:
            self._add(unit, buckets, pairs, more)

    def change_all(self) -> None:
        """Every list may differ: what is known of a song has changed."""
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
            if whole or window.all_changed or window.changed_songs:
                yield name, window
                window.clear_changes()

    def rows_by_region(self) -> dict[int, Ints]:
        """The rows of each region, by its number."""
        used = len(self._rows)
        if not used:
            return {}
        by_region = np.argsort(self._row_region[:used], kind="stable")
        regions, starts = np.unique(self._row_region[:used][by_region], return_index=True)
        return dict(zip(regions.tolist(), np.split(by_region, starts.tolist()[1:]), strict=True))

    def songs_of(self, rows: Ints) -> Ints:
        """The song of each row."""
        return self._row_song[rows].astype(np.int64)

    def _covers(self, unit: Unit, bucket: int) -> bool:
        """Whether a window has the bucket. A replay counts an hour before its windows get there: looking up its rows
        would be for nothing."""
        return any(one.span.unit == unit and one.covers(bucket) for one in self._windows.values())

    def _add(self, unit: Unit, buckets: Sequence[int], pairs: Sequence[Ints], more: Sequence[Ints]) -> None:
        """Add counts, by bucket, to the windows of their unit. The pairs of one bucket are distinct."""
        if len(buckets) == 1:
            rows, counts = self._rows_of(pairs[0]), more[0]
        else:
            distinct, place = np.unique(np.concatenate(pairs), return_inverse=True)
            rows, counts = self._rows_of(distinct)[place], np.concatenate(more)
        of_rows = np.repeat(np.array(buckets, np.int64), [len(one) for one in pairs])
        songs, regions = self.songs_of(rows), self._row_region[rows].astype(np.int64)
        for window in self._windows.values():
            if window.span.unit == unit:
                window.add(of_rows, rows, songs, regions, counts)

    def _rows_of(self, pairs: Ints) -> Ints:
        rows = self._rows.of(pairs)
        if len(self._rows) > len(self._row_song):
            room = max(len(self._rows) - len(self._row_song), len(self._row_song) // 8)
            self._row_song = np.concatenate([self._row_song, np.zeros(room, np.int32)])
            self._row_region = np.concatenate([self._row_region, np.full(room, -1, np.int16)])
        self._row_song[rows] = pairs >> REGION_BITS
        self._row_region[rows] = pairs & (1 << REGION_BITS) - 1
        return rows


def region_scope(region: int) -> str | None:
    """The scope of a region's charts, None for the number that stands for no region."""
    code = region_name(region)
    return None if code is None else f"region:{code}"
