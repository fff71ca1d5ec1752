"""Spotify's small history (`StreamingHistory*.json`): a year, with the minute in which a stream ended, in UTC."""

from collections.abc import Iterator
from typing import Any, BinaryIO

from msgspec import Struct

from songline.processors.imports.formats.spotify import ORIGIN
from songline.processors.imports.json_rows import array_rows
from songline.processors.imports.moments import iso_ms
from songline.processors.imports.rows import MINUTE_MS, HistoryRow, ReadOptions, SkippedRow, made_row, whole
from songline.schemas.decoding import Decoder
from songline.schemas.listening import is_listen


class SpotifyYearStream(Struct, frozen=True, rename="camel"):
    """A stream. Those of podcasts have `podcastName` and `episodeName` in place of artist and track."""

    end_time: Any = None
    artist_name: Any = None
    track_name: Any = None
    ms_played: Any = None
    podcast_name: Any = None
    episode_name: Any = None


_decoder = Decoder(SpotifyYearStream, "not-a-stream")


def read_spotify_year(file: BinaryIO, options: ReadOptions) -> Iterator[HistoryRow]:
    """The listens in a small history. Raises UnreadableHistoryError."""
    for place, row in array_rows(file, _decoder):
        if isinstance(row, SkippedRow):
            yield row
            continue
        played_ms, ended_ms = whole(row.ms_played), iso_ms(row.end_time)
        if row.track_name is None and (row.podcast_name or row.episode_name):
            yield SkippedRow("podcast", place)
        elif played_ms is None or not is_listen(played_ms, None):
            yield SkippedRow("too-short", place)
        else:
            began_ms = None if ended_ms is None else ended_ms - played_ms
            yield made_row(
                place, ORIGIN, began_ms, row.track_name, [row.artist_name], played_ms=played_ms, precision_ms=MINUTE_MS
            )
