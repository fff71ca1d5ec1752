"""The events that say something of songs, among the records of a partition. Pure."""

from collections.abc import Collection, Iterable, Iterator

from songline.processors.runtime.hub_record import HubRecord
from songline.schemas.envelope import Event, open_envelope, read_envelope, split_type
from songline.schemas.errors import PoisonError
from songline.schemas.event_time import check_enqueued
from songline.schemas.events import EVENTS, NameMatched, NameUnmatched, SongRemoved, SongUploaded

SONG_TYPES = frozenset(name for name, (_, payload) in EVENTS.items() if payload in (SongUploaded, SongRemoved))
"""Uploads and removals."""
MATCH_TYPES = frozenset(name for name, (_, payload) in EVENTS.items() if payload in (NameMatched, NameUnmatched))
"""What is said of songs that are known by name only."""


def song_events(
    records: Iterable[HubRecord],
    reader: str,
    poison: dict[int, PoisonError],
    types: Collection[str] = SONG_TYPES,
) -> Iterator[tuple[HubRecord, Event]]:
    """The events of these logical `types` in `records` that are for `reader`, in order. Events of other types are
    skipped; what can't be decoded gets into `poison` by its position."""
    for record in records:
        try:
            envelope = read_envelope(record.body)
            if split_type(envelope.type)[0] not in types:
                continue
            event = open_envelope(envelope)
            check_enqueued(event.time, record.enqueued_at)
        except PoisonError as error:
            poison[record.position] = error
            continue
        if event.is_for(reader):
            yield record, event
