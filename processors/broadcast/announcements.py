"""What of a batch is told to the world: songs that have come and songs that have gone. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from songline.processors.runtime.hub_record import HubRecord
from songline.schemas.decoding import Decoder
from songline.schemas.envelope import encode, open_envelope, read_envelope, split_type
from songline.schemas.errors import PoisonError
from songline.schemas.event_time import check_enqueued
from songline.schemas.events import EVENTS, SongRemoved, SongUploaded

READER = "broadcast"
"""The reader's name: records are parked by it, and sent again for it."""

REQUEST_EVENTS = 100
REQUEST_BYTES = 900_000
"""A request to Event Grid takes a megabyte."""

_TYPES = {name for name, (_, payload) in EVENTS.items() if payload in (SongUploaded, SongRemoved)}
_document = Decoder(dict[str, Any])


class AnnouncedBatch(Struct, frozen=True):
    """The `announcements` of a batch in the order of their events, as JSON, and by position what can't be decoded."""

    announcements: tuple[bytes, ...]
    poison: Mapping[int, PoisonError]


def parse_announcements(records: Iterable[HubRecord]) -> AnnouncedBatch:
    """The songs that came and went in `records` of one partition: CloudEvents with the ids of their events."""
    found: list[bytes] = []
    poison: dict[int, PoisonError] = {}
    for record in records:
        try:
            envelope = read_envelope(record.body)
            if split_type(envelope.type)[0] not in _TYPES:
                continue
            event = open_envelope(envelope)
            check_enqueued(event.time, record.enqueued_at)
        except PoisonError as error:
            poison[record.position] = error
            continue
        if event.is_for(READER):
            # In the newest version of its type, whichever the sender wrote.
            found.append(encode(event))
    return AnnouncedBatch(tuple(found), poison)


def requests(announcements: Sequence[bytes]) -> Iterator[list[dict[str, Any]]]:
    """The announcements in portions that a request takes, as the SDK wants them."""
    portion: list[dict[str, Any]] = []
    size = 0
    for body in announcements:
        if portion and (len(portion) == REQUEST_EVENTS or size + len(body) > REQUEST_BYTES):
            yield portion
            portion, size = [], 0
        portion.append(_document.decode(body))
        size += len(body)
    if portion:
        yield portion
