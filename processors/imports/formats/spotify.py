"""Spotify's extended streaming history (`Streaming_History_Audio_*.json`, once `endsong_*.json`): what was heard since
the account was made. `ts` is when a stream ended; one that was offline also says when it began."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, BinaryIO

from msgspec import Struct

from songline.processors.imports.json_rows import array_rows
from songline.processors.imports.moments import iso_ms
from songline.processors.imports.rows import HistoryRow, ReadOptions, SkippedRow, made_row, whole
from songline.schemas.decoding import Decoder
from songline.schemas.listening import is_listen

ORIGIN = "spotify"
SECONDS_BELOW = 100_000_000_000
"""An `offline_timestamp` below is in seconds (the year 5138), one above in milliseconds (1973)."""
LONGEST_OFFLINE_MS = timedelta(days=30) // timedelta(milliseconds=1)
"""An account's downloads end after 30 days offline: a stream that began earlier is told wrong."""


class SpotifyStream(Struct, frozen=True):
    """A stream, of what is read here. Addresses, countries and devices are not read."""

    ts: Any = None
    ms_played: Any = None
    master_metadata_track_name: Any = None
    master_metadata_album_artist_name: Any = None
    master_metadata_album_album_name: Any = None
    episode_name: Any = None
    episode_show_name: Any = None
    spotify_episode_uri: Any = None
    audiobook_title: Any = None
    audiobook_uri: Any = None
    offline: Any = None
    offline_timestamp: Any = None


_decoder = Decoder(SpotifyStream, "not-a-stream")


def read_spotify(file: BinaryIO, options: ReadOptions) -> Iterator[HistoryRow]:
    """The listens in an extended history. Raises UnreadableHistoryError."""
    for place, row in array_rows(file, _decoder):
        yield row if isinstance(row, SkippedRow) else spotify_listen(place, row)


def spotify_listen(place: str, row: SpotifyStream) -> HistoryRow:
    """The listen of a row: a stream of thirty seconds, which is what Spotify counts too."""
    title = row.master_metadata_track_name
    if title is None:
        spoken = (row.episode_name, row.episode_show_name, row.spotify_episode_uri, row.audiobook_title)
        return SkippedRow("podcast" if any((*spoken, row.audiobook_uri)) else "no-words", place)
    played_ms, ended_ms = whole(row.ms_played), iso_ms(row.ts)
    if played_ms is None or not is_listen(played_ms, None):
        return SkippedRow("too-short", place)
    return made_row(
        place,
        ORIGIN,
        None if ended_ms is None else _began_ms(row, ended_ms, played_ms),
        title,
        [row.master_metadata_album_artist_name],
        album=row.master_metadata_album_album_name,
        played_ms=played_ms,
    )


def _began_ms(row: SpotifyStream, ended_ms: int, played_ms: int) -> int:
    """When the stream began. One that was offline is told when the device is online again, so its own moment holds,
    where that can be."""
    offline = whole(row.offline_timestamp) if row.offline is True else None
    if offline is not None and offline > 0:
        began_ms = offline * 1_000 if offline < SECONDS_BELOW else offline
        if ended_ms - LONGEST_OFFLINE_MS <= began_ms <= ended_ms:
            return began_ms
    return ended_ms - played_ms
