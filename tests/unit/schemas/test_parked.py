"""The documents of the container `parked`: one a record, whoever fails on it and however often."""

from base64 import b64decode
from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from songline.schemas.parked import BODY_LIMIT_BYTES, ParkedEvent, is_same_record, merged, of_another_hub, parked_event

NOW = datetime(2026, 11, 22, 14, tzinfo=UTC)


def parked(reader: str = "library", body: bytes = b"\xff", detail: str = "why", reason: str = "x") -> ParkedEvent:
    return parked_event(reader, "music-events", "2", 17, NOW, body, reason, detail, NOW)


def test_a_small_body_is_whole_and_a_large_one_is_cut() -> None:
    small, large = parked(body=b"\xffx"), parked(body=b"y" * 900_000)
    assert (small.id, b64decode(small.body), small.complete) == ("music-events:2:17", b"\xffx", True)
    assert (large.body_beginning, large.body_bytes, large.complete) == (b"y" * BODY_LIMIT_BYTES, 900_000, False)
    assert parked(body=b"z" * BODY_LIMIT_BYTES).complete


@given(st.text(st.characters(exclude_categories=())))
def test_any_detail_can_be_written_and_is_a_line(detail: str) -> None:
    document = parked(detail=detail)
    assert msgspec.json.decode(msgspec.json.encode(document), type=ParkedEvent) == document
    assert document.readers["library"].detail.isprintable()


@given(st.lists(st.sampled_from(["trending", "library", "catalog"]), max_size=6))
def test_each_reader_is_there_once_with_what_it_said_first(readers: list[str]) -> None:
    found = parked("trending", reason="first")
    for reader in readers:
        found = merged(found, parked(reader, reason="later"))
    assert found.readers.keys() == {"trending", *readers}
    assert found.readers["trending"].reason == "first"


def test_a_further_reader_opens_what_was_dealt_with() -> None:
    discarded = structs.replace(parked("trending"), state="discarded")
    assert merged(discarded, parked("trending")) is discarded
    assert merged(discarded, parked("library")).state == "parked"


def test_a_position_of_a_hub_made_anew_is_another_record() -> None:
    old = parked()
    again = structs.replace(old, enqueued_at=NOW + timedelta(milliseconds=1))
    anew = structs.replace(old, enqueued_at=NOW + timedelta(days=1))
    assert is_same_record(old, again)
    assert not is_same_record(old, anew)
    assert of_another_hub(anew).id == "music-events:2:17:1795442400000"
    assert of_another_hub(of_another_hub(anew)) == of_another_hub(anew)
