"""Events of a forgotten listener as the archive keeps them: the charts' rule has what it needs, and nobody else."""

import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.processors.history.erasure.rename import NOWHERE, ids_in, renamed_body, renamed_properties, replaced_in
from songline.processors.library.actions import parse_actions
from songline.processors.runtime.hub_record import HubRecord
from songline.schemas import examples
from songline.schemas.envelope import decode, encode
from songline.schemas.events import ListenImported, Payload, SongPlayed, SongRemoved, SongUploaded
from songline.schemas.forgotten import ForgottenNames, is_forgotten
from songline.schemas.types import ID_PATTERN

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
NOON_S = int(NOON.timestamp())
NAMES = ForgottenNames(bytes(range(32)))
USER = "user-7"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def body_of(kind: type[Payload] = SongPlayed, user_id: str = USER, **attributes: Any) -> bytes:
    body = json.loads(encode(examples.EVENTS[kind]))
    body |= {"partitionkey": user_id, "time": "2026-11-22T12:00:00.123Z"}
    body["data"]["userId"] = user_id
    return json.dumps(body | attributes).encode()


def renamed(body: bytes, user_id: str = USER) -> bytes:
    return renamed_body(body, user_id, NAMES, NOON_S)[0]


@pytest.mark.parametrize("kind", examples.EVENTS)
def test_an_event_stays_one_and_loses_its_listener(kind: type[Payload]) -> None:
    body = body_of(kind, traceparent=TRACE, source=f"/apps/{USER}/ios", mail="user-7@example.org")
    after = renamed(body)
    assert USER.encode() not in after
    before, event = decode(body), decode(after)
    assert (event.time, event.type, event.data.song_id) == (before.time, before.type, before.data.song_id)
    assert is_forgotten(event.data.user_id)
    assert json.loads(after)["partitionkey"] == event.data.user_id
    assert event.source == NOWHERE
    assert event.traceparent is None
    assert event.id != before.id
    assert "mail" not in json.loads(after)
    assert renamed(after) == after, "what is renamed is nobody's any more"


def test_what_charts_need_stays() -> None:
    before, after = decode(body_of()).data, decode(renamed(body_of())).data
    assert isinstance(before, SongPlayed)
    assert isinstance(after, SongPlayed)
    assert (after.played_ms, after.duration_ms, after.region) == (before.played_ms, before.duration_ms, before.region)
    assert before.device is not None
    assert after.device is None


def test_a_name_is_of_the_hour_of_the_event() -> None:
    def name(moment: datetime) -> str:
        return decode(renamed(body_of(time=moment.isoformat()))).data.user_id

    assert name(NOON) == name(NOON + timedelta(minutes=59, seconds=59)) == NAMES.of_hour(NOON_S)
    assert len({name(NOON), name(NOON + timedelta(hours=1)), name(NOON - timedelta(seconds=1))}) == 3


def test_what_they_said_of_a_song_has_one_name() -> None:
    uploaded = decode(renamed(body_of(SongUploaded, time="2026-11-22T01:00:00Z"))).data
    body = json.loads(body_of(SongRemoved, time="2026-11-22T23:00:00Z"))
    body["data"]["songId"] = body["subject"] = uploaded.song_id
    assert decode(renamed(json.dumps(body).encode())).data.user_id == uploaded.user_id


def test_listens_of_one_import_are_not_kept_together() -> None:
    one, other = (decode(renamed(body_of(ListenImported, id=f"e-{number}"))).data for number in range(2))
    assert isinstance(one, ListenImported)
    assert isinstance(other, ListenImported)
    assert one.import_id != other.import_id


def test_a_copy_stays_a_copy_and_a_parked_event_one_that_was_sent_again() -> None:
    body = body_of(resubmitof="music-events:2:1187", resubmitfor="trending")
    one, other = decode(renamed(body)), decode(renamed(body))
    assert one.id == other.id
    assert (one.resubmit_of, one.resubmit_for) == ("music-events:2:1187", frozenset({"trending"}))


@pytest.mark.parametrize(
    "body", [body_of(user_id="user-70"), body_of(user_id="my-user-7"), body_of(user_id="user-8"), b"", b"\xff\\"]
)
def test_others_events_stay_as_they_are(body: bytes) -> None:
    assert renamed(body) is body


