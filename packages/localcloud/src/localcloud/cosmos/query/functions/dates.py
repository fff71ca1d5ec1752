"""Dates: ISO 8601 text in UTC with seven digits of fraction, ticks of 100 ns, milliseconds since 1970."""

import calendar
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from localcloud.cosmos.query.functions.numbers import is_number
from localcloud.cosmos.values import UNDEFINED

TICKS_PER_MS = 10_000
TICKS_PER_SECOND = 10_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Ticks of the service count from 1970 in DateTimeToTicks and its like.
_ISO = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,7}))?)?Z?)?")
_PARTS = {
    "year": ("year", "yyyy", "yy"),
    "month": ("month", "mm", "m"),
    "day": ("day", "dd", "d"),
    "hour": ("hour", "hh"),
    "minute": ("minute", "mi", "n"),
    "second": ("second", "ss", "s"),
    "millisecond": ("millisecond", "ms"),
    "microsecond": ("microsecond", "mcs"),
    "nanosecond": ("nanosecond", "ns"),
}
_NAMES = {name: part for part, names in _PARTS.items() for name in names}
_TICKS = {
    "day": 864_000_000_000,
    "hour": 36_000_000_000,
    "minute": 600_000_000,
    "second": TICKS_PER_SECOND,
    "millisecond": TICKS_PER_MS,
    "microsecond": 10,
}


def to_ticks(text: object) -> int | None:
    """100 ns since 1970; None for what is no date."""
    match = _ISO.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    return (moment - _EPOCH) // timedelta(seconds=1) * TICKS_PER_SECOND + int((match[7] or "0").ljust(7, "0"))


def from_ticks(ticks: int) -> object:
    seconds, fraction = divmod(ticks, TICKS_PER_SECOND)
    try:
        moment = _EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        return UNDEFINED
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{fraction:07d}Z".rjust(28, "0")


def _part(part: object) -> str:
    return _NAMES.get(part.lower(), "") if isinstance(part, str) else ""


def _months(ticks: int) -> int:
    moment = _EPOCH + timedelta(seconds=ticks // TICKS_PER_SECOND)
    return moment.year * 12 + moment.month - 1


def _add_months(ticks: int, months: int) -> object:
    seconds, fraction = divmod(ticks, TICKS_PER_SECOND)
    moment = _EPOCH + timedelta(seconds=seconds)
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    if not 1 <= year <= 9999:
        return UNDEFINED
    day = min(moment.day, calendar.monthrange(year, month + 1)[1])
    moved = moment.replace(year=year, month=month + 1, day=day)
    return from_ticks((moved - _EPOCH) // timedelta(seconds=1) * TICKS_PER_SECOND + fraction)


def _add(part: object, number: object, text: object) -> object:
    name, ticks = _part(part), to_ticks(text)
    if not name or ticks is None or not is_number(number):
        return UNDEFINED
    count = int(number)  # type: ignore[call-overload]  # a number
    if name in ("year", "month"):
        return _add_months(ticks, count * (12 if name == "year" else 1))
    return from_ticks(ticks + (count // 100 if name == "nanosecond" else count * _TICKS[name]))


def _diff(part: object, start: object, end: object) -> object:
    """How many boundaries of the part lie between the two."""
    name, first, last = _part(part), to_ticks(start), to_ticks(end)
    if not name or first is None or last is None:
        return UNDEFINED
    if name == "year":
        return _months(last) // 12 - _months(first) // 12
    if name == "month":
        return _months(last) - _months(first)
    if name == "nanosecond":
        return (last - first) * 100
    return last // _TICKS[name] - first // _TICKS[name]


def _get_part(part: object, text: object) -> object:
    name, ticks = _part(part), to_ticks(text)
    if not name or ticks is None:
        return UNDEFINED
    seconds, fraction = divmod(ticks, TICKS_PER_SECOND)
    scales = {"millisecond": fraction // TICKS_PER_MS, "microsecond": fraction // 10, "nanosecond": fraction * 100}
    if name in scales:
        return scales[name]
    return getattr(_EPOCH + timedelta(seconds=seconds), name)


def _bin(text: object, part: object, size: object = 1, origin: object = "1970-01-01T00:00:00.0000000Z") -> object:
    name, ticks, start = _part(part), to_ticks(text), to_ticks(origin)
    if name not in _TICKS or ticks is None or start is None or not is_number(size) or int(size) < 1:  # type: ignore[call-overload]
        return UNDEFINED
    width = _TICKS[name] * int(size)  # type: ignore[call-overload]  # a number
    return from_ticks(start + (ticks - start) // width * width)


def _from_parts(*parts: object) -> object:
    if not all(is_number(part) for part in parts):
        return UNDEFINED
    numbers = [int(part) for part in parts]  # type: ignore[call-overload]  # numbers
    year, month, day, hour, minute, second, fraction = numbers + [0] * (7 - len(numbers))
    text = f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}.{fraction:07d}Z"
    ticks = to_ticks(text)
    return UNDEFINED if ticks is None else from_ticks(ticks)


def _in_ticks(text: object, scale: int) -> object:
    ticks = to_ticks(text)
    return UNDEFINED if ticks is None else ticks // scale


def _from_number(value: object, scale: int) -> object:
    return from_ticks(int(value) * scale) if is_number(value) else UNDEFINED  # type: ignore[call-overload]  # a number


FUNCTIONS: dict[str, tuple[Callable[..., object], int, int]] = {
    "DATETIMEADD": (_add, 3, 3),
    "DATETIMEBIN": (_bin, 2, 4),
    "DATETIMEDIFF": (_diff, 3, 3),
    "DATETIMEFROMPARTS": (_from_parts, 3, 7),
    "DATETIMEPART": (_get_part, 2, 2),
    "DATETIMETOTICKS": (lambda text: _in_ticks(text, 1), 1, 1),
    "DATETIMETOTIMESTAMP": (lambda text: _in_ticks(text, TICKS_PER_MS), 1, 1),
    "TICKSTODATETIME": (lambda ticks: _from_number(ticks, 1), 1, 1),
    "TIMESTAMPTODATETIME": (lambda ms: _from_number(ms, TICKS_PER_MS), 1, 1),
}

_NOW_TEXT: Callable[[int], object] = lambda ms: from_ticks(ms * TICKS_PER_MS)  # noqa: E731 - a table of one-liners
CLOCKS: dict[str, Callable[[int], object]] = {
    "GETCURRENTDATETIME": _NOW_TEXT,
    "GETCURRENTDATETIMESTATIC": _NOW_TEXT,
    "GETCURRENTTICKS": lambda ms: ms * TICKS_PER_MS,
    "GETCURRENTTICKSSTATIC": lambda ms: ms * TICKS_PER_MS,
    "GETCURRENTTIMESTAMP": lambda ms: ms,
    "GETCURRENTTIMESTAMPSTATIC": lambda ms: ms,
}
