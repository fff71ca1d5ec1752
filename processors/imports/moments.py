"""Moments as histories write them, as Unix milliseconds; None for what is none."""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from songline.processors.imports.rows import unix_ms

MONTHS = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), start=1
    )
}
MAX_WRITTEN = 64

_CLOCK = r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2}))?\s*(?P<half>[AaPp]\.?[Mm]\.?)?\s*(?P<zone>\S+)?"
_DAY_FIRST = re.compile(rf"(?P<day>\d{{1,2}})\s+(?P<month>[A-Za-z]{{3,9}})\.?,?\s+(?P<year>\d{{4}}),?\s+{_CLOCK}")
_MONTH_FIRST = re.compile(rf"(?P<month>[A-Za-z]{{3,9}})\.?\s+(?P<day>\d{{1,2}}),\s+(?P<year>\d{{4}}),?\s+{_CLOCK}")
_DOTTED = re.compile(rf"(?P<day>\d{{1,2}})\.\s?(?P<month>\d{{1,2}})\.\s?(?P<year>\d{{4}}),?\s+{_CLOCK}")
_ISO_ZONE = re.compile(r"(?<=\d)(?: UTC|Z?\[UTC\]| (?=[+-]\d\d:?\d\d$))")
_OFFSET = re.compile(r"(?:UTC|GMT)?(?P<sign>[+\u2212-])(?P<hours>\d{1,2})(?::?(?P<minutes>\d{2}))?")

_ZONE_HOURS = {
    "UTC": 0,
    "GMT": 0,
    "Z": 0,
    "WET": 0,
    "WEST": 1,
    "BST": 1,
    "CET": 1,
    "CEST": 2,
    "MEZ": 1,
    "MESZ": 2,
    "EET": 2,
    "EEST": 3,
    "MSK": 3,
    "SAST": 2,
    "HKT": 8,
    "SGT": 8,
    "AWST": 8,
    "JST": 9,
    "KST": 9,
    "AEST": 10,
    "AEDT": 11,
    "NZST": 12,
    "NZDT": 13,
    "EST": -5,
    "EDT": -4,
    "CST": -6,
    "CDT": -5,
    "MST": -7,
    "MDT": -6,
    "PST": -8,
    "PDT": -7,
    "AKST": -9,
    "AKDT": -8,
    "HST": -10,
}


def written_ms(text: object, zone: tzinfo = UTC) -> int | None:
    """A moment as a person reads it: in English words, `22.03.2021 16:55`, or ISO 8601. Without a zone it is in `zone`;
    ISO 8601 is in UTC then."""
    found = english_ms(text, zone)
    return iso_ms(text) if found is None else found


def iso_ms(text: object) -> int | None:
    """A moment in ISO 8601, also with a space or `UTC` before or in place of an offset; without one it is in UTC."""
    if not isinstance(text, str) or len(text) > MAX_WRITTEN:
        return None
    try:
        moment = datetime.fromisoformat(_ISO_ZONE.sub("", text.strip()))
        return unix_ms(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        return None


def english_ms(text: object, zone: tzinfo = UTC) -> int | None:
    """A moment in English words, `22 Mar 2021, 16:55` or `Mar 22, 2021, 4:55:03 PM CET`, or as `22.03.2021, 16:55:03`.
    Without a zone it is in `zone`; None where the zone is not known."""
    if not isinstance(text, str) or len(text) > MAX_WRITTEN:
        return None
    plain = " ".join(text.split())
    found = _DAY_FIRST.fullmatch(plain) or _MONTH_FIRST.fullmatch(plain) or _DOTTED.fullmatch(plain)
    if found is None:
        return None
    word = found["month"]
    month = int(word) if word.isdigit() else MONTHS.get(word[:3].lower())
    if month is None:
        return None
    hour = int(found["hour"])
    if found["half"]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if found["half"][0] in "Pp" else 0)
    named = _zone(found["zone"]) if found["zone"] else zone
    if named is None:
        return None
    try:
        moment = datetime(
            int(found["year"]),
            month,
            int(found["day"]),
            hour,
            int(found["minute"]),
            int(found["second"] or 0),
            0,
            named,
        )
        return unix_ms(moment)
    except (ValueError, OverflowError):
        return None


def local_ms(wall_ms: int, zone: tzinfo) -> int | None:
    """The moment of a clock in `zone` whose reading was counted as if it were in UTC."""
    try:
        wall = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=wall_ms)
        return unix_ms(wall.replace(tzinfo=zone))
    except (ValueError, OverflowError):
        return None


def _zone(name: str) -> tzinfo | None:
    hours = _ZONE_HOURS.get(name.upper())
    if hours is not None:
        return timezone(timedelta(hours=hours))
    offset = _OFFSET.fullmatch(name)
    if offset is None:
        return None
    minutes = int(offset["hours"]) * 60 + int(offset["minutes"] or 0)
    return timezone(timedelta(minutes=minutes if offset["sign"] == "+" else -minutes)) if minutes < 1_440 else None
