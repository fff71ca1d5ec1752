"""The functions of the query language, by name, and how they take undefined arguments."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from localcloud.cosmos.query.functions import arrays, dates, numbers, text, types

Evaluation = Callable[..., object]


@dataclass(frozen=True, slots=True)
class Function:
    """`evaluate` gets the values and returns UNDEFINED for types that it does not support."""

    evaluate: Evaluation
    least: int
    most: int


def _table(*modules: Mapping[str, tuple[Evaluation, int, int]]) -> dict[str, Function]:
    return {name: Function(*entry) for module in modules for name, entry in module.items()}


FUNCTIONS: Mapping[str, Function] = _table(
    types.FUNCTIONS, numbers.FUNCTIONS, text.FUNCTIONS, arrays.FUNCTIONS, dates.FUNCTIONS
)
AGGREGATES = frozenset({"COUNT", "COUNTIF", "SUM", "AVG", "MIN", "MAX", "MAKELIST", "MAKESET"})
# They read the clock of the request, in milliseconds, which the compiler passes as their only argument.
CLOCKS = dates.CLOCKS
