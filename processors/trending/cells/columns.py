"""Bodies of one partition to columns of actions: decoded and checked a batch at a time.

The contract is that of `schemas.envelope.decode`. The checks that cost a call for each event there (the characters of
four ids, the region) are made once for a whole batch here. A batch that is not plain is read again by the contract,
event by event. A property test holds the two to the same verdict.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import repeat
from operator import attrgetter, floordiv, sub
from typing import Annotated, Any, Literal

import numpy as np
from msgspec import Meta, Struct

from songline.processors.trending.action_hashes import Hashes, UserHashes, action_hashes
from songline.processors.trending.count_table import LIKES, LISTENS, UNLIKES
from songline.processors.trending.policy import READER
from songline.processors.trending.song_index import REGION_BITS, Ints, RegionIndex, SongIndex
from songline.schemas.decoding import DECODING_ERRORS, Decoder, is_plain
from songline.schemas.envelope import Event, decode
from songline.schemas.errors import PoisonError
from songline.schemas.event_time import check_enqueued, is_too_late
from songline.schemas.events import (
    TYPE_NAMES,
    ListenImported,
    SongLiked,
    SongPlayed,
    SongRemoved,
    SongUnliked,
    SongUploaded,
)
from songline.schemas.listening import LISTEN_MS, is_listen
from songline.schemas.moments import may_be_rounded, moment_at
from songline.schemas.types import Device, DurationMs, Moment, Source, TraceParent

_RESUBMIT_OF = attrgetter("resubmitof")
_Short = Annotated[str, Meta(min_length=1, max_length=128)]


class _Play(Struct, rename="camel", gc=False):
    user_id: _Short
    song_id: _Short
    played_ms: DurationMs | None = None
    duration_ms: DurationMs | None = None
    region: str | None = None
    device: Device | None = None


class _PlayV1(Struct, rename="camel", gc=False):
    user_id: _Short
    song_id: _Short
    played_ms: DurationMs
    duration_ms: DurationMs
    region: str
    device: Device | None = None


class _Like(Struct, rename="camel", gc=False):
    user_id: _Short
    song_id: _Short
    region: str | None = None


class _Unlike(_Like, gc=False):
    pass


class _Envelope(Struct, kw_only=True, tag_field="type", gc=False):
    specversion: Literal["1.0"]
    id: _Short
    source: Source
    subject: str | None = None
    time: Moment
    partitionkey: _Short | None = None
    datacontenttype: str | None = None
    traceparent: TraceParent | None = None
    resubmitof: Any = None


class _Played(_Envelope, tag=TYPE_NAMES[SongPlayed], gc=False):
    data: _Play


class _PlayedV1(_Envelope, tag="songline.song.played.v1", gc=False):
    data: _PlayV1


class _Liked(_Envelope, tag=TYPE_NAMES[SongLiked], gc=False):
    data: _Like


class _Unliked(_Envelope, tag=TYPE_NAMES[SongUnliked], gc=False):
    data: _Unlike


class _Uploaded(_Envelope, tag=TYPE_NAMES[SongUploaded], gc=False):
    data: SongUploaded


class _Removed(_Envelope, tag=TYPE_NAMES[SongRemoved], gc=False):
    data: SongRemoved


class _Imported(_Envelope, tag=TYPE_NAMES[ListenImported], gc=False):
    data: ListenImported


_decode: Callable[[bytes], Any] = Decoder(
    _Played | _PlayedV1 | _Liked | _Unliked | _Uploaded | _Removed | _Imported
).raw
# Beyond these an offset may take a moment out of the years that there are, which the contract refuses.
_FIRST = datetime(1, 1, 2, tzinfo=UTC)
_LAST = datetime(9999, 12, 30, tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE = timedelta(minutes=1)
_HOUR = timedelta(hours=1)
_ID_CHARACTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-"

_KINDS: dict[type, int] = {
    _Play: LISTENS,
    _PlayV1: LISTENS,
    SongPlayed: LISTENS,
    _Like: LIKES,
    SongLiked: LIKES,
    _Unlike: UNLIKES,
    SongUnliked: UNLIKES,
}
_PLAYS = (_Play, _PlayV1, SongPlayed)
_FACTS = (SongUploaded, SongRemoved)

KIND_BITS = 2
MINUTE_BITS = 6


class ActionColumns(Struct, frozen=True):
    """The listeners' actions of a batch, in order, and what else is in it.

    `hashes`: what an action is known by (see `action_hashes`). `codes`: song, region, minute of
    the hour and kind in one integer (see `code`). `hours`: UTC hours since 1970. `facts`: (index in the batch,
    event) of uploads and removals. `poison`: (index, why).
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
    bodies: Sequence[bytes], logged_ms: Sequence[int], songs: SongIndex, regions: RegionIndex, users: UserHashes
) -> ActionColumns:
    """Read `bodies`; `logged_ms` is when the hub took each (Unix milliseconds, -1 where it doesn't say)."""
    facts: list[tuple[int, Event]] = []
    poison: list[tuple[int, PoisonError]] = []
    events: list[Any]
    try:
        events = list(map(_decode, bodies))
        plain = is_plain(bodies) and _BY_CONTRACT.isdisjoint(map(type, events))
        plain = plain and not any(map(_RESUBMIT_OF, events))
    except DECODING_ERRORS:
        events = []
        plain = False
    if not (plain and _within_rules(events) and _in_time(events, bodies, logged_ms)):
        events = _actions(list(map(_decode_fast, bodies)), bodies, logged_ms, facts, poison)
    listens = [
        event
        for event in events
        if (data := event.data).__class__ not in _PLAYS
        or (data.played_ms or 0) >= LISTEN_MS
        or is_listen(data.played_ms, data.duration_ms)
    ]
    return _columns(listens, songs, regions, users, facts, poison)


