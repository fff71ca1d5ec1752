"""Times of events, as they are written, to minutes: a column at a time.

Read are RFC 3339 as JSON writers have it, with `T`, and `Z` or an offset, and any digits of a second. What is written
otherwise is left to the contract's decoder. Nothing is rounded, since seconds are only looked at.
"""

from datetime import date

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]

LONGEST = 48
_DAY_BYTES = 10
_EPOCH = date(1970, 1, 1).toordinal()
_FIRST_DAY, _LAST_DAY = date.min.toordinal() - _EPOCH, date.max.toordinal() - _EPOCH
_ZONE_BYTES = 6


def event_minutes(times: list[str]) -> Ints:
    """Minutes since 1970 of these moments.

    Raises ValueError where one is not written as said above, is no moment, or has an offset that may lead out of the
    years that there are.
    """
    widths = set(map(len, times))
    if len(widths) == 1:
        return _of_one_width(times, widths.pop())
    minutes = np.zeros(len(times), np.int64)
    for width in widths:
        at = [place for place, time in enumerate(times) if len(time) == width]
        minutes[at] = _of_one_width([times[place] for place in at], width)
    return minutes


def _of_one_width(times: list[str], width: int) -> Ints:
    return text_minutes(np.frombuffer("".join(times).encode("ascii"), np.uint8).reshape(len(times), width))


def text_minutes(text: Bytes) -> Ints:
    """Minutes since 1970 of moments of one width, a row of `text` each. Raises ValueError as `event_minutes` does."""
    width = text.shape[1]
    zone = text[0, -_ZONE_BYTES:].tobytes() if width > _ZONE_BYTES else b""
    pattern = _pattern(width, "Z" if zone.endswith(b"Z") else f"{chr(zone[0])}00:00" if zone else "")
    digits = text - pattern
    # Where the pattern has a sign, the text has it too; elsewhere it has a digit.
    if (digits > np.where(pattern == ord("0"), 9, 0).astype(np.uint8)).any():
        raise ValueError("a time that is not written as expected")
    hours, minutes = _two(digits, 11), _two(digits, 14)
    _check(hours, 23)
    _check(minutes, 59)
    _check(_two(digits, 17), 59)
    days = _days(text[:, :_DAY_BYTES])
    found = days * 1_440 + hours.astype(np.int64) * 60 + minutes
    if zone.endswith(b"Z"):
        return found
    zone_hours, zone_minutes = _two(digits, width - 5), _two(digits, width - 2)
    _check(zone_hours, 23)
    _check(zone_minutes, 59)
    if days.min() <= _FIRST_DAY or days.max() >= _LAST_DAY:
        raise ValueError("a moment that may have no form in UTC")
    ahead = zone_hours.astype(np.int64) * 60 + zone_minutes
    return found + ahead if zone.startswith(b"-") else found - ahead


def _pattern(width: int, zone: str) -> Bytes:
    """Moments of a width: their signs, and a 0 for each digit."""
    moment = "0000-00-00T00:00:00"
    fraction = width - len(moment) - len(zone)
    if zone[:1] not in ("Z", "+", "-") or width > LONGEST or fraction < 0 or fraction == 1:
        raise ValueError("a time that is not written as expected")
    return np.frombuffer((moment + ("." + "0" * (fraction - 1) if fraction else "") + zone).encode(), np.uint8)


def _days(text: Bytes) -> Ints:
    """Days since 1970 of dates."""
    if (text == text[0]).all():
        return np.full(len(text), _day(text[0].tobytes()), np.int64)
    days, place = np.unique(np.ascontiguousarray(text).view(f"S{_DAY_BYTES}").ravel(), return_inverse=True)
    return np.array([_day(day) for day in days.tolist()], np.int64)[place]


def _day(text: bytes) -> int:
    return date(int(text[:4]), int(text[5:7]), int(text[8:])).toordinal() - _EPOCH


def _two(digits: Bytes, at: int) -> Bytes:
    """The number that two digits say."""
    return digits[:, at] * np.uint8(10) + digits[:, at + 1]


def _check(numbers: Bytes, largest: int) -> None:
    if (numbers > largest).any():
        raise ValueError(f"a part of a time is over {largest}")
