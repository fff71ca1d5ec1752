"""Comparison and arithmetic of SQL rules, with C#'s promotions."""

import operator
from collections.abc import Callable
from typing import Final

# Values of expressions; None is unknown, and NULL.
Value = None | bool | int | float | str | bytes

_COMPARISONS: Final[dict[str, Callable[..., bool]]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class FilterError(Exception):
    """The rule can't be evaluated for this message."""


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def compared(symbol: str, left: Value, right: Value) -> bool | None:
    """`left symbol right`; None when one is unknown or they are of kinds that can't be compared so."""
    alike = (_is_number(left) and _is_number(right)) or (type(left) is type(right) and left is not None)
    if not alike or (isinstance(left, bool) and symbol in ("<", "<=", ">", ">=")):
        return None
    return _COMPARISONS[symbol](left, right)


def calculated(symbol: str, left: Value, right: Value) -> Value:
    """Arithmetic as in C#: 64-bit integers whose division rounds towards zero, doubles, and text joined by +."""
    if left is None or right is None:
        return None
    if symbol == "+" and isinstance(left, str) and isinstance(right, str):
        return left + right
    if not (_is_number(left) and _is_number(right)):
        raise FilterError(f"{left!r} {symbol} {right!r} has no meaning")
    assert isinstance(left, int | float)
    assert isinstance(right, int | float)
    if symbol in "/%" and right == 0:
        raise FilterError(f"{left!r} {symbol} {right!r}: a division by zero")
    try:
        result = _calculate(symbol, left, right)
    except OverflowError:
        raise FilterError(f"{left!r} {symbol} {right!r} is too big") from None
    if isinstance(result, int) and not -(1 << 63) <= result < 1 << 63:
        raise FilterError(f"{left!r} {symbol} {right!r} does not fit in 64 bits")
    return result


def _calculate(symbol: str, left: float, right: float) -> int | float:
    if symbol == "+":
        return left + right
    if symbol == "-":
        return left - right
    if symbol == "*":
        return left * right
    whole = isinstance(left, int) and isinstance(right, int)
    quotient = abs(left) // abs(right) if whole else 0
    if symbol == "/":
        return (quotient if (left < 0) == (right < 0) else -quotient) if whole else left / right
    remainder = abs(left) % abs(right)
    return -remainder if left < 0 else remainder
