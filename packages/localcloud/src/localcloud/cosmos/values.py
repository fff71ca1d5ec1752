"""JSON values as queries see them: a missing value is `UNDEFINED`, types have an order, equality is strict.

Semantics: "Equality and comparison operators" and "ORDER BY" of the query reference.
"""

from enum import Enum
from functools import total_ordering
from math import isfinite
from typing import Final, Literal


class Undefined(Enum):
    """The value of a missing property. It is false, so that filters drop it."""

    UNDEFINED = "undefined"

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return "undefined"


UNDEFINED: Final = Undefined.UNDEFINED

_RANKS: dict[type, int] = {
    Undefined: 0,
    type(None): 1,
    bool: 2,
    int: 3,
    float: 3,
    str: 4,
    list: 5,
    dict: 6,
}


def is_double(number: float) -> bool:
    """Whether a number of 64 bits, as IEEE 754 has it, is about as large: JSON's numbers have no end."""
    try:
        return isfinite(number)
    except OverflowError:
        return False


def type_rank(value: object) -> int:
    """The position of the type: undefined, null, booleans, numbers, strings, arrays, objects."""
    return _RANKS[type(value)]


def is_same(left: object, right: object) -> bool:
    """Deep equality, in which true is not 1."""
    if type_rank(left) != type_rank(right):
        return False
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(is_same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(is_same(left[key], right[key]) for key in left)
    return left == right


def equal(left: object, right: object) -> bool | Undefined:
    """`=`: undefined when a side is, or when the types differ. Only null may be compared with every type."""
    left_rank, right_rank = type_rank(left), type_rank(right)
    if not (left_rank and right_rank):
        return UNDEFINED
    if left_rank != right_rank:
        return False if left is None or right is None else UNDEFINED
    return is_same(left, right)


def compare(left: object, right: object) -> int | Undefined:
    """-1, 0 or 1; undefined across types and for arrays, objects and what is not there."""
    kind = type_rank(left)
    if kind != type_rank(right) or kind in (0, 5, 6):
        return UNDEFINED
    if left == right:
        return 0
    return -1 if left < right else 1  # type: ignore[operator]  # both are of one scalar type


@total_ordering
class OrderKey:
    """Sorts values of any types. Arrays and objects come after all scalars, in an order of their own."""

    __slots__ = ("type_rank", "value")

    def __init__(self, value: object) -> None:
        self.type_rank = type_rank(value)
        self.value: object = value
        if isinstance(value, list):
            self.value = [OrderKey(item) for item in value]
        elif isinstance(value, dict):
            self.value = [(key, OrderKey(value[key])) for key in sorted(value)]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OrderKey) and self.type_rank == other.type_rank and self.value == other.value

    def __lt__(self, other: "OrderKey") -> bool:
        if self.type_rank != other.type_rank:
            return self.type_rank < other.type_rank
        return self.type_rank > 1 and self.value < other.value  # type: ignore[operator]  # of one type

    def __hash__(self) -> int:
        return hash(self.type_rank)


def fingerprint(value: object) -> object:
    """A hashable stand-in: equal exactly for values that are the same (DISTINCT, GROUP BY)."""
    kind = type_rank(value)
    if isinstance(value, list):
        return (kind, tuple(fingerprint(item) for item in value))
    if isinstance(value, dict):
        return (kind, frozenset((key, fingerprint(item)) for key, item in value.items()))
    return (kind, value)
