"""Rows in columns, sorted by an integer key: as dense as an array, and looked up and extended a batch at a time.

The rows are held in runs, the longest first, each sorted. A batch becomes a run of its own, and a run that is no longer
much longer than the one behind it is merged with that one (a log-structured merge tree of arrays: O'Neil et al., "The
log-structured merge-tree", 1996). A merge moves rows inside the longer run from its end on, a block at a time, so it
needs no copy of the whole.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]
Column: TypeAlias = "npt.NDArray[Any]"
Columns: TypeAlias = tuple[Column, Column]
"""Keys, and as many values."""

RATIO = 4
"""A run is at least so many times as long as the one behind it."""
BLOCK = 1 << 16
"""Rows that a merge copies at once."""

WIDE_KEY = 2**32 - 1
"""A run has keys of 32 bits while all of them are less than this, which stands for all that no such run has."""


class Run:
    """Sorted `keys` and their `values`: arrays of their own, which a merge resizes in their place."""

    def __init__(self, keys: Words, values: Column) -> None:
        self.keys: Column = keys.astype(np.uint32 if keys[-1] < WIDE_KEY else np.uint64, copy=False)
        self.values = values

    def __len__(self) -> int:
        return len(self.keys)

    def as_own(self, keys: Words) -> Column:
        """The keys in as many bits as those of the run have; one that these can't hold is none of the run."""
        return keys if self.keys.dtype == keys.dtype else np.minimum(keys, WIDE_KEY).astype(self.keys.dtype)

    def merge(self, other: "Run") -> None:
        """Take in the rows of a run that is shorter."""
        end, left = len(self), len(other)
        self.keys, self.values = _promoted(self.keys, other.keys), _promoted(self.values, other.values)
        # No view of the columns is ever given away.
        self.keys.resize(end + left, refcheck=False)
        self.values.resize((end + left, *self.values.shape[1:]), refcheck=False)
        if self.keys[end - 1] < other.keys[0]:
            self.keys[end:], self.values[end:] = other.keys, other.values
            return
        while left:
            start = max(0, end - BLOCK)
            first = int(np.searchsorted(other.keys[:left], self.keys[start])) if start else 0
            keys = np.concatenate([self.keys[start:end], other.keys[first:left]])
            values = np.concatenate([self.values[start:end], other.values[first:left]])
            order = np.argsort(keys, kind="stable")
            self.keys[start + first : end + left] = keys[order]
            self.values[start + first : end + left] = values[order]
            end, left = start, first


class SortedColumns:
    """Runs of rows, the longest first."""

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self._kept = 0
        """So many runs are not merged."""

    def __len__(self) -> int:
        return sum(map(len, self.runs))

    @contextmanager
    def kept(self) -> Iterator[list[Run]]:
        """The runs, of which none is merged in the block: rows that are added meanwhile stand in others."""
        before, self._kept = self._kept, len(self.runs)
        try:
            yield list(self.runs)
        finally:
            self._kept = before

    def insert(self, keys: Words, values: Column) -> None:
        """Add rows that are not there yet, sorted by key, in arrays that are used by nobody else."""
        if not len(keys):
            return
        self.runs.append(Run(keys, values))
        while len(self.runs) > self._kept + 1 and RATIO * len(self.runs[-1]) >= len(self.runs[-2]):
            # The shorter one is merged into the longer one.
            last, before = self.runs.pop(), self.runs.pop()
            longer, shorter = (before, last) if len(before) >= len(last) else (last, before)
            longer.merge(shorter)
            self.runs.append(longer)


