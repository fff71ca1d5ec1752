"""The actions of listeners in the records of a partition. Pure."""

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
from songline.schemas.events import ListenImported, SongLiked, SongPlayed, SongRemoved, SongUnliked, SongUploaded
from songline.schemas.listening import is_listen

Kind = Literal["listen", "like", "unlike", "upload", "remove"]

READER = "library"
"""The reader's name: records are parked by it, and sent again for it."""

MARK_BYTES = 6
MARK_LETTERS = MARK_BYTES * 4 // 3

_KINDS: dict[type, Kind] = {
    SongPlayed: "listen",
    ListenImported: "listen",
    SongLiked: "like",
    SongUnliked: "unlike",
    SongUploaded: "upload",
    SongRemoved: "remove",
}


class ListenerAction(Struct, frozen=True, gc=False):
    """What a listener did with a song at the moment `at`, from the event at `position` (its sequence number).

    `mark` stands for the event's id (see `event_mark`). `ms_played` is how long they listened, in
    milliseconds, 0 where that is not known.
    `resubmitted_mark` stands for the parked record that the event was sent again for; empty where it was not.
    """

    position: int
    mark: str
    kind: Kind
    song_id: str
    at: datetime
    ms_played: int = 0
    resubmitted_mark: str = ""


class ParsedActionBatch(Struct, frozen=True):
    """The records of a batch, parsed: actions by listener, in order, and what can't be decoded, by position."""

    actions: dict[str, list[ListenerAction]]
    poison: dict[int, PoisonError]


def parse_actions(records: Iterable[HubRecord]) -> ParsedActionBatch:
    """The actions in `records` of one partition. A play that is no listen is no action."""
    actions: dict[str, list[ListenerAction]] = {}
    poison: dict[int, PoisonError] = {}
    for record in records:
        try:
            event = decode(record.body)
            check_enqueued(event.time, record.enqueued_at)
        except PoisonError as error:
            poison[record.position] = error
            continue
        if not event.is_for(READER):
            continue
        data, ms_played = event.data, 0
        if isinstance(data, SongPlayed) and not is_listen(data.played_ms, data.duration_ms):
            continue
        if isinstance(data, SongPlayed | ListenImported):
            ms_played = data.played_ms or 0
        resubmitted_mark = "" if event.resubmit_of is None else event_mark(event.resubmit_of)
        action = ListenerAction(
            record.position,
            event_mark(event.id),
            _KINDS[type(data)],
            data.song_id,
            event.time,
            ms_played,
            resubmitted_mark,
        )
        actions.setdefault(data.user_id, []).append(action)
    return ParsedActionBatch(actions, poison)


def event_mark(event_id: str) -> str:
    """Eight letters for an event's id: 48 bits, so that two of the few that are compared never agree by chance."""
    return urlsafe_b64encode(blake2b(event_id.encode(errors="replace"), digest_size=MARK_BYTES).digest()).decode()
