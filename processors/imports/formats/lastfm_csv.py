"""Last.fm's scrobbles as CSV, in the two usual forms. A scrobble's time is when the song began, in UTC.

One has no header: artist, album, title, and the minute in English words. The other has `uts` (seconds) and more, and
writes songs without a moment as 1970. `scrobble_table.py` knows their variants.
"""

import csv
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import BinaryIO

from songline.processors.imports.bounded import BOM, HEAD_BYTES, lines, text_of
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
from songline.processors.imports.scrobble_table import BARE, TableForm, records, table_form

ORIGIN = "lastfm"
MILLISECONDS_FROM = 100_000_000_000
"""A Unix time from here on is in milliseconds (1973), one below in seconds (the year 5138)."""
_SECOND = re.compile(r"\d:\d\d:\d\d")
_NO_FORM = TableForm(",", BARE, 0)


def read_lastfm_csv(file: BinaryIO, options: ReadOptions) -> Iterator[HistoryRow]:
    """The scrobbles in a file of CSV."""
    form = table_form(text_of(file.read(HEAD_BYTES).removeprefix(BOM))) or _NO_FORM
    file.seek(0)
    for number, values in records(islice(_texts(file), form.head_lines, None), form.delimiter):
        place = f"line {form.head_lines + number}"
        if values is None:
            yield SkippedRow("unreadable", place)
        elif any(value.strip() for value in values):
            yield _scrobble(place, form.names, values)


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
    return written_ms(written)


def _texts(file: BinaryIO) -> Iterator[str]:
    for _, line in lines(file, csv.field_size_limit()):
        # A line that is too long becomes one that is no row.
        yield "?\n" if line is None else text_of(line).replace("\0", "") + "\n"
