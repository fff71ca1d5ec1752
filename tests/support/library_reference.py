"""Libraries by brute force, straight from the rules in words, to hold the product against. Uses none of its code.

The rules: a listen is a play of 30 s or half of the song, or one of which it is not said how long it took, or it was
imported; no other play leaves a trace. A listen whose time is not known adds none. Of a listener's acts in a
partition, one whose event id is among his last 64 different ones there does not count. What a partition said last of a
like or an upload stands; between partitions the later one by time, then the higher partition.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from songline.schemas.envelope import Event
from songline.schemas.events import ListenImported, SongLiked, SongPlayed, SongRemoved, SongUnliked, SongUploaded
from songline.schemas.library.listener_documents import EntryDocument, SummaryDocument
from tests.support.reference import is_heard

Place = tuple[int, int, Event]
"""Partition, position, event."""


class Row(Struct, frozen=True):
    """A song in a library, and its places in the lists of it: recent, by plays, liked, uploaded."""

    plays: int
    ms_played: int
    first: datetime | None
    last: datetime | None
    liked_at: datetime | None
    uploaded_at: datetime | None
    orders: tuple[str | None, ...]


class Shelf(Struct, frozen=True):
    rows: dict[str, Row]
    totals: tuple[Any, ...]
    recent: list[tuple[datetime, str, int]]


def libraries(log: Iterable[Place]) -> dict[str, Shelf]:
    """Every listener's library. `log`: each place in the log once."""
    by_user: dict[str, list[Place]] = {}
    seen: dict[tuple[str, int], list[str]] = {}
    for partition, position, event in sorted(log, key=lambda place: place[:2]):
        data = event.data
        if isinstance(data, SongPlayed) and not is_heard(data):
            continue
        ids = seen.setdefault((data.user_id, partition), [])
        if event.id not in ids[-64:]:
            ids.append(event.id)
            by_user.setdefault(data.user_id, []).append((partition, position, event))
    return {user: _shelf(places) for user, places in by_user.items()}


def shelf_of(summary: SummaryDocument | None, entries: Iterable[EntryDocument]) -> Shelf | None:
    """What is written, in the terms of the reference."""
    if summary is None:
        return None
    rows = {
        one.song_id: Row(
            one.plays,
            one.ms_played,
            one.first_played_at,
            one.last_played_at,
            one.liked_at,
            one.uploaded_at,
            (one.by_recent, one.by_plays, one.by_liked, one.by_uploaded),
        )
        for one in entries
    }
    totals = (summary.listens, summary.ms_played, summary.songs, summary.liked, summary.uploaded)
    moments = (summary.first_listen_at, summary.last_listen_at)
    return Shelf(rows, (*totals, *moments), [(one.at, one.song_id, one.ms_played) for one in summary.recent])


def stored(items: Iterable[dict[str, Any]]) -> dict[str, Shelf | None]:
    """The documents of the container, by listener, in the terms of the reference."""
    by_user: dict[str, list[dict[str, Any]]] = {}
    for item in items:
        by_user.setdefault(item["userId"], []).append(item)
    found = {}
    for user, documents in by_user.items():
        summary = next((msgspec.convert(one, SummaryDocument) for one in documents if one["id"] == "summary"), None)
        entries = [msgspec.convert(one, EntryDocument) for one in documents if one["id"].startswith("song:")]
        found[user] = shelf_of(summary, entries)
    return found


def _shelf(places: list[Place]) -> Shelf:
    songs = {event.data.song_id for _, _, event in places}
    rows = {song: _row(song, [place for place in places if place[2].data.song_id == song]) for song in songs}
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


def _row(song: str, places: list[Place]) -> Row:
    plays = [event.data for _, _, event in places if isinstance(event.data, SongPlayed | ListenImported)]
    moments = [event.time for _, _, event in places if isinstance(event.data, SongPlayed | ListenImported)]
    liked_at, uploaded_at = _since(places, SongLiked, SongUnliked), _since(places, SongUploaded, SongRemoved)
    last = max(moments, default=None)
    recent = last or max((at for at in (liked_at, uploaded_at) if at is not None), default=None)
    orders = (
        _order(recent, song),
        None if recent is None else f"{len(plays):010} {song}",
        _order(liked_at, song),
        _order(uploaded_at, song),
    )
    heard = sum(play.played_ms or 0 for play in plays)
    return Row(len(plays), heard, min(moments, default=None), last, liked_at, uploaded_at, orders)


def _since(places: list[Place], on: type, off: type) -> datetime | None:
    last = {partition: event for partition, _, event in places if isinstance(event.data, on | off)}
    if not last:
        return None
    event = max(last.items(), key=lambda said: (said[1].time, said[0]))[1]
    return event.time if isinstance(event.data, on) else None


def _order(at: datetime | None, song: str) -> str | None:
    return None if at is None else f"{at.isoformat(timespec='microseconds')} {song}"
