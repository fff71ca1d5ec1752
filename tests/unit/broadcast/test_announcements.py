"""Which events are told to the world, and how they are portioned."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from songline.processors.broadcast.announcements import REQUEST_BYTES, REQUEST_EVENTS, parse_announcements, requests
from songline.processors.runtime.hub_record import HubRecord
from songline.schemas.envelope import decode, encode
from songline.schemas.events import SongRemoved, SongUploaded
from songline.schemas.examples import EVENTS
from tests.support.bad_bytes import BAD_RECORDS

SONGS = (SongUploaded, SongRemoved)


def record(position: int, body: bytes) -> HubRecord:
    return HubRecord(position, datetime(2026, 11, 29, tzinfo=UTC), body)


def test_songs_are_told_with_their_ids_and_nothing_else_is() -> None:
    records = [record(position, encode(event)) for position, event in enumerate(EVENTS.values())]
    batch = parse_announcements(records)
    assert [decode(body) for body in batch.announcements] == [
        event for event in EVENTS.values() if isinstance(event.data, SONGS)
    ]
    assert batch.poison == {}


def test_the_same_batch_again_tells_the_same() -> None:
    records = [record(position, encode(event)) for position, event in enumerate(EVENTS.values())]
    assert parse_announcements(records) == parse_announcements(records)


def test_bytes_that_no_contract_allows_are_left_out_and_named() -> None:
    songs = encode(EVENTS[SongUploaded])
    records = [record(position, body) for position, body in enumerate([songs, *BAD_RECORDS.values(), songs])]
    batch = parse_announcements(records)
    assert len(batch.announcements) == 2
    assert 0 < len(batch.poison) <= len(BAD_RECORDS)


@given(st.lists(st.integers(0, 10_000), max_size=400))
def test_a_request_takes_what_the_topic_takes(sizes: list[int]) -> None:
    bodies = [b'{"id":"%d","pad":"%s"}' % (number, b"a" * size) for number, size in enumerate(sizes)]
    portions = list(requests(bodies))
    assert [one["id"] for portion in portions for one in portion] == [str(number) for number in range(len(sizes))]
    assert all(0 < len(portion) <= REQUEST_EVENTS for portion in portions)
    sizes_of = {str(number): len(body) for number, body in enumerate(bodies)}
    assert all(sum(sizes_of[one["id"]] for one in portion) <= REQUEST_BYTES for portion in portions)
