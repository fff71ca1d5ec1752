"""The rows of a shard, each a song in a region, numbered from 0 in the order of their coming.

Tables and windows are by these numbers: to fill the windows anew, no row is looked up.
"""

from typing import Self

import numpy as np

from songline.processors.trending.song_index import REGION_BITS, Ints, pair
from songline.processors.trending.sorted_columns import Column, KeyIndex


class RowIndex:
    """Pairs of song and region (see `song_index.pair`) to the numbers of their rows, and back."""

    def __init__(self) -> None:
        self._rows = KeyIndex()
        self._songs = np.zeros(0, np.int32)
        self._regions = np.zeros(0, np.int16)

    @classmethod
    def filled(cls, songs: Ints, regions: Ints) -> Self:
        """The rows of these songs and regions, numbered by their places. Raises ValueError where two are the same."""
        index = cls()
        index._rows = KeyIndex.placed(pair(songs, regions))
        index._songs, index._regions = songs.astype(np.int32), regions.astype(np.int16)
        return index

    def __len__(self) -> int:
        return len(self._rows)

    def of(self, pairs: Ints) -> Ints:
        """The rows of distinct pairs, new ones where they are not known."""
        known = len(self._rows)
        rows = self._rows.of(pairs)
        if len(self._rows) > known:
            if len(self._rows) > len(self._songs):
                room = max(len(self._rows) - len(self._songs), len(self._songs) // 8)
                self._songs = np.concatenate([self._songs, np.zeros(room, np.int32)])
                self._regions = np.concatenate([self._regions, np.full(room, -1, np.int16)])
            new = rows >= known
            self._songs[rows[new]] = pairs[new] >> REGION_BITS
            self._regions[rows[new]] = pairs[new] & (1 << REGION_BITS) - 1
        return rows

    def pairs(self, rows: Ints) -> Ints:
        """The pair of each row."""
        return pair(self.songs(rows), self.regions(rows))

    def songs(self, rows: Ints) -> Ints:
        """The song of each row."""
        return self._songs[rows].astype(np.int64)

    def regions(self, rows: Ints) -> Ints:
        """The region of each row."""
        return self._regions[rows].astype(np.int64)

    def columns(self) -> tuple[Column, Column]:
        """Song and region of all rows, in their order."""
        return self._songs[: len(self)], self._regions[: len(self)]

    def by_region(self) -> dict[int, Ints]:
        """The rows of each region, by its number."""
        used = len(self._rows)
        if not used:
            return {}
        by_region = np.argsort(self._regions[:used], kind="stable")
        regions, starts = np.unique(self._regions[:used][by_region], return_index=True)
        return dict(zip(regions.tolist(), np.split(by_region, starts.tolist()[1:]), strict=True))
