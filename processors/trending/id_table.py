"""Ids that came lately and their numbers, looked up a column at a time.

A table stands in front of an index, which is a dict: what is not in the table, or was replaced by another id, is asked
of the index. It compares whole ids, so it never mistakes one for another, and has a bounded size.
"""

from typing import Protocol

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]
"""Ids in columns of words, shape (n, words), each id padded by zeros. No id is empty or has a zero in it."""
Ints = npt.NDArray[np.int64]

WORD_BYTES = 8
NO_ID = -1

SLOT_BITS = 17
"""A table has so many slots, as a power of two: 3 MB for ids of two words."""
_MIX = np.uint64(0x9E3779B97F4A7C15)
_FACTORS = np.array(
    [0x9E3779B97F4A7C15, 0xD1B54A32D192ED03, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xA24BAED4963EE407], np.uint64
)
_FOLD = np.uint64(32)


class IdNumbers(Protocol):
    """An index of ids."""

    def __getitem__(self, id_: str, /) -> int:
        """The number of an id, a new one where it is not known. Raises ValueError for what is no id."""


class IdTable:
    """A table in front of an index. An id has two slots in which it may be (cuckoo hashing without moves: Pagh and
    Rodler, "Cuckoo hashing", 2001). A slot is the id's words and its number; ids of few words have slots of their own.
    """

    def __init__(self) -> None:
        self._slots: dict[int, Words] = {}

    def clear(self) -> None:
        """Forget all."""
        self._slots = {}

    def numbers(self, ids: Words, index: IdNumbers) -> Ints:
        """The number of each id, NO_ID for what the index refuses."""
        words = ids.shape[1]
        slots = self._slots.get(words)
        if slots is None:
            slots = self._slots[words] = np.zeros((1 << SLOT_BITS, words + 1), np.uint64)
        first, second = _places(ids)
        numbers, there = _read(slots, first, ids)
        left = np.flatnonzero(~there)
        if len(left):
            numbers[left], there = _read(slots, second[left], ids[left])
            left = left[~there]
        if len(left):
            numbers[left] = _asked(ids[left], index)
            known = left[numbers[left] != NO_ID]
            free = slots[first[known], 0] == 0
            free |= (slots[second[known], 0] != 0) & (ids[known, 0] & np.uint64(1) == 0)
            at = np.where(free, first[known], second[known])
            slots[at] = np.concatenate([ids[known], numbers[known, np.newaxis].astype(np.uint64)], axis=1)
        return numbers


def _places(ids: Words) -> tuple[Ints, Ints]:
    """The two slots of each id."""
    mixed = ids[:, 0] * _FACTORS[0]
    for place in range(1, ids.shape[1]):
        mixed ^= mixed >> _FOLD
        mixed += ids[:, place] * _FACTORS[place]
    mixed ^= mixed >> _FOLD
    mixed *= _MIX
    mixed ^= mixed >> _FOLD
    mixed *= _MIX
    first, second = mixed >> np.uint64(64 - SLOT_BITS), mixed << np.uint64(SLOT_BITS) >> np.uint64(64 - SLOT_BITS)
    return first.astype(np.int64), second.astype(np.int64)


def _read(slots: Words, at: Ints, ids: Words) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """The numbers in these slots, and whether each slot is that of its id."""
    # One piece of memory a slot, whatever its words.
    found = slots.view(f"V{WORD_BYTES * slots.shape[1]}")[at, 0].view(np.uint64).reshape(len(at), slots.shape[1])
    there = found[:, 0] == ids[:, 0]
    for place in range(1, ids.shape[1]):
        there &= found[:, place] == ids[:, place]
    return found[:, -1].astype(np.int64), there


def _asked(ids: Words, index: IdNumbers) -> list[int]:
    return [_number(id_, index) for id_ in ids.view(f"S{WORD_BYTES * ids.shape[1]}").ravel().tolist()]


def _number(id_: bytes, index: IdNumbers) -> int:
    try:
        return index[id_.decode("ascii")]
    except ValueError:
        return NO_ID
