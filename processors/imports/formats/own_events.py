"""Events of our own, as lines of JSON: plays and imported listens of the one listener whose history is read."""

from collections.abc import Iterator
from typing import BinaryIO

from songline.processors.imports.bounded import lines
from songline.processors.imports.rows import EARLIEST_MS, HistoryListen, HistoryRow, ReadOptions, SkippedRow, unix_ms
from songline.schemas.envelope import decode
from songline.schemas.errors import PoisonError
from songline.schemas.events import ListenImported, SongPlayed
from songline.schemas.listening import is_listen

ORIGIN = "songline"


def read_own_events(file: BinaryIO, options: ReadOptions) -> Iterator[HistoryRow]:
    """The listens in a file of JSON lines, as `songline simulate` and exports write them."""
    for number, line in lines(file):
        place = f"line {number}"
        if line is None:
            yield SkippedRow("unreadable", place)
        elif line.strip():
            yield own_listen(place, line, options)


def own_listen(place: str, body: bytes, options: ReadOptions) -> HistoryRow:
    """The listen of an event."""
    try:
        event = decode(body)
    except PoisonError:
        return SkippedRow("unreadable", place)
    data = event.data
    if not isinstance(data, SongPlayed | ListenImported):
        return SkippedRow("no-listen", place)
    if data.user_id != options.user_id:
        return SkippedRow("other-listener", place)
    began_ms = unix_ms(event.time)
    if began_ms < EARLIEST_MS:
        return SkippedRow("no-moment", place)
    if isinstance(data, ListenImported):
        return HistoryListen(
            began_ms,
            data.origin,
            data.title,
            data.artists,
            data.album,
            data.played_ms,
            data.duration_ms or None,
            data.recording_mbid,
            data.isrc,
            data.song_id,
            data.precision_ms,
        )
    if not is_listen(data.played_ms, data.duration_ms):
        return SkippedRow("too-short", place)
    return HistoryListen(
        began_ms,
        ORIGIN,
        "",
        (),
        played_ms=data.played_ms or None,
        duration_ms=data.duration_ms or None,
        song_id=data.song_id,
    )