def _columns(
    actions: Sequence[Any],
    songs: SongIndex,
    regions: RegionIndex,
    users: UserHashes,
    facts: list[tuple[int, Event]],
    poison: list[tuple[int, PoisonError]],
) -> ActionColumns:
    size = len(actions)
    data = [action.data for action in actions]
    kinds = list(map(_KINDS.__getitem__, map(type, data)))
    song_ids = [action.song_id for action in data]
    hours, minutes = _buckets([action.time for action in actions])
    numbers = songs.numbers(song_ids)
    codes = code(
        numbers,
        np.fromiter(map(regions.__getitem__, [action.region for action in data]), np.int64, size),
        minutes,
        np.array(kinds, np.int64),
    )
    hashes = action_hashes(
        np.array(kinds, np.int64), users.of([action.user_id for action in data]), songs.hashes.of(numbers)
    )
    return ActionColumns(hashes, codes, hours, facts, poison)


def _buckets(times: list[datetime]) -> tuple[Ints, Ints]:
    """UTC hours since 1970, and the minute in the hour."""
    size = len(times)
    if size and {time.tzinfo for time in times} == {UTC}:
        first, last = ((one - _EPOCH) // _HOUR for one in (min(times), max(times)))
        if first == last:
            return np.full(size, first, np.int64), np.array([time.minute for time in times], np.int64)
    minutes = np.fromiter(map(floordiv, map(sub, times, repeat(_EPOCH)), repeat(_MINUTE)), np.int64, size)
    return np.divmod(minutes, 60)


_BY_CONTRACT = frozenset((_Uploaded, _Removed, _Imported))
"""What the contract reads: rare here, with texts to clean, and no action of a chart."""


def _within_rules(actions: Sequence[Any]) -> bool:
    """Whether the ids and regions of actions keep the contract's patterns."""
    data = [action.data for action in actions]
    users = [action.user_id for action in data]
    keys = [action.partitionkey for action in actions]
    ids = [action.id for action in actions]
    ids += users
    ids += [action.song_id for action in data]
    if keys != users:
        ids += filter(None, keys)
    regions = {action.region for action in data}
    # "/" is of no id, so that what is left of the joined ids are the joints alone.
    joined = "/".join(ids)
    if len(joined.encode().translate(None, _ID_CHARACTERS)) != max(0, len(ids) - 1):
        return False
    if (joined.startswith(".") or "/." in joined) and not all(map(_has_more_than_dots, ids)):
        return False
    return all(
        region is None or (len(region) == 2 and region.isascii() and region.isalpha() and region.isupper())
        for region in regions
    )


def _has_more_than_dots(id_: str) -> bool:
    return id_.strip(".") != ""


def _in_time(events: Sequence[Any], bodies: Sequence[bytes], logged_ms: Sequence[int]) -> bool:
    """Whether no event can be later than its log time allows, or in another minute than the contract has it in.

    msgspec rounds what is finer than a microsecond and the contract cuts it, which differs where it rounds up to
    a whole minute.
    """
    if not events:
        return True
    times = [event.time for event in events]
    earliest = min(logged_ms)
    if earliest < 0 or is_too_late(max(times), moment_at(earliest)) or min(times) < _FIRST:
        return False
    suspects = [index for index, time in enumerate(times) if not time.second]
    return not any(may_be_rounded(times[index], bodies[index]) for index in suspects)


def _actions(
    events: Sequence[Any],
    bodies: Sequence[bytes],
    logged_ms: Sequence[int],
    facts: list[tuple[int, Event]],
    poison: list[tuple[int, PoisonError]],
) -> list[Any]:
    """The actions of a batch that is not plain; facts and poison go to their lists.

    `events`: what the fast decoder made of each body, None where it made nothing.
    """
    fast = [event for event in events if event is not None and type(event) not in _BY_CONTRACT]
    within_rules = _within_rules(fast)
    actions = []
    for index, event in enumerate(events):
        enqueued_at = moment_at(logged_ms[index]) if logged_ms[index] >= 0 else None
        try:
            if (
                event is None
                or type(event) in _BY_CONTRACT
                or not _FIRST <= event.time <= _LAST
                or is_too_late(event.time, enqueued_at)
                or event.resubmitof
                or may_be_rounded(event.time, bodies[index])
                or not (within_rules or _within_rules([event]))
            ):
                event = decode(bodies[index])
            check_enqueued(event.time, enqueued_at)
        except PoisonError as why:
            poison.append((index, why))
            continue
        # What is sent again for other readers was applied here before, and may be outside of the window in which an
        # action is known again.
        if isinstance(event, Event) and not event.is_for(READER):
            continue
        if isinstance(event.data, ListenImported):
            continue
        if isinstance(event.data, _FACTS):
            facts.append((index, event))
        else:
            actions.append(event)
    return actions


def _decode_fast(body: bytes) -> Any:
    """What the fast decoder makes of `body`; None where it makes nothing, or the contract may decide otherwise."""
    try:
        return _decode(body) if is_plain((body,)) else None
    except DECODING_ERRORS:
        return None
