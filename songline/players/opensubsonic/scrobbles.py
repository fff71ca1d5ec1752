"""Plays and likes that a player reports, as events. Pure.

A play's id is made of the listener, the song and the moment, so that a client which repeats itself counts once: here,
and in every reader of the hub.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from songline.players.opensubsonic.errors import ErrorCode, OpenSubsonicError
from songline.players.opensubsonic.parameters import Parameters, whole
from songline.schemas.acceptance import MAX_BATCH_EVENTS
from songline.schemas.envelope import Event
from songline.schemas.event_time import EARLIEST
from songline.schemas.events import SongLiked, SongPlayed, SongUnliked

SOURCE = "/songline/api/opensubsonic"
REPEATED_S = 20.0
"""A play without a moment is the one before of the same song, if that came so many seconds ago: a client repeats a
request whose answer it did not get."""
ROOM = 10_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS_BELOW = 10**11
"""Milliseconds of so few would be in 1973. Amperfy sent seconds until 2026."""
_LATEST_MS = 253_402_300_799_999
"""The last millisecond of the year 9999."""


class Scrobble(Struct, frozen=True):
    """A song was played; `at` is None where the client does not say when."""

    song_id: str
    at: datetime | None


def read_scrobbles(parameters: Parameters) -> list[Scrobble]:
    """The plays that a request reports. Raises OpenSubsonicError.

    Of several songs each has its moment, or none has one.
    """
    ids, times = reported_ids(parameters), parameters.texts("time")
    if times and len(times) != len(ids):
        raise OpenSubsonicError(
            ErrorCode.GENERIC, f"time: saw {len(times)} beside {len(ids)} of id, expected one for each, or none."
        )
    moments: list[datetime | None] = [*map(read_moment_ms, times)] or [None] * len(ids)
    return [Scrobble(song_id, at) for song_id, at in zip(ids, moments, strict=True)]


def reported_ids(parameters: Parameters) -> tuple[str, ...]:
    """The songs that a request names. Raises OpenSubsonicError."""
    parameters.required("id")
    ids = parameters.texts("id")
    if len(ids) > MAX_BATCH_EVENTS:
        raise OpenSubsonicError(
            ErrorCode.GENERIC, f"id: saw {len(ids)}, expected {MAX_BATCH_EVENTS} in a request at most."
        )
    return ids


def read_moment_ms(text: str) -> datetime:
    """The moment of a parameter `time`: milliseconds since 1970. A number that would be long ago is read as seconds.
    Raises OpenSubsonicError."""
    number = whole("time", text)
    at_ms = number * 1000 if number < _SECONDS_BELOW else number
    at = _EPOCH + timedelta(milliseconds=min(at_ms, _LATEST_MS))
    if at < EARLIEST or at_ms > _LATEST_MS:
        raise OpenSubsonicError(
            ErrorCode.GENERIC, f"time: saw {text[:60]!r}, expected milliseconds since 1970, of 2000 or later."
        )
    return at


class RecentScrobbles:
    """The last plays that came without a moment, so that one which is repeated is known."""

    def __init__(self) -> None:
        self._last: OrderedDict[tuple[str, str], datetime] = OrderedDict()

    def moment(self, user_id: str, scrobble: Scrobble, now: datetime) -> datetime:
        """The moment of the play: its own, that of the same play before, or now."""
        if scrobble.at is not None:
            return scrobble.at
        key = user_id, scrobble.song_id
        last = self._last.get(key)
        if last is not None and timedelta(0) <= now - last < timedelta(seconds=REPEATED_S):
            return last
        # To the millisecond, as moments of clients are.
        at = now.astimezone(UTC).replace(microsecond=now.microsecond // 1000 * 1000)
        self._last[key] = at
        self._last.move_to_end(key)
        if len(self._last) > ROOM:
            self._last.popitem(last=False)
        return at


def played(user_id: str, song_id: str, at: datetime) -> Event:
    """The play as an event. How long it took is not known."""
    at_ms = (at - _EPOCH) // timedelta(milliseconds=1)
    key = f"{user_id}\0{song_id}\0{at_ms}"
    return Event(
        id=hashlib.sha256(key.encode()).hexdigest()[:32],
        source=SOURCE,
        time=at,
        data=SongPlayed(user_id=user_id, song_id=song_id),
    )


def starred(user_id: str, song_ids: Sequence[str], now: datetime, ids: Sequence[str], *, is_liked: bool) -> list[Event]:
    """Likes, or likes that are taken back, with these ids of events."""
    kind = SongLiked if is_liked else SongUnliked
    return [
        Event(id=event_id, source=SOURCE, time=now, data=kind(user_id=user_id, song_id=song_id))
        for event_id, song_id in zip(ids, song_ids, strict=True)
    ]
