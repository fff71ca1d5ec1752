"""Listens in ListenBrainz' form: JSON lines of an export, or an array of them. `listened_at` is when a listen began."""

from collections.abc import Iterator
from typing import Any, BinaryIO

from msgspec import Struct

from songline.processors.imports.json_rows import array_rows, begins_array, field, line_rows
from songline.processors.imports.rows import (
    HistoryRow,
    ReadOptions,
    SkippedRow,
    made_row,
    milliseconds_of,
    whole,
)
from songline.schemas.decoding import Decoder

ORIGIN = "listenbrainz"


class ListenBrainzRow(Struct, frozen=True):
    """A listen as ListenBrainz exports it, of what is read here. A running song has no `listened_at`."""

    listened_at: Any = None
    track_metadata: Any = None
    playing_now: Any = None


_decoder = Decoder(ListenBrainzRow, "not-a-listen")


def read_listenbrainz(file: BinaryIO, options: ReadOptions) -> Iterator[HistoryRow]:
    """The listens in an export's file. Raises UnreadableHistoryError."""
    rows = array_rows if begins_array(file) else line_rows
    for place, row in rows(file, _decoder):
        yield row if isinstance(row, SkippedRow) else listenbrainz_listen(place, row)


def listenbrainz_listen(place: str, row: ListenBrainzRow) -> HistoryRow:
    """The listen of a row."""
    words = row.track_metadata
    if field(words, "track_name") is None and row.listened_at is None:
        return SkippedRow("no-listen", place)
    if row.playing_now is True or row.listened_at is None:
        return SkippedRow("now-playing", place)
    info = field(words, "additional_info")
    duration_ms = whole(field(info, "duration_ms"))
    return made_row(
        place,
        ORIGIN,
        milliseconds_of(row.listened_at),
        field(words, "track_name"),
        _artists(words, info),
        album=field(words, "release_name"),
        played_ms=milliseconds_of(field(info, "duration_played")),
        duration_ms=milliseconds_of(field(info, "duration")) if duration_ms is None else duration_ms,
        mbid=field(info, "recording_mbid") or field(words, "mbid_mapping", "recording_mbid"),
        isrc=_first(field(info, "isrc")),
    )


def _artists(words: Any, info: Any) -> list[Any]:
    """The artists one by one where they are known so; else the one text of all."""
    names = field(info, "artist_names")
    if isinstance(names, list) and any(isinstance(name, str) and name.strip() for name in names):
        return names
    credited = field(words, "mbid_mapping", "artists")
    found = [field(one, "artist_credit_name") for one in credited] if isinstance(credited, list) else []
    return found if any(isinstance(name, str) and name.strip() for name in found) else [field(words, "artist_name")]


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else value
