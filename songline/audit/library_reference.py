"""Libraries by brute force, straight from the rules in words, to hold the product against. Uses none of its code.

The rules: a listen is a play of 30 s or half of the song, or one of which it is not said how long it took, or it was
imported and not taken back; no other play leaves a trace. A listen whose time is not known adds none. A listen of one
song, moment and event id counts once, wherever and whenever it comes again. An imported listen within a second of
another listen of its song, in whole seconds, or in the minute of one that is known to the minute, is the same listen:
the reported one counts, else the finer, else the earlier. A like or an upload counts once in its partition. What a
partition said last of a like or an upload holds; between partitions the later one by time, then the higher partition.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from msgspec import Struct

from songline.audit.chart_reference import is_heard
from songline.schemas.envelope import Event
from songline.schemas.events import (
    ImportUndone,
    ListenImported,
    NameMatched,
    NameUnmatched,
    SongLiked,
    SongPlayed,
    SongRemoved,
    SongUnliked,
    SongUploaded,
)

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
    log = list(log)
    facts = [event.data for _, _, event in log]
    undone = {(data.user_id, data.import_id) for data in facts if isinstance(data, ImportUndone)}
    for partition, position, event in sorted(log, key=lambda place: place[:2]):
        data = event.data
        if isinstance(data, NameMatched | NameUnmatched):
            continue
        if isinstance(data, SongPlayed) and not is_heard(data):
            continue
        if isinstance(data, ListenImported) and (data.user_id, data.import_id) in undone:
            continue
        place = -1 if isinstance(data, SongPlayed | ListenImported) else partition
        known = (place, type(data), _grade(event), data.user_id, data.song_id, event.time, event.id)
        if known not in seen:
            seen.add(known)
            by_user.setdefault(data.user_id, []).append((partition, position, event))
    return {user: _shelf(_once(places)) for user, places in by_user.items()}


def _once(places: list[Place]) -> list[Place]:
    """The places without imported listens that are the same as another listen."""
    dropped: set[int] = set()
    heard = [place for place in places if isinstance(place[2].data, SongPlayed | ListenImported)]
    for song in {event.data.song_id for _, _, event in heard}:
        last: Place | None = None
        for place in sorted((place for place in heard if place[2].data.song_id == song), key=_order):
            if last is not None and _same(last[2], place[2]):
                loser = last if _grade(place[2]) < _grade(last[2]) else place
                if _grade(loser[2]) > 0:
                    dropped.add(id(loser))
                last = place if loser is last or _grade(place[2]) == 0 else last
            else:
                last = place
    return [place for place in places if id(place) not in dropped]


def _order(place: Place) -> tuple[datetime, int, int]:
    data = place[2].data
    played_ms = data.played_ms or 0 if isinstance(data, SongPlayed | ListenImported) else 0
    return place[2].time, _grade(place[2]), -played_ms


def _grade(event: Event) -> int:
    """0 for a reported listen, 1 for an imported one, 2 for one that is known to the minute."""
    if not isinstance(event.data, ListenImported):
        return 0
    return 2 if event.data.precision_ms is not None and event.data.precision_ms >= 60_000 else 1


def _same(one: Event, later: Event) -> bool:
    apart = later.time.replace(microsecond=0) - one.time.replace(microsecond=0)
    return apart.total_seconds() <= 1 or (_grade(one) == 2 and (later.time - one.time).total_seconds() < 60)


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
