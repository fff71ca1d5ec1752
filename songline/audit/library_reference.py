"""Libraries by brute force, straight from the rules in words, to hold the product against. Uses none of its code.

The rules: a listen is a play of 30 s or half of the song, or one of which it is not said how long it took, or it was
imported; no other play leaves a trace. A listen whose time is not known adds none. A listen of one song, moment and
event id counts once, wherever and whenever it comes again; a like or an upload likewise in its partition. What a
partition said last of a like or an upload holds; between partitions the later one by time, then the higher partition.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from msgspec import Struct

from songline.audit.chart_reference import is_heard
from songline.schemas.envelope import Event
from songline.schemas.events import ListenImported, SongLiked, SongPlayed, SongRemoved, SongUnliked, SongUploaded

Place = tuple[int, int, Event]
"""Partition, position, event."""


class Row(Struct, frozen=True):
    """A song in a library."""

    plays: int
    ms_played: int
    first: datetime | None
    last: datetime | None
    liked_at: datetime | None
    uploaded_at: datetime | None


class Shelf(Struct, frozen=True):
    rows: dict[str, Row]
    totals: tuple[Any, ...]
    recent: list[tuple[datetime, str, int]]


def libraries(log: Iterable[Place]) -> dict[str, Shelf]:
    """Every listener's library. `log`: each place in the log once."""
    by_user: dict[str, list[Place]] = {}
    seen: set[tuple[object, ...]] = set()
    for partition, position, event in sorted(log, key=lambda place: place[:2]):
        data = event.data
        if isinstance(data, SongPlayed) and not is_heard(data):
            continue
        place = -1 if isinstance(data, SongPlayed | ListenImported) else partition
        known = (place, type(data), data.user_id, data.song_id, event.time, event.id)
        if known not in seen:
            seen.add(known)
            by_user.setdefault(data.user_id, []).append((partition, position, event))
    return {user: _shelf(places) for user, places in by_user.items()}


def _shelf(places: list[Place]) -> Shelf:
    songs = {event.data.song_id for _, _, event in places}
    rows = {song: _row([place for place in places if place[2].data.song_id == song]) for song in songs}
    rows = {song: row for song, row in rows.items() if row.plays or row.liked_at or row.uploaded_at}
    heard = [
        (event.time, event.data.song_id, event.data.played_ms or 0)
        for _, _, event in places
        if isinstance(event.data, SongPlayed | ListenImported)
    ]
    moments = [at for at, _, _ in heard]
    totals = (
        len(heard),
        sum(ms for _, _, ms in heard),
        len({song for _, song, _ in heard}),
        sum(row.liked_at is not None for row in rows.values()),
        sum(row.uploaded_at is not None for row in rows.values()),
        min(moments, default=None),
        max(moments, default=None),
    )
    return Shelf(rows, totals, sorted(heard, reverse=True)[:50])


def _row(places: list[Place]) -> Row:
    plays = [event.data for _, _, event in places if isinstance(event.data, SongPlayed | ListenImported)]
    moments = [event.time for _, _, event in places if isinstance(event.data, SongPlayed | ListenImported)]
    liked_at, uploaded_at = _since(places, SongLiked, SongUnliked), _since(places, SongUploaded, SongRemoved)
    last = max(moments, default=None)
    heard = sum(play.played_ms or 0 for play in plays)
    return Row(len(plays), heard, min(moments, default=None), last, liked_at, uploaded_at)


def _since(places: list[Place], on: type, off: type) -> datetime | None:
    last = {partition: event for partition, _, event in places if isinstance(event.data, on | off)}
    if not last:
        return None
    event = max(last.items(), key=lambda said: (said[1].time, said[0]))[1]
    return event.time if isinstance(event.data, on) else None
