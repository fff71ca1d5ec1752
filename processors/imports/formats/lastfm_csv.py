"""Last.fm's scrobbles as CSV, in the two usual forms. A scrobble's time is when the song began, in UTC.

One has no header: artist, album, title, and the minute in English words. The other has `uts` (seconds) and more, and
writes songs without a moment as 1970. Columns may have another order, and semicolons or tabs between them, as programs
for tables write them.
"""

import csv
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import chain
from typing import BinaryIO

from songline.processors.imports.bounded import lines
from songline.processors.imports.moments import english_ms, iso_ms
from songline.processors.imports.rows import (
    MINUTE_MS,
    HistoryRow,
    ReadOptions,
    SkippedRow,
    made_row,
    milliseconds_of,
    whole,
)

ORIGIN = "lastfm"
BARE = ("artist", "album", "track", "utc_time")
OTHER_NAMES = {
    "title": "track",
    "track name": "track",
    "track_name": "track",
    "name": "track",
    "song": "track",
    "artist name": "artist",
    "artist_name": "artist",
    "album name": "album",
    "album_name": "album",
    "date": "utc_time",
    "time": "utc_time",
    "timestamp": "uts",
    "track mbid": "track_mbid",
    "played_at": "utc_time",
    "listened_at": "uts",
}
_DATE_OF = "date#"
"""A column of a date may name the user behind this."""
MILLISECONDS_FROM = 100_000_000_000
"""A Unix time from here on is in milliseconds (1973), one below in seconds (the year 5138)."""
_SECOND = re.compile(r"\d:\d\d:\d\d")
_DELIMITERS = ",;\t"


def read_lastfm_csv(file: BinaryIO, options: ReadOptions) -> Iterator[HistoryRow]:
    """The scrobbles in a file of CSV."""
    names: tuple[str, ...] | None = None
    texts = _texts(file)
    first = next((text for text in texts if text.strip()), "")
    rows = csv.reader(chain((first,), texts), strict=False, delimiter=delimiter_of(first))
    while True:
        try:
            values = next(rows)
        except StopIteration:
            return
        except csv.Error:
            yield SkippedRow("unreadable", f"line {rows.line_num}")
            continue
        if not any(value.strip() for value in values):
            continue
        if names is None:
            names = header(values) or BARE
            if names is not BARE:
                continue
        yield _scrobble(f"line {rows.line_num}", names, values)


def delimiter_of(line: str) -> str:
    """What stands between the values of a first line that is a header; a comma for any other line."""
    for delimiter in _DELIMITERS:
        with suppress(csv.Error):
            if header(next(csv.reader([line], delimiter=delimiter), [])) is not None:
                return delimiter
    return ","


def header(values: list[str]) -> tuple[str, ...] | None:
    """The names of columns where the values are a header; None where they are a row."""
    names = [value.strip().lower() for value in values]
    known = tuple("uts" if name.startswith(_DATE_OF) else OTHER_NAMES.get(name, name) for name in names)
    return known if {"artist", "track"} <= set(known) and {"uts", "utc_time"} & set(known) else None


def _scrobble(place: str, names: tuple[str, ...], values: list[str]) -> HistoryRow:
    row: Mapping[str, str] = dict(zip(names, values, strict=False))
    if len(values) < min(len(names), len(BARE)):
        return SkippedRow("unreadable", place)
    return made_row(
        place,
        ORIGIN,
        _began_ms(row),
        row.get("track"),
        [row.get("artist")],
        album=row.get("album"),
        mbid=row.get("track_mbid"),
        precision_ms=None if _is_exact(row) else MINUTE_MS,
    )


def _is_exact(row: Mapping[str, str]) -> bool:
    """Whether the moment has its second: as a number, or written out."""
    written = row.get("uts", "").strip() or row.get("utc_time", "").strip()
    return whole(written) is not None or _SECOND.search(written) is not None


def _began_ms(row: Mapping[str, str]) -> int | None:
    seconds = row.get("uts", "").strip()
    number = whole(seconds)
    if number is not None:
        return number if number >= MILLISECONDS_FROM else milliseconds_of(seconds)
    written = seconds or row.get("utc_time")
    found = english_ms(written)
    return iso_ms(written) if found is None else found


def _texts(file: BinaryIO) -> Iterator[str]:
    for _, line in lines(file, csv.field_size_limit()):
        # A line that is too long becomes one that is no row.
        yield "?\n" if line is None else line.decode("utf-8", "replace").replace("\0", "") + "\n"