class HashSet:
    """A set of 128-bit hashes, 16 bytes each."""

    def __init__(self) -> None:
        self._rows = SortedColumns()

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, hashes: Words) -> npt.NDArray[np.bool_]:
        """Add hashes (n, 2); which of them are new, the first one where a hash is there more than once."""
        order = _order(hashes)
        keys, values = hashes[order, 0], hashes[order, 1]
        new = np.ones(len(keys), np.bool_)
        np.logical_or(keys[1:] != keys[:-1], values[1:] != values[:-1], out=new[1:])
        for run in self._rows.runs:
            new &= ~_contains(run, keys, values)
        if new.all():
            self._rows.insert(keys, values)
            return new
        self._rows.insert(keys[new], values[new])
        found = np.zeros(len(keys), np.bool_)
        found[order[new]] = True
        return found

    @contextmanager
    def kept(self) -> Iterator[list[Columns]]:
        """The two words of all hashes, in runs that are sorted by the first one, and don't change in the block."""
        with self._rows.kept() as runs:
            yield [(run.keys, run.values) for run in runs]

    def restore(self, runs: list[Columns]) -> None:
        """Hold what another set had (`kept`), in arrays that are used by nobody else; nothing was added yet."""
        for keys, values in runs:
            self._rows.insert(keys, values)

    def contains(self, hashes: Words) -> npt.NDArray[np.bool_]:
        """Which of these hashes (n, 2) were added."""
        found = np.zeros(len(hashes), np.bool_)
        for run in self._rows.runs:
            found |= _contains(run, hashes[:, 0], hashes[:, 1])
        return found


class CountMap:
    """Three counts by a key, 7 bytes a key: 4 more in a run that has a key of more than 32 bits, 3 or 9 more in one
    that has a count of more than 8 or 16. Sums are below 2**31: an action that is counted takes 16 bytes elsewhere."""

    def __init__(self) -> None:
        self._rows = SortedColumns()

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, keys: Words, more: Ints) -> Ints:
        """Add `more` (n, 3) to the counts of `keys`, which rise from row to row; the counts afterwards."""
        counts = more.copy()
        missing = np.ones(len(keys), np.bool_)
        for run in self._rows.runs:
            at, there = _find(run, keys)
            counts[there] += run.values[at[there]]
            run.values = widened(run.values, counts[there])
            run.values[at[there]] = counts[there]
            missing &= ~there
        rows = more if missing.all() else more[missing]
        self._rows.insert(keys[missing], rows.astype(widened(NARROW, rows).dtype))
        return counts

    @contextmanager
    def kept(self) -> Iterator[list[Columns]]:
        """All keys and their counts, in runs that are sorted by key, and don't change in the block."""
        with self._rows.kept() as runs:
            # Counts change in their place.
            yield [(run.keys, run.values.copy()) for run in runs]

    def restore(self, runs: list[Columns]) -> None:
        """Hold what another map had (`kept`), in arrays that are used by nobody else; nothing was added yet."""
        for keys, counts in runs:
            self._rows.insert(keys, counts)


class KeyIndex:
    """Keys to consecutive slots in the order of their coming: 8 bytes each, 12 for a key of more than 32 bits."""

    def __init__(self) -> None:
        self._rows = SortedColumns()
        self._size = 0

    @classmethod
    def filled(cls, keys: Ints) -> Self:
        """An index of `keys`, which rise; their slots are their places."""
        index = cls()
        index._size = len(keys)
        index._rows.insert(keys.astype(np.uint64), np.arange(len(keys), dtype=np.uint32))
        return index

    @classmethod
    def placed(cls, keys: Ints) -> Self:
        """An index of `keys`, whose slots are their places. Raises ValueError where two keys are the same."""
        order = np.argsort(keys)
        rising = keys[order]
        if (rising[1:] == rising[:-1]).any():
            raise ValueError("a key is there twice")
        index = cls()
        index._size = len(keys)
        index._rows.insert(rising.astype(np.uint64), order.astype(np.uint32))
        return index

    def __len__(self) -> int:
        return self._size

    def of(self, keys: Ints) -> Ints:
        """The slots of distinct `keys`, new ones where they are not known."""
        slots = self.find(keys)
        new = np.flatnonzero(slots < 0)
        slots[new] = np.arange(self._size, self._size + len(new))
        self._size += len(new)
        new = new[np.argsort(keys[new])]
        self._rows.insert(keys[new].astype(np.uint64), slots[new].astype(np.uint32))
        return slots

    def keys(self) -> Ints:
        """The keys in the order of their slots."""
        keys = np.zeros(self._size, np.int64)
        for run in self._rows.runs:
            keys[run.values] = run.keys
        return keys

    def by_key(self) -> tuple[Column, Column]:
        """The keys as they rise, and their slots."""
        runs = self._rows.runs
        if not runs:
            return np.zeros(0, np.uint32), np.zeros(0, np.uint32)
        keys, slots = (np.concatenate(one) for one in ([run.keys for run in runs], [run.values for run in runs]))
        if len(runs) == 1:
            return keys, slots
        # Fast for what was sorted in parts.
        order = np.argsort(keys, kind="stable")
        return keys[order], slots[order]

    def find(self, keys: Ints) -> Ints:
        """The slots of `keys`, -1 for those that never came."""
        wanted = keys.astype(np.uint64)
        slots = np.full(len(keys), -1, np.int64)
        for run in self._rows.runs:
            at, there = _find(run, wanted)
            slots[there] = run.values[at[there]]
        return slots