def test_an_id_that_is_written_with_escapes_is_found() -> None:
    body = body_of().replace(b'"user-7"', b'"\\u0075ser-7"')
    assert is_forgotten(decode(renamed(body)).data.user_id)


@pytest.mark.parametrize(
    "body",
    [
        b'{"specversion":"1.0","type":"songline.song.skipped.v9","data":{"userId":"user-7","by":["user-7"]}}',
        b'{"userId": "user-7", "user-7": 1, "seen": "user-70"',
        b"user-7 pressed play",
    ],
)
def test_what_is_no_event_loses_the_listener_too(body: bytes) -> None:
    after = renamed(body)
    name = NAMES.of_hour(NOON_S)
    assert replaced_in(after.decode(), USER, "") == after.decode()
    assert name.encode() in after
    assert (b"user-70" in after) == (b"user-70" in body)


def test_no_library_has_a_renamed_event() -> None:
    batch = parse_actions(0, [HubRecord(7, NOON, renamed(body_of()))])
    assert not batch.actions
    assert not batch.poison


def test_properties_lose_the_listener() -> None:
    properties = {"x-opt-partition-key": USER, "raw": b"user-7", "x-opt-sequence-number": 7, "other": "user-70"}
    assert renamed_properties(properties, USER, "name") == {
        "x-opt-partition-key": "name",
        "raw": b"name",
        "x-opt-sequence-number": 7,
        "other": "user-70",
    }


@given(st.text("ab-/ ", max_size=12), st.sampled_from(["a", "ab", "a-b"]))
def test_a_word_is_replaced_wherever_it_stands(text: str, user_id: str) -> None:
    after = replaced_in(text, user_id, "!")
    assert replaced_in(after, user_id, "!") == after
    assert after.replace("!", user_id) == text


WORDS = {"userId", "broken", "user", "users", "library", "no", "refused", "as", "before"}
IDS = st.from_regex(re.compile(ID_PATTERN), fullmatch=True).filter(lambda id_: id_ not in WORDS)
NEARBY = st.tuples(st.text("._:-aZ9", max_size=3), st.text("._:-aZ9", max_size=3))
FORMS: tuple[Callable[[str], str], ...] = (
    lambda id_: id_,
    lambda id_: f'{{"userId": "{id_}", "broken',
    lambda id_: f"user={id_};",
    lambda id_: f"/users/{id_}/library",
    lambda id_: f"/users/{quote(id_, safe='')}/library",
    lambda id_: f"'{id_}'",
    lambda id_: f"no user ({id_})",
)


@given(IDS, NEARBY, st.sampled_from(FORMS))
def test_an_id_is_replaced_and_no_longer_one_is(
    user_id: str, more: tuple[str, str], form: Callable[[str], str]
) -> None:
    assert replaced_in(form(user_id), user_id, "!") == form("!").replace("%21", "!")
    longer = f"{more[0]}{user_id}{more[1]}"
    if longer != user_id:
        assert replaced_in(form(longer), user_id, "!") == form(longer)
        assert user_id not in ids_in(form(longer).encode())


@given(IDS, st.sampled_from((".", ":", "")))
def test_an_id_of_a_sentence_may_have_punctuation_behind_it(user_id: str, sign: str) -> None:
    sentence = f"refused {user_id}{sign} as before"
    assert replaced_in(sentence, user_id, "!") == f"refused !{sign} as before"
    assert user_id in ids_in(sentence.encode())


@pytest.mark.parametrize(
    "longer", ["user-7:2", "user-7.smith", "user-7_x", "user-7-x", "a:user-7", "user-7.", "%3Auser-7"]
)
def test_records_of_longer_ids_are_left_alone(longer: str) -> None:
    for body in (f'{{"userId":"{longer}"}}', f"userId={longer}", f"/users/{longer}"):
        assert renamed(body.encode()) == body.encode()


@pytest.mark.parametrize("sign", ["a ", ".", ":"])
def test_a_long_body_that_is_no_event_takes_the_time_of_its_length(sign: str) -> None:
    text = f"{USER} {sign * (300_000 // len(sign))} end"
    began_s = time.process_time()
    assert USER in ids_in(text.encode())
    assert set(ids_in(text.encode())) >= {USER, "end"}
    assert replaced_in(text, USER, "!") == text.replace(USER, "!")
    assert time.process_time() - began_s < 5, "the work rises with the square of the length"
