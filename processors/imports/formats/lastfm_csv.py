"""Last.fm's scrobbles as CSV, in the two usual forms. A scrobble's time is when the song began, in UTC.

One has no header: artist, album, title, and the minute in English words. The other has `uts` (seconds) and more, and
writes songs without a moment as 1970.
"""

import csv
from collections.abc import Iterator, Mapping
from typing import BinaryIO

from songline.processors.imports.bounded import lines
from songline.processors.imports.moments import english_ms, iso_ms
from songline.processors.imports.rows import MINUTE_MS, HistoryRow, ReadOptions, SkippedRow, made_row, milliseconds_of

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
}


def read_lastfm_csv(file: BinaryIO, options: ReadOptions) -> Iterator[HistoryRow]:
    """The scrobbles in a file of CSV."""
    names: tuple[str, ...] | None = None
    rows = csv.reader(_texts(file), strict=False)
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


def header(values: list[str]) -> tuple[str, ...] | None:
    """The names of columns where the values are a header; None where they are a row."""
    names = [value.strip().lower() for value in values]
    known = tuple(OTHER_NAMES.get(name, name) for name in names)
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
        precision_ms=None if row.get("uts", "").strip() else MINUTE_MS,
    )


def _began_ms(row: Mapping[str, str]) -> int | None:
    seconds = row.get("uts", "").strip()
    if seconds:
        return milliseconds_of(seconds)
    written = row.get("utc_time")
    found = english_ms(written)
    return iso_ms(written) if found is None else found


def _texts(file: BinaryIO) -> Iterator[str]:
    for _, line in lines(file, csv.field_size_limit()):
        # A line that is too long becomes one that is no row.
        yield "?\n" if line is None else line.decode("utf-8", "replace").replace("\0", "") + "\n"
