"""Last.fm's scrobbles as JSON: tracks, or pages of them, as the API answers (`user.getRecentTracks`), in arrays or
lines. A scrobble's time is when the song began; the one that is running has none."""

from collections.abc import Iterator
from typing import Any, BinaryIO

from songline.processors.imports.bounded import lines, whole_document
from songline.processors.imports.formats.lastfm_csv import MILLISECONDS_FROM
from songline.processors.imports.json_rows import broken_json, field, lenient
from songline.processors.imports.moments import written_ms
from songline.processors.imports.rows import (
    MINUTE_MS,
    HistoryRow,
    ReadOptions,
    SkippedRow,
    made_row,
    milliseconds_of,
    whole,
)
from songline.schemas.decoding import Decoder
from songline.schemas.errors import PoisonError

ORIGIN = "lastfm"
DEEPEST = 4
"""Arrays of pages of tracks nest so deep."""

_anything: Decoder[Any] = Decoder(Any, "not-a-scrobble")


def read_lastfm_json(file: BinaryIO, options: ReadOptions) -> Iterator[HistoryRow]:
    """The scrobbles in a document, or in lines of them. Raises UnreadableHistoryError."""
    for number, track in enumerate(_tracks(file), start=1):
        yield lastfm_scrobble(f"row {number}", track)


def lastfm_scrobble(place: str, track: Any) -> HistoryRow:
    """The scrobble of a track."""
    if not isinstance(track, dict):
        return SkippedRow("unreadable", place)
    if field(track, "@attr", "nowplaying") in ("true", True):
        return SkippedRow("now-playing", place)
    return made_row(
        place,
        ORIGIN,
        _began_ms(track.get("date")),
        track.get("name") or track.get("track"),
        [_text(track.get("artist"))],
        album=_text(track.get("album")),
        mbid=track.get("mbid"),
        precision_ms=_precision_ms(track.get("date")),
    )


def _began_ms(date: Any) -> int | None:
    """The moment of a date: `uts` in seconds, a number of seconds or milliseconds, or written out."""
    if isinstance(date, dict):
        seconds = date.get("uts")
        date = date.get("#text") if whole(seconds) is None else seconds
    number = whole(date)
    if number is None:
        return written_ms(date)
    return milliseconds_of(date) if number < MILLISECONDS_FROM else number


def _precision_ms(date: Any) -> int | None:
    seconds = date.get("uts") if isinstance(date, dict) else date
    return MINUTE_MS if whole(seconds) is None else None


def _tracks(file: BinaryIO) -> Iterator[Any]:
    data = whole_document(file)
    try:
        document = lenient(_anything, data)
    except PoisonError as poison:
        if b"\n" not in data.strip():
            raise broken_json(poison) from None
        file.seek(0)
        first = True
        for _, line in lines(file):
            if line is not None and not line.strip():
                continue
            try:
                found = None if line is None else lenient(_anything, line)
            except PoisonError:
                if first:
                    raise broken_json(poison) from None
                found = None
            first = False
            yield from _flat(found, DEEPEST)
        return
    yield from _flat(document, DEEPEST)


def _flat(value: Any, deepest: int) -> Iterator[Any]:
    """The tracks in arrays, pages, and answers around them."""
    if isinstance(value, list) and deepest:
        for item in value:
            yield from _flat(item, deepest - 1)
    elif isinstance(value, dict) and deepest and "artist" not in value:
        for name in ("recenttracks", "track", "tracks", "scrobbles"):
            if name in value:
                yield from _flat(value[name], deepest - 1)
                return
        yield value
    else:
        yield value


def _text(value: Any) -> Any:
    return value if isinstance(value, str) else field(value, "#text") or field(value, "name")
