"""Mathematical functions. Anything but a number gives undefined, and so does a result that is none."""

import math
import random
from collections.abc import Callable

from localcloud.cosmos.values import UNDEFINED


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_whole(value: object) -> bool:
    """Whether it is a whole number, which may be written 2 or 2.0. JSON may have one that no float holds."""
    return is_number(value) and (isinstance(value, int) or float(value).is_integer())  # type: ignore[arg-type]


def to_json_number(number: float) -> object:
    """A result as JSON has it: an integer where it is one, undefined for NaN and infinities. Beyond 64 bits it is
    rounded as a float is, and undefined beyond what that can be."""
    try:
        if isinstance(number, int):
            return number if -(2**63) <= number < 2**64 else float(number)
    except OverflowError:
        return UNDEFINED
    if not math.isfinite(number):
        return UNDEFINED
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def _of_numbers(function: Callable[..., float]) -> Callable[..., object]:
    def evaluate(*values: object) -> object:
        if not all(map(is_number, values)):
            return UNDEFINED
        try:
            return to_json_number(function(*values))
        except (ValueError, OverflowError, ZeroDivisionError):
            return UNDEFINED

    return evaluate


def _of_integers(function: Callable[..., int]) -> Callable[..., object]:
    def evaluate(*values: object) -> object:
        if not all(map(is_whole, values)):
            return UNDEFINED
        try:
            return _int64(function(*(int(value) for value in values)))  # type: ignore[call-overload]
        except (ValueError, ZeroDivisionError):
            return UNDEFINED

    return evaluate


def _int64(number: int) -> int:
    return (number + 2**63) % 2**64 - 2**63


def _round(value: float, digits: int = 0) -> float:
    """Half away from zero, as the service rounds."""
    scale = 10.0**digits
    return math.copysign(math.floor(abs(value) * scale + 0.5) / scale, value)


def _log(value: float, base: float = math.e) -> float:
    return math.log(value) if base == math.e else math.log(value, base)


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


def _divide(left: int, right: int) -> int:
    """Towards zero."""
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


FUNCTIONS: dict[str, tuple[Callable[..., object], int, int]] = {
    "ABS": (_of_numbers(abs), 1, 1),
    "ACOS": (_of_numbers(math.acos), 1, 1),
    "ASIN": (_of_numbers(math.asin), 1, 1),
    "ATAN": (_of_numbers(math.atan), 1, 1),
    "ATN2": (_of_numbers(math.atan2), 2, 2),
    "CEILING": (_of_numbers(math.ceil), 1, 1),
    "COS": (_of_numbers(math.cos), 1, 1),
    "COT": (_of_numbers(lambda x: 1 / math.tan(x)), 1, 1),
    "DEGREES": (_of_numbers(math.degrees), 1, 1),
    "EXP": (_of_numbers(math.exp), 1, 1),
    "FLOOR": (_of_numbers(math.floor), 1, 1),
    "INTADD": (_of_integers(lambda a, b: a + b), 2, 2),
    "INTBITAND": (_of_integers(lambda a, b: a & b), 2, 2),
    "INTBITLEFTSHIFT": (_of_integers(lambda a, b: a << min(b, 64)), 2, 2),
    "INTBITNOT": (_of_integers(lambda a: ~a), 1, 1),
    "INTBITOR": (_of_integers(lambda a, b: a | b), 2, 2),
    "INTBITRIGHTSHIFT": (_of_integers(lambda a, b: a >> b), 2, 2),
    "INTBITXOR": (_of_integers(lambda a, b: a ^ b), 2, 2),
    "INTDIV": (_of_integers(_divide), 2, 2),
    "INTMOD": (_of_integers(lambda a, b: a - b * _divide(a, b)), 2, 2),
    "INTMUL": (_of_integers(lambda a, b: a * b), 2, 2),
    "INTSUB": (_of_integers(lambda a, b: a - b), 2, 2),
    "LOG": (_of_numbers(_log), 1, 2),
    "LOG10": (_of_numbers(math.log10), 1, 1),
    "NUMBERBIN": (_of_numbers(lambda x, size=1: math.floor(x / size) * size), 1, 2),
    "PI": (_of_numbers(lambda: math.pi), 0, 0),
    "POWER": (_of_numbers(math.pow), 2, 2),
    "RADIANS": (_of_numbers(math.radians), 1, 1),
    "RAND": (_of_numbers(random.random), 0, 0),
    "ROUND": (_of_numbers(_round), 1, 2),
    "SIGN": (_of_numbers(_sign), 1, 1),
    "SIN": (_of_numbers(math.sin), 1, 1),
    "SQRT": (_of_numbers(math.sqrt), 1, 1),
    "SQUARE": (_of_numbers(lambda x: x * x), 1, 1),
    "TAN": (_of_numbers(math.tan), 1, 1),
    "TRUNC": (_of_numbers(math.trunc), 1, 1),
}
