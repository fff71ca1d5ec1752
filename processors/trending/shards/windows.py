"""What is in a window at a moment: counts and scores of each row (a song in a region) and of each song."""

import numpy as np

from songline.processors.trending.count_table import KINDS, LIKES, LISTENS, UNLIKES
from songline.processors.trending.policy import LIKE_WEIGHT, Span
from songline.processors.trending.song_index import Ints


class WindowSums:
    """Counts of the three kinds and the trending score, by a number that grows from 0."""

    def __init__(self) -> None:
        self.counts = np.zeros((0, KINDS), np.int64)
        self.scores = np.zeros(0, np.int64)

    def add(self, at: Ints, more: Ints, weight: int) -> None:
        """Add `more` (number, kind) of one bucket; numbers may repeat."""
        np.add.at(self.counts, at, more)
        np.add.at(self.scores, at, weight * (more[:, LISTENS] + LIKE_WEIGHT * (more[:, LIKES] - more[:, UNLIKES])))

    def make_room(self, size: int) -> None:
        have = len(self.scores)
        if size > have:
            room = max(size, 2 * have) - have
            self.counts = np.concatenate([self.counts, np.zeros((room, KINDS), np.int64)])
            self.scores = np.concatenate([self.scores, np.zeros(room, np.int64)])

    def clear(self) -> None:
        self.counts[:] = 0
        self.scores[:] = 0


class SlidingWindow:
    """One window; `last` is its last bucket, None until it is placed for the first time.

    `touched_regions` and `touched_songs` tell what has changed since they were taken; `slid` that all may have.
    """

    def __init__(self, span: Span) -> None:
        self.span = span
        self.rows = WindowSums()
        self.songs = WindowSums()
        self.last: int | None = None
        self.slid = True
        self.touched_regions: set[int] = set()
        self.touched_songs: set[int] = set()
        self._weights = span.weights()

    def place(self, last: int) -> None:
        """Move to end at the bucket `last`, and be empty: what is inside has to be added again."""
        self.last = last
        self.slid = True
        self.rows.clear()
        self.songs.clear()

    def add(self, bucket: int, rows: Ints, songs: Ints, regions: Ints, more: Ints) -> None:
        """Add counts of a bucket if it is inside."""
        if self.last is None or not 0 <= (age := self.last - bucket) < self.span.buckets:
            return
        self.rows.make_room(int(rows.max()) + 1)
        self.songs.make_room(int(songs.max()) + 1)
        self.rows.add(rows, more, self._weights[age])
        self.songs.add(songs, more, self._weights[age])
        if not self.slid:
            self.touched_regions.update(np.unique(regions).tolist())
            self.touched_songs.update(np.unique(songs).tolist())

    def taken(self) -> None:
        self.slid = False
        self.touched_regions.clear()
        self.touched_songs.clear()
