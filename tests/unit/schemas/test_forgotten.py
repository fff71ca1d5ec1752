"""The names of forgotten listeners: one for an hour, none from outside."""

import json
from datetime import UTC, datetime

import pytest

from songline.schemas import examples
from songline.schemas.acceptance import accept, validated
from songline.schemas.envelope import encode
from songline.schemas.errors import ContractViolationError
from songline.schemas.events import SongPlayed
from songline.schemas.forgotten import OUTSIDE_RULE, ForgottenNames, is_forgotten

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
KEY = bytes(range(32))


def test_a_name_is_of_an_hour_or_of_a_song() -> None:
    names = ForgottenNames(KEY)
    noon = int(NOON.timestamp())
    assert names.of_hour(noon) == names.of_hour(noon + 3_599) == ForgottenNames(KEY).of_hour(noon)
    several = {
        names.of_hour(noon),
        names.of_hour(noon - 1),
        names.of_hour(noon + 3_600),
        names.of_song(str(noon // 3_600)),
        names.of_song("song-1"),
        ForgottenNames(bytes(32)).of_hour(noon),
    }
    assert len(several) == 6
    assert all(map(is_forgotten, several))
    assert names.of_hour(-1) != names.of_hour(0)


@pytest.mark.parametrize(
    "user_id", ["forgotten:", "forgotten:bob", "forgotten:" + "A" * 32, "forgotten:" + "a" * 33, "x" + "a" * 32]
)
def test_other_ids_are_listeners(user_id: str) -> None:
    assert not is_forgotten(user_id)


def test_a_key_has_its_size() -> None:
    with pytest.raises(ValueError, match="the key of an erasure has 5 bytes, expected 32"):
        ForgottenNames(b"short")


def test_no_event_from_outside_is_of_a_forgotten_listener() -> None:
    name = ForgottenNames(KEY).of_hour(0)
    body = json.loads(encode(examples.EVENTS[SongPlayed]))
    body["data"]["userId"] = body["partitionkey"] = name
    body["time"] = NOON.isoformat()
    with pytest.raises(ContractViolationError) as caught:
        accept(json.dumps(body).encode(), NOON)
    assert (caught.value.violation.field, caught.value.violation.rule) == ("data.userId", OUTSIDE_RULE)
    event = examples.EVENTS[SongPlayed]
    played = SongPlayed(user_id=name, song_id="song-1")
    with pytest.raises(ContractViolationError):
        validated(type(event)(id="e-1", source="/tests", time=NOON, data=played), NOON)
