"""Maloja's export: all scrobbles in one document, each with its artists one by one. `time` is in seconds UTC, and
`duration` is how long the song was heard; before version 3 it was the song's length."""

from collections.abc import Iterator
from typing import Any, BinaryIO

from msgspec import Raw, Struct

from songline.processors.imports.bounded import whole_document
from songline.processors.imports.json_rows import broken_json, decoded, field, lenient
from songline.processors.imports.rows import HistoryRow, ReadOptions, SkippedRow, made_row, milliseconds_of
from songline.schemas.decoding import Decoder
from songline.schemas.errors import PoisonError

ORIGIN = "maloja"


class MalojaExport(Struct, frozen=True):
    """The document, its scrobbles not decoded yet."""

    scrobbles: list[Raw]


class MalojaScrobble(Struct, frozen=True):
    """A scrobble. `track` has `artists`, `title`, `album` or null, and `length` in seconds; earlier versions have these
    beside the time, the length as `duration`."""

    time: Any = None
    track: Any = None
    duration: Any = None
    artists: Any = None
    title: Any = None
    album: Any = None


_export = Decoder(MalojaExport, "not-a-history")
_scrobble = Decoder(MalojaScrobble, "not-a-scrobble")


def read_maloja(file: BinaryIO, options: ReadOptions) -> Iterator[HistoryRow]:
    """The scrobbles in an export. Raises UnreadableHistoryError."""
    try:
        rows = lenient(_export, whole_document(file)).scrobbles
    except PoisonError as poison:
        raise broken_json(poison) from None
    for place, row in decoded(rows, _scrobble):
        if isinstance(row, SkippedRow):
            yield row
            continue
        track, played_s = row.track, row.duration
        if not isinstance(track, dict):
            track = {"artists": row.artists, "title": row.title, "album": row.album, "length": row.duration}
            played_s = None
        artists, album = field(track, "artists"), field(track, "album")
        yield made_row(
            place,
            ORIGIN,
            milliseconds_of(row.time),
            field(track, "title"),
            artists if isinstance(artists, list) else [artists],
            album=album if isinstance(album, str) else field(album, "albumtitle") or field(album, "name"),
            played_ms=milliseconds_of(played_s),
            duration_ms=milliseconds_of(field(track, "length")),
        )
