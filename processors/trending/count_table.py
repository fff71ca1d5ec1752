"""Counts of listens, likes and unlikes by an integer key, held in columns.

Keys get consecutive slots in the order of their coming, so that a stretch of slots is a stable piece of the whole
that can be saved by itself.
"""

from typing import Any, Self

import numpy as np
import numpy.typing as npt

from songline.processors.trending.song_index import Ints
from songline.processors.trending.sorted_columns import NARROW, Column, KeyIndex, widened

LISTENS, LIKES, UNLIKES = range(3)
KINDS = 3


class CountTable:
    """A table of three counts a key, 11 bytes a key: 4 more for keys of more than 32 bits, 3, 9 or 21 more once a count
    has more than 8, 16 or 31. The keys of one call are distinct."""

    def __init__(self) -> None:
        self._slots = KeyIndex()
        self._counts: npt.NDArray[Any] = np.zeros((0, KINDS), NARROW.dtype)

    @classmethod
    def filled(cls, keys: Ints, counts: Column) -> Self:
        """A table of `keys`, which rise, and their counts."""
        table = cls()
        table._slots = KeyIndex.filled(keys)
        table._counts = counts.astype(widened(NARROW, counts).dtype)
        return table

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def keys(self) -> Ints:
        """The keys by slot."""
        return self._slots.keys()

    @property
    def counts(self) -> Ints:
        """Counts by slot and kind, in the order of `keys`."""
        return self._counts[: len(self._slots)].astype(np.int64)

    def by_slot(self) -> tuple[Ints, Column]:
        """Keys and their counts by slot, in as few bits as they are held in."""
        return self.keys, self._counts[: len(self._slots)]

    def by_key(self) -> tuple[Column, Column]:
        """A copy of the keys, as they rise, and of their counts, each in as few bits as they are held in."""
        keys, slots = self._slots.by_key()
        return keys, self._counts[slots]

    def of(self, key: int) -> Ints:
        """The counts of a key by kind, zeros for one that never came."""
        slot = int(self._slots.find(np.array([key]))[0])
        return np.zeros(KINDS, np.int64) if slot < 0 else self._counts[slot].astype(np.int64)

    def add(self, keys: Ints, more: Ints) -> Ints:
        """Add `more` (key, kind); the counts of these keys afterwards."""
        slots = self._of(keys)
        after: Ints = self._counts[slots] + more
        self._set(slots, after)
        return after

    def raise_to(self, keys: Ints, counts: Ints) -> tuple[Ints, Ints]:
        """Raise each count to the reported one, and never lower it; return the slots and by how much each rose.

        A count of one source only grows, so the greater of two reports is the later one, and merging reports is
        the same in any order and however often (a grow-only counter: Shapiro et al., "A comprehensive study of
        Convergent and Commutative Replicated Data Types", 2011, section 3.1.1).
        """
        slots = self._of(keys)
        before = self._counts[slots].astype(np.int64)
        after = np.maximum(before, counts)
        self._set(slots, after)
        return slots, after - before

    def _set(self, slots: Ints, counts: Ints) -> None:
        self._counts = widened(self._counts, counts)
        self._counts[slots] = counts

    def _of(self, keys: Ints) -> Ints:
        slots = self._slots.of(keys)
        size = len(self._counts)
        if len(self._slots) > size:
            room = max(len(self._slots) - size, size // 8)
            self._counts = np.concatenate([self._counts, np.zeros((room, KINDS), self._counts.dtype)])
        return slots


def add_rows(sums: npt.NDArray[Any], at: Ints, more: npt.NDArray[Any]) -> None:
    """Add rows to those of `sums` at these places, which may repeat."""
    # A column at a time: numpy takes ten times as long to add in two dimensions.
    for column in range(sums.shape[1]):
        # Of another type they would be taken one by one.
        np.add.at(sums[:, column], at, more[:, column].astype(sums.dtype, copy=False))
