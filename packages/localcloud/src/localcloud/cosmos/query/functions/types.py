"""Type checks and choices. These see undefined values as they are."""

import math
from collections.abc import Callable

from localcloud.cosmos.values import UNDEFINED, type_rank


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_finite(value: object) -> bool:
    return _is_number(value) and math.isfinite(value)  # type: ignore[arg-type]  # a number


def _is_integer(value: object) -> bool:
    return _is_number(value) and float(value).is_integer() and abs(value) < 2**63  # type: ignore[arg-type]  # a number


def _iif(test: object, then: object, otherwise: object) -> object:
    return then if test is True else otherwise


def _choose(number: object, *choices: object) -> object:
    if isinstance(number, int) and not isinstance(number, bool) and 0 < number <= len(choices):
        return choices[number - 1]
    return UNDEFINED


FUNCTIONS: dict[str, tuple[Callable[..., object], int, int]] = {
    "IS_ARRAY": (lambda value: isinstance(value, list), 1, 1),
    "IS_BOOL": (lambda value: isinstance(value, bool), 1, 1),
    "IS_DEFINED": (lambda value: value is not UNDEFINED, 1, 1),
    "IS_FINITE_NUMBER": (_is_finite, 1, 1),
    "IS_INTEGER": (_is_integer, 1, 1),
    "IS_NULL": (lambda value: value is None, 1, 1),
    "IS_NUMBER": (_is_number, 1, 1),
    "IS_OBJECT": (lambda value: isinstance(value, dict), 1, 1),
    "IS_PRIMITIVE": (lambda value: 1 <= type_rank(value) <= 4, 1, 1),
    "IS_STRING": (lambda value: isinstance(value, str), 1, 1),
    "IIF": (_iif, 3, 3),
    "CHOOSE": (_choose, 2, 100),
}
