"""The log of Rockbox and other portable players, `.scrobbler.log` (Audioscrobbler 1.1): tab-separated artist, album,
title, number, length in seconds, `L` (listened) or `S` (skipped), the Unix time at which it began, MusicBrainz id.

With `#TZ/UTC` the times are in UTC. Otherwise the player has a clock without a zone, and counts its reading as if it
were in UTC.
"""

from collections.abc import Iterator
from typing import BinaryIO

from songline.processors.imports.bounded import lines, text_of
from songline.processors.imports.moments import local_ms
from songline.processors.imports.rows import HistoryRow, ReadOptions, SkippedRow, made_row, milliseconds_of

ORIGIN = "rockbox"
UNTAGGED = "<Untagged>"
COLUMNS = 7


def read_rockbox(file: BinaryIO, options: ReadOptions) -> Iterator[HistoryRow]:
    """The listens in a log. A header applies to the lines below it."""
    is_utc = False
    for number, line in lines(file):
        place = f"line {number}"
        if line is None:
            yield SkippedRow("unreadable", place)
            continue
        text = text_of(line)
        if text.startswith("#TZ/"):
            is_utc = text[4:].strip().upper() == "UTC"
        elif text.strip() and not (text.startswith("#") and text.count("\t") < COLUMNS - 1):
            yield _listen(place, text.split("\t"), options, is_utc=is_utc)


def _listen(place: str, values: list[str], options: ReadOptions, *, is_utc: bool) -> HistoryRow:
    if len(values) < COLUMNS:
        return SkippedRow("unreadable", place)
    artist, album, title, _, seconds, rating, began = values[:COLUMNS]
    if rating.strip().upper() == "S":
        return SkippedRow("skipped", place)
    clock_ms = milliseconds_of(began.strip())
    return made_row(
        place,
        ORIGIN,
        clock_ms if clock_ms is None or is_utc or clock_ms <= 0 else local_ms(clock_ms, options.zone),
        _tag(title),
        [_tag(artist)],
        album=_tag(album),
        duration_ms=milliseconds_of(seconds.strip()),
        mbid=values[COLUMNS] if len(values) > COLUMNS else None,
    )


def _tag(text: str) -> str | None:
    return None if text.strip().lower() == UNTAGGED.lower() else text
