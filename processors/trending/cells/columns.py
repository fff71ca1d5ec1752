"""Bodies of one partition to columns of actions: decoded and checked a piece of a batch at a time.

The contract is that of `schemas.envelope.decode`. Its checks that cost a call for each event (the characters of ids,
the time) are made for a column at once here, and those of ids and regions that are known already are not made again.
What is read otherwise than plainly is read by the contract, event by event. A property test holds the two to the same
verdict.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from songline.processors.trending.action_hashes import ID_CHARACTERS, Hashes, UserHashes, action_hashes
from songline.processors.trending.cells import body_scanner
from songline.processors.trending.cells.action_codes import KIND_BITS, LOW_BITS
from songline.processors.trending.cells.body_scanner import BodyScanner
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
    NameMatched,
    NameUnmatched,
    SongLiked,
    SongPlayed,
    SongRemoved,
    SongUnliked,
    SongUploaded,
)
from songline.schemas.moments import milliseconds, moment_at
from songline.schemas.policy import V1, ChartPolicy

PIECE = 4_096
"""Bodies that are read at once: few enough that their columns stay in the processor's cache."""

_KINDS: dict[type, int] = {SongPlayed: LISTENS, SongLiked: LIKES, SongUnliked: UNLIKES}
_NO_ACTIONS = (ListenImported, ImportUndone, NameMatched, NameUnmatched)
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


