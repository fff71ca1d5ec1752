"""What of a batch is told to the world: songs that have come and songs that have gone. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from songline.processors.runtime.hub_record import HubRecord
from songline.processors.runtime.song_events import song_events
from songline.schemas.decoding import Decoder
from songline.schemas.envelope import encode
from songline.schemas.errors import PoisonError

READER = "broadcast"
"""The reader's name: records are parked by it, and sent again for it."""

REQUEST_EVENTS = 100
REQUEST_BYTES = 900_000
"""A request to Event Grid takes a megabyte."""

_document = Decoder(dict[str, Any])


class AnnouncedBatch(Struct, frozen=True):
    """The `announcements` of a batch in the order of their events, as JSON, and by position what can't be decoded."""

    announcements: tuple[bytes, ...]
    poison: Mapping[int, PoisonError]


def parse_announcements(records: Iterable[HubRecord]) -> AnnouncedBatch:
    """The songs that came and went in `records` of one partition: CloudEvents with the ids of their events."""
    poison: dict[int, PoisonError] = {}
    # In the newest version of its type, whichever the sender wrote.
    found = tuple(encode(event) for _, event in song_events(records, READER, poison))
    return AnnouncedBatch(found, poison)


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
