"""Tables of scrobbles: what stands between their values, which column is which, and where a record ends. Pure."""

import csv
import re
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice

from msgspec import Struct

from songline.processors.imports.moments import written_ms

BARE = ("artist", "album", "track", "utc_time")
"""The columns of a table without a header."""
BARE_MAX = 7
"""Values of a row without a header: programs write the album's artist and the length behind these four."""
MAX_LINES = 8
"""Lines of a record: a title that goes on for longer has a quote that nobody closed."""
SAMPLE_LINES = 60

_NAMES = {
    "track": ("track", "track_name", "track_title", "title", "name", "song", "song_name", "song_title"),
    "artist": ("artist", "artist_name", "artists", "artist_s", "track_artist"),
    "album": ("album", "album_name", "album_title", "release", "release_name"),
    "track_mbid": ("track_mbid", "mbid", "recording_mbid"),
    "utc_time": (
        *("utc_time", "time", "time_utc", "date", "date_utc", "datetime", "date_time", "played_at", "scrobbled_at"),
        *("scrobble_time", "scrobble_date", "date_played", "time_played"),
    ),
    "uts": ("uts", "date_uts", "timestamp", "timestamp_utc", "unix_timestamp", "unix_time", "epoch", "listened_at"),
}
_KNOWN = {written: name for name, all_written in _NAMES.items() for written in all_written}
_DATE_OF = "date#"
"""A column of a date may name the user behind this."""
_SEPARATOR_LINE = re.compile(r"\s*sep=(.)\s*", re.IGNORECASE)
_DELIMITERS = ",;\t"
_SENTINEL = "end\n"


class TableForm(Struct, frozen=True):
    """The form of a table: its delimiter, the names of its columns, and how many lines stand before the first row."""

    delimiter: str
    names: tuple[str, ...]
    head_lines: int


def table_form(text: str) -> TableForm | None:
    """The form of a table that begins with `text`: with a header of scrobbles, or with four values of which the last is
    a moment. None for another text."""
    # A line end inside quotes is part of a value, so that the ends stay.
    lines = [line + "\n" for line in text.split("\n", SAMPLE_LINES)[:SAMPLE_LINES]]
    first = next((number for number, line in enumerate(lines) if line.strip()), len(lines))
    if first < len(lines) and (told := _SEPARATOR_LINE.fullmatch(lines[first])):
        delimiters, first = told[1], first + 1
    else:
        delimiters = _DELIMITERS
    for delimiter in delimiters:
        rows = [row for _, row in records(lines[first:], delimiter) if row]
        if not rows:
            continue
        if (names := header(rows[0])) is not None:
            return TableForm(delimiter, names, first + 1)
        if any(len(BARE) <= len(row) <= BARE_MAX and written_ms(row[3]) is not None for row in rows):
            return TableForm(delimiter, BARE, first)
    return None


def header(values: list[str]) -> tuple[str, ...] | None:
    """The names of columns where the values are a header; None where they are a row."""
    names = tuple(map(_name, values))
    return names if {"artist", "track"} <= set(names) and {"uts", "utc_time"} & set(names) else None


def _name(written: str) -> str:
    text = written.strip().lower()
    if text.startswith(_DATE_OF):
        return "uts"
    plain = re.sub(r"\W+", "_", text).strip("_")
    return _KNOWN.get(plain, plain)


def records(lines: Iterable[str], delimiter: str) -> Iterator[tuple[int, list[str] | None]]:
    """The values of each record, with the number of its first line. One may have several lines, inside quotes. A line
    with a quote that nobody closed is a record of its own, without values, so that it swallows no other."""
    source, waiting, number = iter(lines), deque[str](), 1
    while True:
        waiting.extend(islice(source, MAX_LINES - len(waiting)))
        if not waiting:
            return
        tried = ((size, _closed(waiting, size, delimiter)) for size in range(1, len(waiting) + 1))
        count, values = next(((size, found) for size, found in tried if found is not None), (1, None))
        for _ in range(count):
            waiting.popleft()
        yield number, values
        number += count


def _closed(lines: Iterable[str], size: int, delimiter: str) -> list[str] | None:
    """The values of the record that the first `size` lines are; None where a quote is still open behind them."""
    # Quotes that are used wrong are taken as they are in a line, and not to join lines.
    reader = csv.reader([*islice(lines, size), _SENTINEL], delimiter=delimiter, strict=size > 1)
    try:
        values = next(reader)
    except csv.Error:
        return None
    return values if reader.line_num <= size else None
