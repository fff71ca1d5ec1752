"""Every limit of the contract refuses what breaks it, and names the field, the value and the rule."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from msgspec import structs

from songline.schemas import examples
from songline.schemas.acceptance import MAX_EVENT_BYTES, accept, accepted, check, validated
from songline.schemas.envelope import Event, encode
from songline.schemas.errors import ContractViolationError, Violation
from songline.schemas.event_time import EARLIEST, MAX_FUTURE
from songline.schemas.events import (
    ACCEPTED_TYPES,
    ListenImported,
    SongLiked,
    SongPlayed,
    SongRemoved,
    SongUploaded,
)

NOW = datetime(2026, 11, 22, 14, tzinfo=UTC)
PLAYED: dict[str, Any] = json.loads(encode(examples.EVENTS[SongPlayed]))
UPLOADED: dict[str, Any] = json.loads(encode(examples.EVENTS[SongUploaded]))
LIKED, REMOVED, IMPORTED = (
    json.loads(encode(examples.EVENTS[one])) for one in (SongLiked, SongRemoved, ListenImported)
)
ALL_TYPES = "one of " + ", ".join(ACCEPTED_TYPES)
ID_RULE = "1 to 128 characters of [A-Za-z0-9._:-], not dots only"
REQUIRED = "a value: the field is required"
MOMENT_RULE = "a moment as RFC 3339 with an offset, such as 2026-11-22T14:00:00Z"


def refused(body: bytes) -> Violation:
    with pytest.raises(ContractViolationError) as caught:
        accept(body, NOW)
    assert str(caught.value) == str(caught.value.violation)
    return caught.value.violation


def with_attribute(field: str, value: object) -> bytes:
    return json.dumps({**PLAYED, field: value}).encode()


def with_data(base: dict[str, Any], field: str, value: object) -> bytes:
    return json.dumps({**base, "data": {**base["data"], field: value}}).encode()


@pytest.mark.parametrize("event", examples.EVENTS.values(), ids=lambda event: event.type)
def test_an_event_that_keeps_the_contract_is_accepted_as_it_is(event: Event) -> None:
    assert accept(encode(event), NOW) == event
    assert check(event, NOW) is event
    assert validated(event, NOW) == encode(event)


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("specversion", "0.3", '"1.0"'),
        ("id", "", ID_RULE),
        ("id", "x" * 129, ID_RULE),
        ("id", "a b", ID_RULE),
        ("id", "a\n", ID_RULE),
        ("id", 7, "text"),
        ("source", "", "text of at least 1 character"),
        ("source", "s" * 257, "text of at most 256 characters"),
        ("type", "songline.song.hummed.v1", ALL_TYPES),
        ("type", "songline.song.played.v3", ALL_TYPES),
        ("type", "songline.song.played.v0", ALL_TYPES),
        ("type", "songline.song.played.v01", ALL_TYPES),
        ("type", "songline.song.played.v１", ALL_TYPES),  # noqa: RUF001 - a full-width digit is the point
        ("type", "songline.song.played.v" + "9" * 5000, ALL_TYPES),
        ("type", "os.system", ALL_TYPES),
        ("time", "yesterday", MOMENT_RULE),
        ("time", "2026-02-30T00:00:00Z", MOMENT_RULE),
        ("time", 1_700_000_000, MOMENT_RULE),
        ("time", "0001-01-01T00:00:00+01:00", "not before 2000-01-01"),
        ("traceparent", "00-abc", "a W3C traceparent, 00-TRACE-PARENT-FLAGS in lower-case hexadecimal digits"),
        ("partitionkey", "a key", ID_RULE),
        ("partitionkey", "user-8", "the same as data.userId, 'user-7'"),
        ("data", [], "an object"),
    ],
)
def test_an_attribute_that_breaks_its_rule(field: str, value: object, rule: str) -> None:
    assert refused(with_attribute(field, value)) == Violation(field, shown(value), rule)


@pytest.mark.parametrize(
    ("base", "field", "value", "rule"),
    [
        (PLAYED, "userId", "user 7", ID_RULE),
        (PLAYED, "songId", "x" * 129, ID_RULE),
        (PLAYED, "songId", ["song-42"], "text"),
        (PLAYED, "playedMs", -1, "a whole number, at least 0"),
        (PLAYED, "playedMs", 86_400_001, "a whole number, at most 86400000"),
        (PLAYED, "durationMs", 2**70, "a whole number, at most 86400000"),
        (PLAYED, "durationMs", 1.5, "a whole number or null"),
        (PLAYED, "durationMs", True, "a whole number or null"),
        (PLAYED, "region", "XX", "an ISO 3166-1 alpha-2 country code"),
        (PLAYED, "region", "de", "an ISO 3166-1 alpha-2 country code, in upper case"),
        (PLAYED, "region", "DE\n", "an ISO 3166-1 alpha-2 country code, in upper case"),
        (PLAYED, "device", "", "text of at least 1 character"),
        (UPLOADED, "title", "", "text of at least 1 character"),
        (UPLOADED, "artist", "a" * 301, "text of at most 300 characters"),
        (UPLOADED, "genre", "Indie", "1 to 64 of lower-case letters, digits, space and &+'-, not a sign first"),
    ],
)
def test_data_that_breaks_its_rule(base: dict[str, Any], field: str, value: object, rule: str) -> None:
    assert refused(with_data(base, field, value)) == Violation(f"data.{field}", shown(value), rule)


@pytest.mark.parametrize("field", ["specversion", "id", "source", "type", "time", "data"])
def test_a_missing_attribute_is_named(field: str) -> None:
    body = json.dumps({key: value for key, value in PLAYED.items() if key != field}).encode()
    assert refused(body) == Violation(field, "null", REQUIRED)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("songline.song.played.v1", ["userId", "songId", "playedMs", "durationMs", "region"]),
        ("songline.song.played.v2", ["userId", "songId"]),
    ],
)
def test_a_missing_field_of_the_data_is_named(kind: str, fields: list[str]) -> None:
    for field in fields:
        data = {key: value for key, value in PLAYED["data"].items() if key != field}
        body = json.dumps({**PLAYED, "type": kind, "data": data}).encode()
        assert refused(body) == Violation(f"data.{field}", "null", REQUIRED)


def test_a_play_of_the_first_version_is_taken_as_it_is_written() -> None:
    body = json.dumps({**PLAYED, "type": "songline.song.played.v1"}).encode()
    event, sent = accepted(body, NOW)
    assert event == examples.EVENTS[SongPlayed]
    assert sent == body


@pytest.mark.parametrize("base", [UPLOADED, REMOVED], ids=["uploaded", "removed"])
@pytest.mark.parametrize("song_id", ["name:", "name:one", "name:..", "name:" + "x" * 123])
def test_nobody_takes_a_name_over(base: dict[str, Any], song_id: str) -> None:
    violation = refused(with_data(base, "songId", song_id))
    assert (violation.field, violation.value) == ("data.songId", shown(song_id))
    assert "not beginning with name:" in violation.rule


@pytest.mark.parametrize("song_id", ["name", "names:one", "NAME:one", "a:name:one"])
def test_other_songs_than_names_have_an_uploader(song_id: str) -> None:
    assert accept(with_data(UPLOADED, "songId", song_id), NOW).data.song_id == song_id


@pytest.mark.parametrize("base", [PLAYED, LIKED, IMPORTED], ids=["played", "liked", "imported"])
def test_names_are_listened_to_and_liked(base: dict[str, Any]) -> None:
    assert accept(with_data(base, "songId", "name:one"), NOW).data.song_id == "name:one"


def test_all_artists_of_an_imported_listen_are_cleaned() -> None:
    body = with_data(IMPORTED, "artists", ["Nova\tReed", "Benno Falk\u200b"])
    event, sent = accepted(body, NOW)
    assert isinstance(event.data, ListenImported)
    assert event.data.artists == ("Nova Reed", "Benno Falk")
    assert json.loads(sent)["data"]["artists"] == ["Nova Reed", "Benno Falk"]


def test_optional_attributes_may_be_left_out() -> None:
    needed = {key: PLAYED[key] for key in ("specversion", "id", "source", "type", "time", "data")}
    assert accept(json.dumps(needed).encode(), NOW).partition_key == "user-7"


def test_a_like_needs_no_region() -> None:
    event = {**PLAYED, "type": "songline.song.liked.v1", "data": {"userId": "user-7", "songId": "s"}}
    assert accept(json.dumps(event).encode(), NOW).data == SongLiked(user_id="user-7", song_id="s")


@pytest.mark.parametrize(
    "body", [b"", b"\xff\xfe", b"[]", b"null", b'"text"', b"{", b"[" * 9_000, b"{}x", json.dumps(PLAYED).encode()[:-1]]
)
def test_what_is_no_json_object_is_refused_as_a_whole(body: bytes) -> None:
    violation = refused(body)
    assert violation.field == "event"
    assert violation.rule.startswith("one JSON object")
    assert len(violation.value) <= 100


def test_ten_kilobytes_and_not_a_byte_more() -> None:
    room = MAX_EVENT_BYTES - len(json.dumps({**PLAYED, "note": ""}))
    assert accept(json.dumps({**PLAYED, "note": "x" * room}).encode(), NOW) == examples.EVENTS[SongPlayed]
    violation = refused(json.dumps({**PLAYED, "note": "x" * (room + 1)}).encode())
    assert violation == Violation("event", "10241 bytes", "at most 10240 bytes")


@pytest.mark.parametrize("moment", [NOW + MAX_FUTURE, EARLIEST, EARLIEST.astimezone(timezone(timedelta(hours=-5)))])
def test_a_time_at_the_edge_is_accepted(moment: datetime) -> None:
    assert accept(with_attribute("time", moment.isoformat()), NOW).time == moment


@pytest.mark.parametrize(
    ("moment", "rule"),
    [
        (NOW + MAX_FUTURE + timedelta(microseconds=1), "at most one hour after now, 2026-11-22T14:00:00+00:00"),
        (EARLIEST - timedelta(microseconds=1), "not before 2000-01-01"),
    ],
)
def test_a_time_past_the_edge_is_refused(moment: datetime, rule: str) -> None:
    violation = refused(with_attribute("time", moment.isoformat()))
    assert (violation.field, violation.rule) == ("time", rule)


def test_an_event_built_in_code_is_held_to_the_same_contract() -> None:
    played = examples.EVENTS[SongPlayed]
    lost = SongPlayed(user_id="user-7", song_id="song 42", played_ms=1, duration_ms=1, region="DE")
    with pytest.raises(ContractViolationError, match=r"data\.songId: saw \"song 42\", expected 1 to 128 characters"):
        validated(Event(id=played.id, source=played.source, time=played.time, data=lost), NOW)


def shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text if len(text) <= 100 else text[:99] + "…"


def test_a_door_publishes_clean_texts_and_keeps_what_else_was_said() -> None:
    data = {**UPLOADED["data"], "title": "Paper\nLanterns\u202e", "album": "\x1b", "mood": "a\nb"}
    body = json.dumps({**UPLOADED, "data": data, "extension": "\u202e"}).encode()
    event, published = accepted(body, NOW)
    assert isinstance(event.data, SongUploaded)
    assert (event.data.title, event.data.album) == ("Paper Lanterns", None)
    written = json.loads(published)
    assert written["extension"] == "\u202e"
    assert written["data"] == {**UPLOADED["data"], "title": "Paper Lanterns", "mood": "a\nb"}
    assert accept(published, NOW) == event


@pytest.mark.parametrize("number", ["1e999", "-1e999", "9" * 400, "0.1e-999", "1.0000000000000000001"])
@pytest.mark.parametrize("place", ["extension", "data"])
def test_what_no_contract_asks_for_is_published_as_it_is_written(number: str, place: str) -> None:
    dirty = with_data(UPLOADED, "title", "Paper\nLanterns")
    after = b'{"specversion"' if place == "extension" else b'"data": {'
    extra = b'{"mood": %s, "specversion"' if place == "extension" else b'"data": {"mood": %s, '
    body = dirty.replace(after, extra % number.encode(), 1)
    event, published = accepted(body, NOW)
    assert isinstance(event.data, SongUploaded)
    assert event.data.title == "Paper Lanterns"
    assert number.encode() in published
    assert b"\\n" not in published
    assert accept(published, NOW) == event


@pytest.mark.parametrize(
    "body",
    [
        encode(examples.EVENTS[SongPlayed]),
        json.dumps(UPLOADED, indent=2).encode(),
        with_data(UPLOADED, "title", "Smörgåsbord 👩\u200d🚀"),
        with_data(PLAYED, "more", "\u202e"),
    ],
)
def test_bytes_with_clean_texts_are_published_as_they_are(body: bytes) -> None:
    assert accepted(body, NOW)[1] is body


def test_an_event_built_in_code_is_published_clean_or_refused() -> None:
    event = examples.EVENTS[SongUploaded]
    dirty = structs.replace(event, data=structs.replace(event.data, title="\ud800One\n", artist="Two\x1b"))
    data = accept(validated(dirty, NOW), NOW).data
    assert isinstance(data, SongUploaded)
    assert (data.title, data.artist) == ("One", "Two")
    for field in ("song_id", "user_id"):
        broken = structs.replace(event, data=structs.replace(event.data, **{field: "\udcff"}))
        with pytest.raises(ContractViolationError, match="not dots only"):
            validated(broken, NOW)
    with pytest.raises(ContractViolationError, match=r"data\.title"):
        validated(structs.replace(event, data=structs.replace(event.data, title="\u202e")), NOW)


@pytest.mark.parametrize("id_", [".", "..", "...", "." * 128])
@pytest.mark.parametrize("field", ["userId", "songId"])
def test_an_id_of_dots_is_refused(field: str, id_: str) -> None:
    assert refused(with_data(PLAYED, field, id_)) == Violation(f"data.{field}", shown(id_), ID_RULE)


@pytest.mark.parametrize("id_", ["..a", "a..", ".-", ":", "-", "_"])
def test_an_id_may_have_dots(id_: str) -> None:
    assert accept(with_data(PLAYED, "songId", id_), NOW).data.song_id == id_


@pytest.mark.parametrize("written", ["184000.0", "1.84e5", "184000"])
def test_a_whole_number_may_have_a_fraction_of_zero(written: str) -> None:
    body = json.dumps(PLAYED).replace("184000", written).encode()
    assert accept(body, NOW) == examples.EVENTS[SongPlayed]


@pytest.mark.parametrize("readers", ["library", "", None])
def test_no_sender_chooses_which_readers_count_an_event(readers: str | None) -> None:
    body = json.dumps({**PLAYED, "resubmitof": "music-events:0:1", "resubmitfor": readers}).encode()
    with pytest.raises(ContractViolationError, match=r"resubmitof: saw .*music-events:0:1.*songline parked resubmit"):
        accepted(body, NOW)


@pytest.mark.parametrize("name", ["resubmitof", "resubmitfor"])
@pytest.mark.parametrize("said", ["library", "", 7, ["library"]])
def test_neither_attribute_of_what_is_sent_again_may_be_said_alone(name: str, said: object) -> None:
    with pytest.raises(ContractViolationError, match=f"{name}: saw .*songline parked resubmit"):
        accepted(json.dumps({**PLAYED, name: said}).encode(), NOW)
    # In JSON, an attribute that is null is not there. Source: CloudEvents 1.0.2, "JSON Event Format" section 2.2.
    assert accepted(json.dumps({**PLAYED, name: None}).encode(), NOW)[0].resubmit_for == frozenset()
