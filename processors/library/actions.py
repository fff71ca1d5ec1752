"""What a partition says of its listeners, by listener, in order. Nothing waits here."""

from base64 import urlsafe_b64encode
from collections.abc import Iterable
from datetime import datetime
from hashlib import blake2b
from typing import Literal

from msgspec import Struct

from songline.processors.runtime.hub_record import HubRecord
from songline.schemas.envelope import decode
from songline.schemas.errors import PoisonError
from songline.schemas.event_time import check_enqueued
from songline.schemas.events import SongLiked, SongPlayed, SongRemoved, SongUnliked, SongUploaded
from songline.schemas.listening import is_listen

Kind = Literal["listen", "like", "unlike", "upload", "remove"]

READER = "library"
"""The name under which it parks records, and for which they are sent again."""

MARK_BYTES = 6
MARK_LETTERS = MARK_BYTES * 4 // 3

_KINDS: dict[type, Kind] = {
    SongPlayed: "listen",
    SongLiked: "like",
    SongUnliked: "unlike",
    SongUploaded: "upload",
    SongRemoved: "remove",
}


class UserAction(Struct, frozen=True, gc=False):
    """What a listener did: the event at `position` (its sequence number), of the moment `at`, whose id is told by
    `mark`. `ms` is how long he listened. `again` is the mark of the parked record that the event was sent again for,
    empty where it was not."""

    position: int
    mark: str
    kind: Kind
    song_id: str
    at: datetime
    ms: int = 0
    again: str = ""


class ParsedActionBatch(Struct, frozen=True):
    """What a batch says: acts by listener, in order, and what could not be understood, by position."""

    acts: dict[str, list[UserAction]]
    poison: dict[int, PoisonError]


def read(records: Iterable[HubRecord]) -> ParsedActionBatch:
    """What `records` of one partition say. A play that is no listen says nothing."""
    acts: dict[str, list[UserAction]] = {}
    poison: dict[int, PoisonError] = {}
    for record in records:
        try:
            event = decode(record.body)
            check_enqueued(event.time, record.logged)
        except PoisonError as why:
            poison[record.position] = why
            continue
        if not event.is_for(READER):
            continue
        data, ms = event.data, 0
        if isinstance(data, SongPlayed):
            if not is_listen(data.played_ms, data.duration_ms):
                continue
            ms = data.played_ms
        again = "" if event.resubmit_of is None else event_mark(event.resubmit_of)
        act = UserAction(record.position, event_mark(event.id), _KINDS[type(data)], data.song_id, event.time, ms, again)
        acts.setdefault(data.user_id, []).append(act)
    return ParsedActionBatch(acts, poison)


def event_mark(event_id: str) -> str:
    """The event's id in eight letters: 48 bits, so that two of the few that are compared are never alike by chance."""
    return urlsafe_b64encode(blake2b(event_id.encode(errors="replace"), digest_size=MARK_BYTES).digest()).decode()
