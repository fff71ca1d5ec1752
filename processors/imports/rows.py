"""Rows of histories: what each reader makes of a file, a listen or a row that is passed over for a reason."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, tzinfo
from typing import Any, Literal, TypeAlias, get_args

from msgspec import Struct

from songline.schemas.texts import clean_or_none
from songline.schemas.types import DAY_MS, ISRC_PATTERN, MBID_PATTERN

SkipReason = Literal[
    "no-words",
    "no-moment",
    "in-future",
    "too-short",
    "skipped",
    "now-playing",
    "podcast",
    "no-music",
    "no-listen",
    "other-listener",
    "unreadable",
    "duplicate",
]
"""Why a row is no listen: a word for programs. `no-words`: title or artist is missing. `no-moment`: it has none, or one
before 2000, as devices without a clock write. `skipped`: the player says that the song was skipped. `no-listen`: it is
something else than a listen, such as a like. `duplicate`: the same listen as another row of its file."""

SKIP_REASONS: tuple[SkipReason, ...] = get_args(SkipReason)

EARLIEST_MS = 946_684_800_000
"""2000-01-01, the earliest time that an event may have."""
LATEST_MS = 253_402_300_799_999
"""The last millisecond of the year 9999."""

MINUTE_MS = 60_000
"""The precision of forms that tell the minute alone."""

MAX_TEXT = 300
MAX_ARTISTS = 20
MAX_IDENTIFIER = 128
_READ_TEXT = 4 * MAX_TEXT

_ISRC = re.compile(ISRC_PATTERN)
_MBID = re.compile(MBID_PATTERN)


class HistoryListen(Struct, frozen=True, array_like=True, gc=False, tag="listen"):
    """A listen as its file tells it. `began_ms`: Unix milliseconds at which it began. `song_id` is there where the file
    names a song of ours; such a row may be without words. `precision_ms`: it began so many milliseconds later at most,
    where that is not known to the second."""

    began_ms: int
    origin: str
    title: str
    artists: tuple[str, ...]
    album: str | None = None
    played_ms: int | None = None
    duration_ms: int | None = None
    recording_mbid: str | None = None
    isrc: str | None = None
    song_id: str | None = None
    precision_ms: int | None = None


class SkippedRow(Struct, frozen=True, array_like=True, gc=False, tag="skipped"):
    """A row that is no listen: why, and where in the file it is."""

    reason: SkipReason
    place: str


HistoryRow: TypeAlias = HistoryListen | SkippedRow


class ReadOptions(Struct, frozen=True):
    """What a file doesn't say: the `zone` of local times, and the listener, whose are the rows of our own events."""

    user_id: str
    zone: tzinfo = UTC


class UnreadableHistoryError(Exception):
    """The file as a whole can't be read. The message says what was seen and what to do."""


def made_row(
    place: str,
    origin: str,
    began_ms: int | None,
    title: object,
    artists: Iterable[object],
    *,
    album: object = None,
    played_ms: int | None = None,
    duration_ms: int | None = None,
    mbid: object = None,
    isrc: object = None,
    precision_ms: int | None = None,
) -> HistoryRow:
    """The listen that these values make, or why they make none. Texts are cleaned and cut, identifiers that are none
    and lengths that can't be are left out."""
    words = shown(title)
    names = tuple(dict.fromkeys(name for one in artists if (name := shown(one))))[:MAX_ARTISTS]
    if words is None or not names:
        return SkippedRow("no-words", place)
    if began_ms is None or not EARLIEST_MS <= began_ms <= LATEST_MS:
        return SkippedRow("no-moment", place)
    return HistoryListen(
        began_ms,
        origin,
        words,
        names,
        shown(album),
        length(played_ms),
        length(duration_ms),
        _identifier(mbid, str.lower, _MBID),
        _identifier(isrc, lambda text: text.replace("-", "").upper(), _ISRC),
        precision_ms=precision_ms,
    )


def shown(value: object) -> str | None:
    """A text, clean and not too long; None where there is none, or nothing that can be seen."""
    if not isinstance(value, str):
        return None
    text = clean_or_none(value[:_READ_TEXT])
    return text if text is None or len(text) <= MAX_TEXT else clean_or_none(text[:MAX_TEXT])


def whole(value: Any) -> int | None:
    """A number, or the text of one, as a whole one; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, int):
        return value
    try:
        return int(float(value)) if "." in str(value) or "e" in str(value) else int(value)
    except (ValueError, OverflowError):
        return None


def milliseconds_of(seconds: Any) -> int | None:
    """Seconds, a number or the text of one, as milliseconds."""
    if isinstance(seconds, float):
        try:
            return int(seconds * 1_000)
        except (ValueError, OverflowError):
            return None
    number = whole(seconds)
    return None if number is None else number * 1_000


def length(value: int | None) -> int | None:
    """A length in milliseconds; None where it is none, or is longer than a day."""
    return value if value is not None and 0 < value <= DAY_MS else None


def unix_ms(moment: datetime) -> int:
    """Unix milliseconds of an aware moment."""
    return round((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1_000)


def _identifier(value: object, form: Any, pattern: "re.Pattern[str]") -> str | None:
    if not isinstance(value, str) or len(value) > MAX_IDENTIFIER:
        return None
    text: str = form(value.strip())
    return text if pattern.search(text) else None