def read_batch(
    bodies: Sequence[bytes],
    logged_ms: Sequence[int],
    songs: SongIndex,
    regions: RegionIndex,
    users: UserHashes,
    policy: ChartPolicy = V1,
    scanner: BodyScanner | None = None,
) -> ActionColumns:
    """Read `bodies`; `logged_ms` is when the hub took each (Unix milliseconds, -1 where it doesn't say).

    The policy says what a listen is, and whose actions are none. `scanner`: what is known of the bodies that came
    before.

    Songs, regions and listeners become known as they come.
    """
    facts: list[tuple[int, Event]] = []
    poison: list[tuple[int, PoisonError]] = []
    columns = [_NONE]
    scanner = scanner or BodyScanner()
    pieces = -(-len(bodies) // PIECE)
    for number in range(pieces):
        start, stop = number * len(bodies) // pieces, (number + 1) * len(bodies) // pieces
        some, logged = bodies[start:stop], logged_ms[start:stop]
        users.trim()
        piece = _Piece(some, logged, songs, regions, users, policy, scanner)
        for place in piece.read():
            try:
                event = decode(some[place])
                check_enqueued(event.time, moment_at(logged[place]) if logged[place] >= 0 else None)
            except PoisonError as why:
                poison.append((start + place, why))
                continue
            # What is sent again for other readers was applied here before, and may be outside of the window in which
            # an action is known again.
            if not event.is_for(READER) or isinstance(event.data, _NO_ACTIONS):
                continue
            if isinstance(event.data, SongUploaded | SongRemoved):
                facts.append((start + place, event))
            else:
                piece.put(place, event.data, event.time)
        columns.append(piece.columns())
    hashes, codes, hours = map(np.concatenate, zip(*columns, strict=True))
    return ActionColumns(hashes, codes, hours, facts, poison)


class _PlainColumns(Struct, frozen=True):
    """What was read of some bodies one by one: listener, code and time of each, and `ids` that are to be checked.
    `others` are the places of bodies that are not plain, `passed_over` those of plays that are no listens."""

    listeners: list[int]
    codes: list[int]
    times: list[str]
    ids: list[str]
    others: list[int]
    passed_over: list[int]


class _Piece:
    """The actions in some bodies, each in the place of its body. A place that is not `_there` has none."""

    def __init__(
        self,
        bodies: Sequence[bytes],
        logged_ms: Sequence[int],
        songs: SongIndex,
        regions: RegionIndex,
        users: UserHashes,
        policy: ChartPolicy,
        scanner: BodyScanner,
    ) -> None:
        self._bodies = bodies
        self._logged_ms = np.array(logged_ms, np.int64)
        self._songs = songs
        self._regions = regions
        self._users = users
        self._policy = policy
        self._scanner = scanner
        self._listeners, self._codes, self._minutes = (np.zeros(len(bodies), np.int64) for _ in range(3))
        self._there = np.zeros(len(bodies), np.bool_)

    def read(self) -> Sequence[int]:
        """Read those of the bodies that are plain, and return the places of the others."""
        unread = np.ones(len(self._bodies), np.bool_)
        for scanned in self._scanner.scan(self._bodies, self._songs, self._users, self._policy):
            late = self._put_all(scanned.rows, scanned.listeners, scanned.codes, scanned.minutes, scanned.is_action)
            unread[scanned.rows] = late
        places = np.flatnonzero(unread)
        return self._read_plainly(places) if len(places) else ()

    def _read_plainly(self, places: Ints) -> Sequence[int]:
        """Read those of the bodies at `places` that are plain one by one, and return the places of the others."""
        all_places: list[int] = places.tolist()
        bodies = [self._bodies[place] for place in all_places]
        try:
            if not is_plain(bodies):
                raise ValueError("a body that is not UTF-8, or too deep")
            found = self._decode(bodies)
            _check_ids(found.ids)
            minutes = event_minutes(found.times)
        except ValueError:
            return all_places
        others = np.zeros(len(bodies), np.bool_)
        others[found.others] = True
        rows = places[~others]
        listeners, codes = np.array(found.listeners, np.int64), np.array(found.codes, np.int64)
        is_action = np.ones(len(bodies), np.bool_)
        is_action[found.passed_over] = False
        if self._put_all(rows, listeners[~others], codes[~others], minutes[~others], is_action[~others]).any():
            self._there[rows] = False
            return all_places
        if len(rows) >= body_scanner.LEAST_BODIES:
            plain = np.flatnonzero(~others)
            # The first one may have a known layout, and a field that only the loop reads.
            for place in (int(plain[0]), int(plain[len(plain) // 2]), int(plain[-1])):
                self._scanner.learn(bodies[place], found.codes[place] & (1 << KIND_BITS) - 1)
        return [place for place, is_other in zip(all_places, others.tolist(), strict=True) if is_other]

    def _put_all(
        self, rows: Ints, listeners: Ints, codes: Ints, minutes: Ints, is_action: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.bool_]:
        """Put actions that were read in the places of their bodies, but for those that may be later than their log time
        allows; return which of them may."""
        logged_ms = self._logged_ms[rows]
        latest_ms = logged_ms // 1_000 * 1_000 + _MAX_FUTURE_MS
        late: npt.NDArray[np.bool_] = ((minutes + 1) * MINUTE_MS > latest_ms) & (logged_ms >= 0)
        self._listeners[rows], self._codes[rows], self._minutes[rows] = listeners, codes, minutes
        self._there[rows] = is_action & ~late
        return late

    def _decode(self, bodies: Sequence[bytes]) -> _PlainColumns:
        songs, regions, users = self._songs, self._regions, self._users
        found = _PlainColumns([], [], [], [], [], [])
        listeners, codes, ids, times = found.listeners, found.codes, found.ids, found.times
        least_ms, is_listen = self._policy.listen.least_ms, self._policy.listen.is_listen
        stream = iter(bodies)
        while len(codes) < len(bodies):
            try:
                # One loop, in which each event is used while it is in the processor's cache, and goes at once.
                for event in map(decode_plain, stream):
                    data = event.data
                    user_id = data.user_id
                    listener = users[user_id]
                    number = (songs[data.song_id] << REGION_BITS | regions[data.region]) << LOW_BITS | data.kind
                    if event.partitionkey != user_id and event.partitionkey is not None:
                        ids.append(event.partitionkey)
                    played_ms = data.played_ms
                    if played_ms is not None and played_ms < least_ms and not is_listen(played_ms, data.duration_ms):
                        found.passed_over.append(len(codes))
                    ids.append(event.id)
                    times.append(event.time)
                    listeners.append(listener)
                    codes.append(number)
            except DECODING_ERRORS:
                found.others.append(len(codes))
                times.append(times[-1] if times else _ANY_TIME)
                listeners.append(0)
                codes.append(0)
        return found

    def put(self, place: int, data: SongPlayed | SongLiked | SongUnliked, time: datetime) -> None:
        """Put an action that the contract has read in the place of its body."""
        if isinstance(data, SongPlayed) and not self._policy.listen.is_listen(data.played_ms, data.duration_ms):
            return
        self._listeners[place] = self._users[data.user_id]
        song, region = self._songs[data.song_id], self._regions[data.region]
        self._codes[place] = (song << REGION_BITS | region) << LOW_BITS | _KINDS[type(data)]
        self._minutes[place] = milliseconds(time) // MINUTE_MS
        self._there[place] = True

    def columns(self) -> tuple[Hashes, Ints, Ints]:
        """Hashes, codes and hours of the actions, in the order of their bodies."""
        listeners, codes, there = self._listeners, self._codes, self._there
        hours, minutes = np.divmod(self._minutes, 60)
        if self._policy.excluded_listeners:
            excluded = [self._users[one] for one in self._policy.excluded_listeners if one in self._users]
            there &= ~np.isin(listeners, excluded)
        if not there.all():
            listeners, codes, hours, minutes = (one[there] for one in (listeners, codes, hours, minutes))
        if not len(codes):
            return _NONE
        songs = self._songs.hashes.of(codes >> LOW_BITS + REGION_BITS)
        kinds = codes & (1 << KIND_BITS) - 1
        return action_hashes(kinds, self._users.hashes.of(listeners), songs), codes | minutes << KIND_BITS, hours


def _check_ids(ids: list[str]) -> None:
    """Raise ValueError where one of these texts, none of which is empty, is no id."""
    # "/" is of no id, so that what is left of the joined ids are the joints alone.
    joined = "/".join(ids)
    if len(joined.encode("ascii").translate(None, ID_CHARACTERS)) != max(0, len(ids) - 1):
        raise ValueError("an id with another character")
    if (joined.startswith(".") or "/." in joined) and not all(id_.strip(".") for id_ in ids):
        raise ValueError("an id of dots only")


_NONE: tuple[Hashes, Ints, Ints] = (np.zeros((0, 2), np.uint64), np.zeros(0, np.int64), np.zeros(0, np.int64))
