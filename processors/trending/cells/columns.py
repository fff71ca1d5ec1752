"""Bodies of one partition to columns of actions: decoded and checked a piece of a batch at a time.

The contract is that of `schemas.envelope.decode`. Its checks that cost a call for each event (the characters of ids,
the time) are made for a column at once here, and those of ids and regions that are known already are not made again.
What is read otherwise than plainly is read by the contract, event by event. A property test holds the two to the same
verdict.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
from msgspec import Struct

from songline.processors.trending.action_hashes import Hashes, UserHashes, action_hashes
from songline.processors.trending.cells.event_minutes import event_minutes
from songline.processors.trending.cells.plain_events import decode_plain
from songline.processors.trending.count_table import LIKES, LISTENS, UNLIKES
from songline.processors.trending.song_index import REGION_BITS, Ints, RegionIndex, SongIndex
from songline.processors.trending.spans import MINUTE_MS, READER
from songline.schemas.decoding import DECODING_ERRORS, is_plain
from songline.schemas.envelope import Event, decode
from songline.schemas.errors import PoisonError
from songline.schemas.event_time import MAX_FUTURE, check_enqueued
from songline.schemas.events import (
    ImportUndone,
    ListenImported,
    SongLiked,
    SongPlayed,
    SongRemoved,
    SongUnliked,
    SongUploaded,
)
from songline.schemas.moments import milliseconds, moment_at
from songline.schemas.policy import V1, ChartPolicy

PIECE = 2_048
"""Bodies that are read at once: few enough that their columns stay in the processor's cache."""

KIND_BITS = 2
MINUTE_BITS = 6
_LOW_BITS = MINUTE_BITS + KIND_BITS

_KINDS: dict[type, int] = {SongPlayed: LISTENS, SongLiked: LIKES, SongUnliked: UNLIKES}
_ID_CHARACTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-"
_MAX_FUTURE_MS = MAX_FUTURE // timedelta(milliseconds=1)
_ANY_TIME = "1970-01-01T00:00:00Z"


class ActionColumns(Struct, frozen=True):
    """The listeners' actions of a batch, in order, and what else is in it.

    `hashes`: what an action is known by, which a listener may take once an hour (see `action_hashes`). `codes`: song,
    region, minute of the hour and kind in one integer (see `code`). `hours`: UTC hours since 1970. `facts`: (index in
    the batch, event) of uploads and removals. `poison`: (index, why).
    """

    hashes: Hashes
    codes: Ints
    hours: Ints
    facts: list[tuple[int, Event]]
    poison: list[tuple[int, PoisonError]]


def code(song: Ints, region: Ints, minute: Ints, kind: Ints) -> Ints:
    """One integer for song, region, minute of the hour and kind."""
    return ((song << REGION_BITS | region) << MINUTE_BITS | minute) << KIND_BITS | kind


def read_batch(
    bodies: Sequence[bytes],
    logged_ms: Sequence[int],
    songs: SongIndex,
    regions: RegionIndex,
    users: UserHashes,
    policy: ChartPolicy = V1,
) -> ActionColumns:
    """Read `bodies`; `logged_ms` is when the hub took each (Unix milliseconds, -1 where it doesn't say).

    The policy says what a listen is, and whose actions are none.

    Songs, regions and listeners become known as they come.
    """
    facts: list[tuple[int, Event]] = []
    poison: list[tuple[int, PoisonError]] = []
    columns = [_NONE]
    for start in range(0, len(bodies), PIECE):
        some, logged = bodies[start : start + PIECE], logged_ms[start : start + PIECE]
        users.trim()
        piece = _Piece(songs, regions, users, policy)
        for place in piece.read(some, logged):
            try:
                event = decode(some[place])
                check_enqueued(event.time, moment_at(logged[place]) if logged[place] >= 0 else None)
            except PoisonError as why:
                poison.append((start + place, why))
                continue
            # What is sent again for other readers was applied here before, and may be outside of the window in which
            # an action is known again.
            if not event.is_for(READER) or isinstance(event.data, ListenImported | ImportUndone):
                continue
            if isinstance(event.data, SongUploaded | SongRemoved):
                facts.append((start + place, event))
            else:
                piece.put(place, event.data, event.time)
        columns.append(piece.columns())
    hashes, codes, hours = map(np.concatenate, zip(*columns, strict=True))
    return ActionColumns(hashes, codes, hours, facts, poison)


