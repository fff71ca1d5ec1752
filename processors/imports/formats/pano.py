"""Pano Scrobbler's JSON lines. `timeMs` is when the song began, in milliseconds UTC."""

from collections.abc import Iterator
from typing import Any, BinaryIO

from msgspec import Struct

from songline.processors.imports.json_rows import array_rows, begins_array, line_rows
from songline.processors.imports.rows import HistoryRow, ReadOptions, SkippedRow, made_row, whole
from songline.schemas.decoding import Decoder

ORIGIN = "pano"
SCROBBLES = ("", "scrobble", "scrobbled")
RUNNING = ("nowplaying", "now_playing", "playing", "playing_now")


class PanoScrobble(Struct, frozen=True, rename="camel"):
    """A line. `event` is `scrobble`, or something else that was sent, such as a love."""

    time_ms: Any = None
    track: Any = None
    artist: Any = None
    album: Any = None
    album_artist: Any = None
    duration_ms: Any = None
    event: Any = None


_decoder = Decoder(PanoScrobble, "not-a-scrobble")


def read_pano(file: BinaryIO, options: ReadOptions) -> Iterator[HistoryRow]:
    """The scrobbles in a file. Raises UnreadableHistoryError."""
    rows = array_rows if begins_array(file) else line_rows
    for place, row in rows(file, _decoder):
        if isinstance(row, SkippedRow):
            yield row
            continue
        event = row.event.lower() if isinstance(row.event, str) else ""
        if event in RUNNING:
            yield SkippedRow("now-playing", place)
        elif event not in SCROBBLES:
            yield SkippedRow("no-listen", place)
        else:
            artist = row.artist if isinstance(row.artist, str) and row.artist.strip() else row.album_artist
            yield made_row(
                place,
                ORIGIN,
                whole(row.time_ms),
                row.track,
                [artist],
                album=row.album,
                duration_ms=whole(row.duration_ms),
            )
