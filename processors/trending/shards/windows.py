"""What is in a shard's windows at a moment: counts and scores of each row (a song in a region) and of each song."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from songline.processors.trending.count_table import LIKES, LISTENS, UNLIKES, CountTable, add_rows
from songline.processors.trending.song_index import REGION_BITS, Ints, region_name
from songline.processors.trending.sorted_columns import Column, KeyIndex
from songline.processors.trending.spans import SPANS, Span, Unit
from songline.schemas.policy import ChartPolicy

SMALL = 2_000
"""A table of fewer rows is added to the windows with others: a call costs as much as some thousand rows."""
TOGETHER = 20_000
"""Rows of small tables that are added at once."""

SHOWN_KINDS = 2
"""Charts show listens and likes; what was taken back is in the score."""


class WindowSums:
    """Counts of listens and likes and the trending score, by a number that grows from 0: 16 bytes a number."""

    def __init__(self) -> None:
        self.counts = np.zeros((0, SHOWN_KINDS), np.int32)
        self.scores = np.zeros(0, np.int64)

    def add(self, at: Ints, shown: Column, scores: Ints) -> None:
        """Add counts of the shown kinds (number, kind) and scores; numbers may repeat."""
        add_rows(self.counts, at, shown)
        np.add.at(self.scores, at, scores)

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

    def add(self, buckets: Ints, rows: Ints, songs: Ints, regions: Column, shown: Column, points: Ints) -> None:
        """Add counts of buckets, of which those count that it covers. `points` are what they would add to a score if
        their buckets were new."""
        assert self.newest is not None
        ages = self.newest - buckets
        inside = (ages >= 0) & (ages < self.span.buckets)
        if not inside.all():
            ages, rows, songs, regions, shown, points = (
                one[inside] for one in (ages, rows, songs, regions, shown, points)
            )
        if not len(rows):
            return
        scores = self._weights[ages] * points
        self.rows.make_room(int(rows.max()) + 1)
        self.songs.make_room(int(songs.max()) + 1)
        self.rows.add(rows, shown, scores)
        self.songs.add(songs, shown, scores)
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
    """All windows of one shard, over the rows that it has seen."""

    def __init__(self, policy: ChartPolicy) -> None:
        self._windows = {name: SlidingWindow(name, span, policy) for name, span in SPANS.items()}
        self._weights = policy.weights
        self._rows = KeyIndex()
        self._row_song = np.zeros(0, np.int32)
        self._row_region = np.zeros(0, np.int16)

    def add(self, unit: Unit, bucket: int, pairs: Ints, more: Ints) -> None:
        """Add counts of a bucket to the windows of its unit."""
        if self._covers(unit, bucket):
            self._add(unit, bucket, pairs, more)

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
        small: list[tuple[int, Ints, Ints]] = []
        size = 0
        for bucket, table in tables:
            if not self._covers(unit, bucket):
                continue
            pairs, counts = table.by_key()
            if len(pairs) >= SMALL:
                self._add(unit, bucket, pairs, counts)
                continue
            small.append((bucket, pairs, counts))
            size += len(pairs)
            if size >= TOGETHER:
                self._add_together(unit, small)
                small, size = [], 0
        if small:
            self._add_together(unit, small)

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

    def _add(self, unit: Unit, bucket: int, pairs: Ints, more: Ints) -> None:
        """Add counts of a bucket to the windows of its unit. The pairs are distinct."""
        self._add_to_rows(unit, np.full(len(pairs), bucket, np.int64), self._rows_of(pairs), more)

    def _add_together(self, unit: Unit, tables: Sequence[tuple[int, Ints, Ints]]) -> None:
        """Add counts of several buckets, each with pairs that are distinct, to the windows of their unit."""
        buckets, pairs, more = zip(*tables, strict=True)
        distinct, place = np.unique(np.concatenate(pairs), return_inverse=True)
        of_rows = np.repeat(np.array(buckets, np.int64), [len(one) for one in pairs])
        self._add_to_rows(unit, of_rows, self._rows_of(distinct)[place], np.concatenate(more))

    def _add_to_rows(self, unit: Unit, buckets: Ints, rows: Ints, more: Ints) -> None:
        songs, regions = self.songs_of(rows), self._row_region[rows]
        shown = more[:, :SHOWN_KINDS].astype(np.int32)
        listen, like = self._weights.listen, self._weights.like
        points = listen * more[:, LISTENS] + like * (more[:, LIKES] - more[:, UNLIKES])
        for window in self._windows.values():
            if window.span.unit == unit:
                window.add(buckets, rows, songs, regions, shown, points)

    def _rows_of(self, pairs: Ints) -> Ints:
        known = len(self._rows)
        rows = self._rows.of(pairs)
        if len(self._rows) > known:
            if len(self._rows) > len(self._row_song):
                room = max(len(self._rows) - len(self._row_song), len(self._row_song) // 8)
                self._row_song = np.concatenate([self._row_song, np.zeros(room, np.int32)])
                self._row_region = np.concatenate([self._row_region, np.full(room, -1, np.int16)])
            new = rows >= known
            self._row_song[rows[new]] = pairs[new] >> REGION_BITS
            self._row_region[rows[new]] = pairs[new] & (1 << REGION_BITS) - 1
        return rows


def region_scope(region: int) -> str | None:
    """The scope of a region's charts, None for the number that stands for no region."""
    code = region_name(region)
    return None if code is None else f"region:{code}"
