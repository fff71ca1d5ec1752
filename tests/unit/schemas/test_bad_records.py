"""No bytes bring anything but PoisonError or a refusal, in any contract, at any door that is a function of bytes."""

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.schemas import commands, envelope, examples, live
from songline.schemas.acceptance import accept, accepted, refuse
from songline.schemas.decoding import convert
from songline.schemas.errors import ContractViolationError, PoisonError
from songline.schemas.ingestions import Ingestion
from songline.schemas.library.listener_documents import EntryDocument, SummaryDocument
from songline.schemas.live import LiveEvent, PlaybackStarted
from songline.schemas.plays import SongDay
from songline.schemas.progress import WatermarkDocument
from songline.schemas.songs import SongDocument
from tests.support.bad_bytes import BAD_RECORDS, bad_bytes, bad_json, spoiled

NOW = datetime(2026, 11, 22, 14, tzinfo=UTC)
STARTED = live.encode(
    LiveEvent(id="e-1", source="/s", time=NOW, data=PlaybackStarted(user_id="user-7", song_id="song-42"))
)
COMMANDS = [commands.encode(command) for command in examples.COMMANDS.values()]
EVENTS = [envelope.encode(event) for event in examples.EVENTS.values()]
SPOILED_COMMANDS = {
    f"{number}: {name}": body for number, good in enumerate(COMMANDS) for name, body in spoiled(good).items()
}

Decode = Callable[[bytes], object]
DECODERS: list[tuple[Decode, st.SearchStrategy[bytes]]] = [
    (envelope.decode, st.sampled_from(EVENTS)),
    (commands.decode, st.sampled_from(COMMANDS)),
    (live.decode, st.just(STARTED)),
]


def test_there_are_enough_of_them() -> None:
    assert len(BAD_RECORDS) >= 30
    assert len(set(BAD_RECORDS.values())) == len(BAD_RECORDS)


@pytest.mark.parametrize("name", BAD_RECORDS)
def test_a_bad_record_is_poison_with_a_short_reason_in_plain_words(name: str) -> None:
    with pytest.raises(PoisonError) as caught:
        envelope.decode(BAD_RECORDS[name])
    assert caught.value.detail
    assert "`" not in caught.value.detail
    assert len(str(caught.value)) < 500
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", BAD_RECORDS)
def test_a_bad_record_is_refused_at_the_door(name: str) -> None:
    with pytest.raises(ContractViolationError) as caught:
        accept(BAD_RECORDS[name], NOW)
    violation = caught.value.violation
    assert violation.field
    assert "`" not in violation.rule
    assert len(violation.value) <= 100


@pytest.mark.parametrize("name", spoiled(STARTED))
def test_a_bad_record_of_now_playing_is_poison(name: str) -> None:
    with pytest.raises(PoisonError):
        live.decode(spoiled(STARTED)[name])


@pytest.mark.parametrize("name", SPOILED_COMMANDS)
def test_a_bad_command_is_poison(name: str) -> None:
    with pytest.raises(PoisonError):
        commands.decode(SPOILED_COMMANDS[name])


@pytest.mark.parametrize("decode", [envelope.decode, commands.decode, live.decode])
def test_a_record_without_a_body_is_poison(decode: Callable[[Any], object]) -> None:
    with pytest.raises(PoisonError, match="no body"):
        decode(None)


@pytest.mark.parametrize(("decode", "good"), DECODERS, ids=["event", "command", "now playing"])
@given(data=st.data())
def test_no_bytes_bring_anything_but_poison(
    decode: Decode, good: st.SearchStrategy[bytes], data: st.DataObject
) -> None:
    with suppress(PoisonError):
        decode(data.draw(bad_bytes(good)))


@given(bad_bytes(st.sampled_from(EVENTS)))
def test_no_bytes_bring_anything_but_a_refusal_at_the_door(body: bytes) -> None:
    try:
        event, published = accepted(body, NOW)
    except ContractViolationError as refused:
        str(refused).encode()
    else:
        assert envelope.decode(published) == event


@given(
    st.sampled_from(EVENTS).map(json.loads),
    st.dictionaries(st.sampled_from(["id", "source", "type", "time", "data", "subject", "partitionkey"]), bad_json()),
    st.dictionaries(
        st.sampled_from(["userId", "songId", "title", "artist", "album", "device", "durationMs", "size"]), bad_json()
    ),
)
def test_no_value_brings_anything_but_a_refusal(event: dict[str, Any], odd: dict[str, Any], odd_data: Any) -> None:
    event["data"] |= odd_data
    body = json.dumps(event | odd).encode()
    with suppress(ContractViolationError):
        accept(body, NOW)
    with suppress(PoisonError):
        envelope.decode(body)


@given(bad_json())
def test_any_value_can_be_shown_in_a_refusal(value: object) -> None:
    str(refuse("data.title", value, "another")).encode()
    str(refuse("event", value, "another")).encode()


@pytest.mark.parametrize(
    "kind",
    [SongDocument, EntryDocument, SummaryDocument, WatermarkDocument, Ingestion, SongDay],
    ids=lambda kind: kind.__name__,
)
@given(st.dictionaries(st.sampled_from(["id", "facts", "userId", "songId", "applied", "partitions"]), bad_json()))
def test_a_document_is_read_or_is_poison(kind: type[object], document: dict[str, Any]) -> None:
    with suppress(PoisonError):
        convert(document, kind)
