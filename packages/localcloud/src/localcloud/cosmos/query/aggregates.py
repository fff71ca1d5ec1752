"""Aggregates, fed one value at a time ("Aggregate functions" of the query reference).

An undefined value is skipped; a value of a type that the aggregate does not support makes the result undefined.
"""

from typing import Protocol

from localcloud.cosmos.query.functions.numbers import is_number, to_json_number
from localcloud.cosmos.values import UNDEFINED, OrderKey, fingerprint, type_rank


class Aggregate(Protocol):
    def add(self, value: object) -> None: ...
    def result(self) -> object: ...


class Count:
    def __init__(self) -> None:
        self._count = 0

    def add(self, value: object) -> None:
        self._count += value is not UNDEFINED

    def result(self) -> object:
        return self._count


class CountIf(Count):
    def add(self, value: object) -> None:
        self._count += value is True


class Sum:
    def __init__(self) -> None:
        self._sum: float = 0
        self._count = 0
        self._spoiled = False

    def add(self, value: object) -> None:
        if value is UNDEFINED:
            return
        if not is_number(value):
            self._spoiled = True
            return
        self._count += 1
        try:
            self._sum += value  # type: ignore[operator]  # a number
        except OverflowError:
            # A whole number that no float holds, and one with a fraction.
            self._spoiled = True

    def result(self) -> object:
        return UNDEFINED if self._spoiled else to_json_number(self._sum)


class Average(Sum):
    def result(self) -> object:
        if not self._count or self._spoiled:
            return UNDEFINED
        try:
            return to_json_number(self._sum / self._count)
        except OverflowError:
            return UNDEFINED


class Extreme:
    """The least or the greatest scalar, in the order of types; arrays and objects make it undefined."""

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._best: object = UNDEFINED
        self._spoiled = False

    def add(self, value: object) -> None:
        if value is UNDEFINED:
            return
        if type_rank(value) > 4:
            self._spoiled = True
        elif self._best is UNDEFINED or (
            OrderKey(value) < OrderKey(self._best) if self._sign < 0 else OrderKey(self._best) < OrderKey(value)
        ):
            self._best = value

    def result(self) -> object:
        return UNDEFINED if self._spoiled else self._best


class MakeList:
    def __init__(self, *, distinct: bool) -> None:
        self._distinct = distinct
        self._seen: set[object] = set()
        self._items: list[object] = []

    def add(self, value: object) -> None:
        if value is UNDEFINED or (self._distinct and fingerprint(value) in self._seen):
            return
        self._seen.add(fingerprint(value))
        self._items.append(value)

    def result(self) -> object:
        return self._items


def create(function: str) -> Aggregate:
    match function:
        case "COUNT":
            return Count()
        case "COUNTIF":
            return CountIf()
        case "SUM":
            return Sum()
        case "AVG":
            return Average()
        case "MIN" | "MAX":
            return Extreme(-1 if function == "MIN" else 1)
        case _:
            return MakeList(distinct=function == "MAKESET")
