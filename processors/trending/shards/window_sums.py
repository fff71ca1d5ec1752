"""What is in a window by number: counts, and scores, which are exact however large they are."""

from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from songline.processors.trending.count_table import LIKES, LISTENS, UNLIKES, add_rows
from songline.processors.trending.song_index import Ints, Which
from songline.processors.trending.sorted_columns import Column
from songline.schemas.policy import SCALE_BITS, Weights

SHOWN_KINDS = 2
"""Charts show listens and likes; what was taken back is in the score."""

_MOST_COUNTED = 2**31 - 1
_MOST_POINTS = 2**31 - 1
"""A score of so many points has 63 bits."""
_WRAP = 2**64
_BOUNDS = np.iinfo(np.int64)


class Increase(NamedTuple):
    """What is added: the counts of the shown kinds (row, kind), and the points that each row adds to a score in a new
    bucket. Without their signs all counts make `counted`, and all points no more than `points_in_all`."""

    shown: Column
    points: Ints
    counted: int
    points_in_all: int

    @classmethod
    def of(cls, more: Column, weights: Weights) -> Self:
        """What counts (row, kind) add."""
        counts = more.astype(np.int64).T
        points = weights.listen * counts[LISTENS] + weights.like * (counts[LIKES] - counts[UNLIKES])
        counted = int((more if more.dtype.kind == "u" else np.abs(more)).sum(dtype=np.int64))
        shown = more[:, :SHOWN_KINDS].astype(np.int32)
        return cls(shown, points, counted, counted * max(weights.listen, weights.like))

    def select(self, which: Which) -> Self:
        """Some of the rows."""
        return self._replace(shown=self.shown[which], points=self.points[which])


class WindowSums:
    """Counts of listens and likes and the trending score, by a number that grows from 0: 16 bytes a number.

    Counts take 8 bytes more once one could be more than 31 bits hold, and scores once one could be more than 63. They
    stand in `scores` modulo 2^64 then, and beside it about as they are, which tells how many times 2^64 is missing.
    That is exact while rounding adds up to less than 2^63. A hundred points for each hour in which each human plays the
    song make no more than 2^55 of it in a week.
    """

    def __init__(self) -> None:
        self.counts: npt.NDArray[Any] = np.zeros((0, SHOWN_KINDS), np.int32)
        self.scores = np.zeros(0, np.int64)
        self._about: npt.NDArray[np.float64] | None = None
        self._counted = 0
        self._points = 0
        """No count and no score, in points, is greater than these while it has the fewer bits."""

    def add(self, at: Ints, more: Increase, weights: Ints, scores: Ints) -> None:
        """Add to these numbers, which may repeat. `scores` are the points by the `weights` of their buckets, modulo
        2^64."""
        self._widen(more.counted, more.points_in_all)
        add_rows(self.counts, at, more.shown)
        np.add.at(self.scores, at, scores)
        if self._about is not None:
            np.add.at(self._about, at, weights * more.points.astype(np.float64))

    def capped_scores(self, at: Ints) -> Ints:
        """The scores of these numbers; of one that 63 bits don't hold the greatest or the least that they do."""
        scores = self.scores[at]
        if self._about is None:
            return scores
        wraps = _wraps(self._about[at], scores)
        return np.where(wraps > 0, _BOUNDS.max, np.where(wraps < 0, _BOUNDS.min, scores))

    def exact_scores(self, at: Ints) -> list[int]:
        """The scores of these numbers."""
        scores = self.scores[at]
        found: list[int] = scores.tolist()
        if self._about is None:
            return found
        wraps = _wraps(self._about[at], scores).tolist()
        return [score + _WRAP * int(times) for score, times in zip(found, wraps, strict=True)]

    def make_room(self, size: int) -> None:
        """Have room for the numbers below `size`."""
        have = len(self.scores)
        if size > have:
            room = max(size - have, have // 8)
            self.counts = np.concatenate([self.counts, np.zeros((room, SHOWN_KINDS), self.counts.dtype)])
            self.scores = np.concatenate([self.scores, np.zeros(room, np.int64)])
            if self._about is not None:
                self._about = np.concatenate([self._about, np.zeros(room)])

    def clear(self) -> None:
        """Be all zeros, in the fewest bits."""
        if self.counts.dtype == np.int32:
            self.counts[:] = 0
        else:
            self.counts = np.zeros((len(self.scores), SHOWN_KINDS), np.int32)
        self.scores[:] = 0
        self._about = None
        self._counted = self._points = 0

    def _widen(self, counted: int, points: int) -> None:
        """Take more bits where so much more could be too much for a number. The sums themselves are looked at only when
        all that was added could be: many songs are not taken for a large one."""
        self._counted += counted
        if self._counted > _MOST_COUNTED and self.counts.dtype == np.int32:
            self._counted = _greatest(self.counts) + counted
            if self._counted > _MOST_COUNTED:
                self.counts = self.counts.astype(np.int64)
        self._points += points
        if self._points > _MOST_POINTS and self._about is None:
            self._points = (_greatest(self.scores) >> SCALE_BITS) + 1 + points
            if self._points > _MOST_POINTS:
                self._about = self.scores.astype(np.float64)


def _wraps(about: npt.NDArray[np.float64], scores: Ints) -> npt.NDArray[np.float64]:
    """How many times 2^64 is missing in scores that are about so large."""
    return np.rint((about - scores) / float(_WRAP))


def _greatest(sums: Column) -> int:
    """The greatest number without its sign."""
    return max(int(sums.max(initial=0)), -int(sums.min(initial=0)))
