"""Time spans in queries and options: a number and a unit, as in `90s`, `30m`, `2h` or `7d`."""

import re
from datetime import timedelta

DURATION_RULE = "a number and s, m, h or d, as in 90s, 30m, 2h or 7d"

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_DURATION = re.compile(r"([0-9]{1,6})([smhd])", re.ASCII)


def read_duration(text: str) -> timedelta:
    """The time span that `text` says. Raises ValueError with the rule."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(DURATION_RULE)
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


AGE_RULE = f"1s or longer: {DURATION_RULE}"
AGE_PATTERN = r"^[1-9][0-9]{0,5}[smhd]$"

_AGE = re.compile(AGE_PATTERN.strip("^$"), re.ASCII)


def checked_age(text: str) -> str:
    """`text` unchanged; raises ValueError with the rule if it is no time span, or none at all."""
    if _AGE.fullmatch(text) is None:
        raise ValueError(AGE_RULE)
    return text