def widened(column: Column, values: Column) -> Column:
    """The column, or a copy of it with numbers of 16, 32 or 64 bits where those that it has don't hold `values`."""
    if column.dtype == np.int64 or not len(values):
        return column
    least, most = int(values.min()), int(values.max())
    for kind in (column.dtype, *_WIDER):
        if _BOUNDS[kind].min <= least and most <= _BOUNDS[kind].max:
            return column.astype(kind, copy=False)
    raise OverflowError(f"{least} to {most} are not of 64 bits")


_WIDER: list["np.dtype[Any]"] = [np.dtype(kind) for kind in (np.uint16, np.int32, np.int64)]
_BOUNDS: dict["np.dtype[Any]", "np.iinfo[Any]"] = {kind: np.iinfo(kind) for kind in (np.dtype(np.uint8), *_WIDER)}


NARROW = np.zeros(0, np.uint8)
"""A column of counts in which none is large."""


def _promoted(column: Column, other: Column) -> Column:
    """The column, or a copy of it whose numbers have as many bits as those of the other one."""
    wide = np.promote_types(column.dtype, other.dtype)
    return column if column.dtype == wide else column.astype(wide)


def _order(hashes: Words) -> Ints:
    """The order that sorts hashes by their words, and has equal ones beside each other as they came."""
    # A sort that is not stable takes a quarter of the time; few hashes share their first word with another one.
    order = np.argsort(hashes[:, 0])
    keys = hashes[order, 0]
    tied = np.zeros(len(keys) + 1, np.bool_)
    np.equal(keys[1:], keys[:-1], out=tied[1:-1])
    at = np.flatnonzero(tied[1:] | tied[:-1])
    rows = order[at]
    order[at] = rows[np.lexsort((rows, hashes[rows, 1], hashes[rows, 0]))]
    return order


def _find(run: Run, keys: Words) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """For each key its place in a run whose keys are distinct, and whether it is there."""
    wanted = run.as_own(keys)
    at = np.searchsorted(run.keys, wanted)
    at[at == len(run)] = 0
    return at, run.keys[at] == wanted


def _contains(run: Run, keys: Words, values: Words) -> npt.NDArray[np.bool_]:
    at, same = _find(run, keys)
    found: npt.NDArray[np.bool_] = same & (run.values[at] == values)
    left = np.flatnonzero(same & ~found)
    at = at[left]
    while len(left):
        # Rows with the same first word stand behind each other.
        at += 1
        inside = at < len(run)
        left, at = left[inside], at[inside]
        same = run.keys[at] == keys[left]
        left, at = left[same], at[same]
        hit = run.values[at] == values[left]
        found[left[hit]] = True
        left, at = left[~hit], at[~hit]
    return found
