"""One form on every wire: what is encoded is decoded, and what can't be understood says why."""

import json
import uuid
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from songline.schemas import examples
from songline.schemas.envelope import Event, clean, decode, encode, uuid7
from songline.schemas.errors import PoisonError
from songline.schemas.events import SongPlayed

PLAYED = json.loads(encode(examples.EVENTS[SongPlayed]))

ids = st.from_regex(r"[A-Za-z0-9._:-]{1,128}", fullmatch=True).filter(lambda id_: id_.strip("."))
events = st.builds(
    Event,
    id=ids,
    source=st.text(min_size=1, max_size=256),
    time=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis wants naive bounds
    data=st.builds(
        SongPlayed,
        user_id=ids,
        song_id=ids,
        played_ms=st.integers(0, 86_400_000),
        duration_ms=st.integers(0, 86_400_000),
        region=st.sampled_from(["DE", "BR", "JP"]),
        device=st.none() | st.text(min_size=1, max_size=64),
    ),
    traceparent=st.none() | st.just("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
)


@given(events)
def test_what_is_encoded_is_decoded(event: Event) -> None:
    assert decode(encode(event)) == structs.replace(event, data=clean(event.data))


def test_the_written_form_is_cloudevents_structured_json() -> None:
    assert PLAYED == {
        "specversion": "1.0",
        "id": "019aabd1-5b7b-7000-8000-000000000001",
        "source": "/services/player",
        "type": "songline.song.played.v2",
        "subject": "song-42",
        "time": "2026-11-22T14:00:00.123000Z",
        "partitionkey": "user-7",
        "datacontenttype": "application/json",
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "data": {
            "userId": "user-7",
            "songId": "song-42",
            "playedMs": 184_000,
            "durationMs": 201_000,
            "region": "DE",
            "device": "ios",
        },
    }


def test_a_time_with_an_offset_is_written_and_read_in_utc() -> None:
    there = datetime(2026, 11, 22, 20, 30, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    event = Event(id="a", source="/s", time=there, data=examples.EVENTS[SongPlayed].data)
    assert json.loads(encode(event))["time"] == "2026-11-22T15:00:00Z"
    read = decode(json.dumps({**PLAYED, "time": "2026-11-22T20:30:00+05:30"}).encode())
    assert read.time == there
    assert read.time.tzinfo is UTC


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not-an-event"),
        (b"\x00\x01", "not-an-event"),
        (b'{"hello":"world"}', "not-an-event"),
        (b'{"x":' + b"[" * 9_000, "not-an-event"),
        (json.dumps({**PLAYED, "type": "songline.song.hummed.v1"}).encode(), "unknown-type"),
        (json.dumps({**PLAYED, "type": "songline.song.played"}).encode(), "unknown-type"),
        (json.dumps({**PLAYED, "type": "songline.song.played.v" + "9" * 5_000}).encode(), "unknown-type"),
        (json.dumps({**PLAYED, "type": "songline.song.played.v3"}).encode(), "unknown-version"),
        (json.dumps({**PLAYED, "data": {}}).encode(), "broken-contract"),
        (json.dumps({**PLAYED, "time": "0001-01-01T00:00:00+01:00"}).encode(), "broken-contract"),
        (json.dumps({**PLAYED, "time": "9999-12-31T23:59:59-01:00"}).encode(), "broken-contract"),
    ],
)
def test_what_cannot_be_understood_says_why(body: bytes, reason: str) -> None:
    with pytest.raises(PoisonError) as caught:
        decode(body)
    assert caught.value.reason == reason
    assert caught.value.detail
    assert len(str(caught.value)) < 500


@given(st.binary(max_size=200))
def test_no_bytes_bring_anything_but_poison(body: bytes) -> None:
    with pytest.raises(PoisonError):
        decode(body)


def test_uuid7_is_the_example_of_rfc_9562_appendix_a_6() -> None:
    entropy = 0xCC3 << 62 | 0x18C4DC0C0C07398F
    assert uuid7(0x017F22E279B0, entropy) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


@given(st.integers(0, 2**48 - 1), st.integers(0, 2**74 - 1))
def test_uuid7_has_its_version_its_variant_and_its_moment(ms: int, entropy: int) -> None:
    made = uuid.UUID(uuid7(ms, entropy))
    assert (made.version, made.variant, made.int >> 80) == (7, uuid.RFC_4122, ms)


@given(st.integers(0, 2**48 - 2), st.integers(0, 2**74 - 1), st.integers(0, 2**74 - 1))
def test_uuid7_sorts_by_its_moment(ms: int, first: int, second: int) -> None:
    assert uuid7(ms, first) < uuid7(ms + 1, second)


@pytest.mark.parametrize("odd", [b"9" * 400, b"7", b"null", b"true", b'{"a":[1e999]}', b'["parked"]'])
@pytest.mark.parametrize("name", [b"resubmitof", b"resubmitfor", b"mood"])
def test_an_extension_that_is_no_text_says_nothing(name: bytes, odd: bytes) -> None:
    body = encode(examples.EVENTS[SongPlayed])
    assert decode(body[:-1] + b',"' + name + b'":' + odd + b"}") == decode(body)
