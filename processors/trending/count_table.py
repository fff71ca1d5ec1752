"""Counts of listens, likes and unlikes by an integer key, held in columns.

Keys get consecutive slots in the order of their coming, so that a stretch of slots is a stable piece of the whole
that can be saved by itself.
"""

import numpy as np

from songline.processors.trending.song_index import Ints

LISTENS, LIKES, UNLIKES = range(3)
KINDS = 3


class SlotIndex(dict[int, int]):
    """Key to slot."""

    def __missing__(self, key: int) -> int:
        slot = self[key] = len(self)
        return slot

    def of(self, keys: Ints) -> Ints:
        return np.fromiter(map(self.__getitem__, keys.tolist()), np.int64, len(keys))


class CountTable:
    """A table of three counts a key. The keys of one call are distinct."""

    def __init__(self) -> None:
        self._slots = SlotIndex()
        self._keys = np.zeros(16, np.int64)
        self._counts = np.zeros((16, KINDS), np.int64)

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def keys(self) -> Ints:
        return self._keys[: len(self._slots)]

    @property
    def counts(self) -> Ints:
        """Counts by slot and kind, in the order of `keys`."""
        return self._counts[: len(self._slots)]

    def of(self, key: int) -> Ints:
        """The counts of a key by kind, zeros for one that never came."""
        slot = self._slots.get(key)
        return np.zeros(KINDS, np.int64) if slot is None else self._counts[slot]

    def add(self, keys: Ints, more: Ints) -> Ints:
        """Add `more` (key, kind); the counts of these keys afterwards."""
        slots = self._of(keys)
        self._counts[slots] += more
        return self._counts[slots]

    def raise_to(self, keys: Ints, counts: Ints) -> tuple[Ints, Ints]:
        """Raise each count to the reported one, and never lower it; return the slots and by how much each rose.

        A count of one source only grows, so the greater of two reports is the later one, and merging reports is
        the same in any order and however often (a grow-only counter: Shapiro et al., "A comprehensive study of
        Convergent and Commutative Replicated Data Types", 2011, section 3.1.1).
        """
        slots = self._of(keys)
        before = self._counts[slots]
        after = np.maximum(before, counts)
        self._counts[slots] = after
        return slots, after - before

    def _of(self, keys: Ints) -> Ints:
        known = len(self._slots)
        slots = self._slots.of(keys)
        if len(self._slots) > known:
            self._grow(len(self._slots))
            self._keys[slots] = keys
        return slots

    def _grow(self, needed: int) -> None:
        size = len(self._keys)
        if needed > size:
            room = max(needed, size * 2)
            self._keys = np.concatenate([self._keys, np.zeros(room - size, np.int64)])
            self._counts = np.concatenate([self._counts, np.zeros((room - size, KINDS), np.int64)])