class _Piece:
    """The actions in some bodies, each in the place of its body. A place that is `_absent` has none."""

    def __init__(self, songs: SongIndex, regions: RegionIndex, users: UserHashes, policy: ChartPolicy) -> None:
        self._policy = policy
        self._songs = songs
        self._regions = regions
        self._users = users
        self._listeners: list[int] = []
        self._codes: list[int] = []
        self._minutes = np.zeros(0, np.int64)
        self._absent: set[int] = set()

    def read(self, bodies: Sequence[bytes], logged_ms: Sequence[int]) -> Sequence[int]:
        """Read those of the bodies that are plain, and return the places of the others."""
        try:
            if not is_plain(bodies):
                raise ValueError("a body that is not UTF-8, or too deep")
            others, ids, times = self._read_plain(bodies)
            _check_ids(ids)
            self._minutes = event_minutes(times)
            _check_in_time(self._minutes, logged_ms)
        except ValueError:
            others = list(range(len(bodies)))
            self._listeners, self._codes = [0] * len(bodies), [0] * len(bodies)
            self._minutes = np.zeros(len(bodies), np.int64)
        self._absent.update(others)
        return others

    def _read_plain(self, bodies: Sequence[bytes]) -> tuple[list[int], list[str], list[str]]:
        """Places of bodies that are not plain; ids that are to be checked; the time of each body."""
        songs, regions, users = self._songs, self._regions, self._users
        listeners, codes = self._listeners, self._codes
        least_ms, is_listen = self._policy.listen.least_ms, self._policy.listen.is_listen
        others: list[int] = []
        ids: list[str] = []
        times: list[str] = []
        stream = iter(bodies)
        while len(codes) < len(bodies):
            try:
                # One loop, in which each event is used while it is in the processor's cache, and goes at once.
                for event in map(decode_plain, stream):
                    data = event.data
                    user_id = data.user_id
                    listener = users[user_id]
                    number = (songs[data.song_id] << REGION_BITS | regions[data.region]) << _LOW_BITS | data.kind
                    if event.partitionkey != user_id and event.partitionkey is not None:
                        ids.append(event.partitionkey)
                    played_ms = data.played_ms
                    if played_ms is not None and played_ms < least_ms and not is_listen(played_ms, data.duration_ms):
                        self._absent.add(len(codes))
                    ids.append(event.id)
                    times.append(event.time)
                    listeners.append(listener)
                    codes.append(number)
            except DECODING_ERRORS:
                others.append(len(codes))
                times.append(times[-1] if times else _ANY_TIME)
                listeners.append(0)
                codes.append(0)
        return others, ids, times

    def put(self, place: int, data: SongPlayed | SongLiked | SongUnliked, time: datetime) -> None:
        """Put an action that the contract has read in the place of its body."""
        if isinstance(data, SongPlayed) and not self._policy.listen.is_listen(data.played_ms, data.duration_ms):
            return
        self._listeners[place] = self._users[data.user_id]
        song, region = self._songs[data.song_id], self._regions[data.region]
        self._codes[place] = (song << REGION_BITS | region) << _LOW_BITS | _KINDS[type(data)]
        self._minutes[place] = milliseconds(time) // MINUTE_MS
        self._absent.discard(place)

    def columns(self) -> tuple[Hashes, Ints, Ints]:
        """Hashes, codes and hours of the actions, in the order of their bodies."""
        listeners, codes = np.array(self._listeners, np.int64), np.array(self._codes, np.int64)
        hours, minutes = np.divmod(self._minutes, 60)
        if self._policy.excluded_listeners:
            excluded = [self._users[one] for one in self._policy.excluded_listeners if one in self._users]
            self._absent.update(np.flatnonzero(np.isin(listeners, excluded)).tolist())
        if self._absent:
            absent = list(self._absent)
            listeners, codes, hours, minutes = (np.delete(one, absent) for one in (listeners, codes, hours, minutes))
        if not len(codes):
            return _NONE
        songs = self._songs.hashes.of(codes >> _LOW_BITS + REGION_BITS)
        kinds = codes & (1 << KIND_BITS) - 1
        return action_hashes(kinds, self._users.hashes.of(listeners), songs), codes | minutes << KIND_BITS, hours


def _check_ids(ids: list[str]) -> None:
    """Raise ValueError where one of these texts, none of which is empty, is no id."""
    # "/" is of no id, so that what is left of the joined ids are the joints alone.
    joined = "/".join(ids)
    if len(joined.encode("ascii").translate(None, _ID_CHARACTERS)) != max(0, len(ids) - 1):
        raise ValueError("an id with another character")
    if (joined.startswith(".") or "/." in joined) and not all(id_.strip(".") for id_ in ids):
        raise ValueError("an id of dots only")


def _check_in_time(minutes: Ints, logged_ms: Sequence[int]) -> None:
    """Raise ValueError where an event may be later than its log time allows."""
    logged = np.array(logged_ms, np.int64)
    if (((minutes + 1) * MINUTE_MS > logged // 1_000 * 1_000 + _MAX_FUTURE_MS) & (logged >= 0)).any():
        raise ValueError("a time that may be too late")


_NONE: tuple[Hashes, Ints, Ints] = (np.zeros((0, 2), np.uint64), np.zeros(0, np.int64), np.zeros(0, np.int64))
