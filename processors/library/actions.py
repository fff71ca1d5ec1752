"""The actions of listeners in the records of a partition. Pure."""

from collections.abc import Iterable

from msgspec import Struct

from songline.processors.runtime.hub_record import HubRecord
from songline.schemas.envelope import decode
from songline.schemas.errors import PoisonError
from songline.schemas.event_time import check_enqueued
from songline.schemas.events import (
    ImportUndone,
    ListenImported,
    NameMatched,
    NameUnmatched,
    Payload,
    SongLiked,
    SongPlayed,
    SongRemoved,
    SongUnliked,
    SongUploaded,
)
from songline.schemas.forgotten import is_forgotten
from songline.schemas.library.action import Kind, UserAction, event_mark, microseconds
from songline.schemas.listening import is_listen

MINUTE_MS = 60_000

READER = "library"
"""The reader's name: records are parked by it, and sent again for it."""

_KINDS: dict[type, Kind] = {
    SongPlayed: "listen",
    ListenImported: "imported",
    ImportUndone: "undone",
    SongLiked: "like",
    SongUnliked: "unlike",
    SongUploaded: "upload",
    SongRemoved: "remove",
}


class ParsedActionBatch(Struct, frozen=True):
    """The records of a batch, parsed: actions in order, and what can't be decoded, by position."""

    actions: list[UserAction]
    poison: dict[int, PoisonError]


def parse_actions(partition: int, records: Iterable[HubRecord]) -> ParsedActionBatch:
    """The actions in `records` of one partition. A play that is no listen is no action."""
    actions: list[UserAction] = []
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
        if is_forgotten(data.user_id):
            continue  # An event that the archive kept for the charts: nobody's library has it.
        if isinstance(data, NameMatched | NameUnmatched):
            continue  # Of what names mean the worker is told apart.
        if isinstance(data, SongPlayed) and not is_listen(data.played_ms, data.duration_ms):
            continue
        if isinstance(data, SongPlayed | ListenImported):
            ms_played = data.played_ms or 0
        actions.append(
            UserAction(
                user_id=data.user_id,
                song_id=data.song_id,
                at_us=microseconds(event.time),
                mark=event_mark(event.id),
                kind=_kind(data),
                partition=partition,
                position=record.position,
                ms_played=ms_played,
                is_resubmitted=event.resubmit_of is not None,
                import_mark=event_mark(data.import_id) if isinstance(data, ListenImported | ImportUndone) else 0,
            )
        )
    return ParsedActionBatch(actions, poison)


def _kind(data: Payload) -> Kind:
    if isinstance(data, ListenImported) and (data.precision_ms or 0) >= MINUTE_MS:
        return "coarse"
    return _KINDS[type(data)]
