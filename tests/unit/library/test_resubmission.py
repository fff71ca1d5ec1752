"""Events that are sent again after they had been parked: each counts once, and undoes nothing that came after it."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from songline.processors.library.actions import parse_actions
from songline.processors.runtime.hub_record import HubRecord
from songline.schemas.envelope import Event, decode, encode
from songline.schemas.events import Payload, SongLiked, SongPlayed, SongUnliked
from songline.schemas.library.action import UserAction
from songline.schemas.library.fold import fold_actions

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
PLAYED = SongPlayed(user_id="user-7", song_id="song-1", played_ms=40_000, duration_ms=200_000, region="DE")
LIKED = SongLiked(user_id="user-7", song_id="song-1")
UNLIKED = SongUnliked(user_id="user-7", song_id="song-1")


def event(data: Payload, event_id: str, minute: int = 0) -> bytes:
    return encode(Event(id=event_id, source="/tests", time=NOON + timedelta(minutes=minute), data=data))


def again(body: bytes, position: int, readers: object = "library,catalog") -> bytes:
    extensions = {"resubmitof": f"music-events:1:{position}", "resubmitfor": readers}
    return json.dumps({**json.loads(body), **extensions}).encode()


class Library:
    """The library of user-7, told of partition 1."""

    def __init__(self) -> None:
        self._actions: list[UserAction] = []
        self._next = 0

    def tell(self, *bodies: bytes) -> None:
        records = [HubRecord(number, NOON + timedelta(hours=1), body) for number, body in enumerate(bodies, self._next)]
        self._next += len(bodies)
        parsed = parse_actions(1, records)
        assert not parsed.poison
        self._actions += parsed.actions

    @property
    def listens(self) -> int:
        return fold_actions(self._actions).listens

    @property
    def liked(self) -> bool:
        return fold_actions(self._actions).liked == 1


@pytest.mark.parametrize("between", [0, 200])
def test_a_play_counts_once_however_often_it_is_sent_again(between: int) -> None:
    library = Library()
    once = again(event(PLAYED, "parked"), 17)
    library.tell(once)
    library.tell(*(event(PLAYED, f"other-{number}") for number in range(between)))
    library.tell(once, once)
    assert library.listens == between + 1


def test_an_event_that_was_counted_and_is_sent_again_is_not_counted_again() -> None:
    library = Library()
    library.tell(event(PLAYED, "counted"), again(event(PLAYED, "counted"), 0))
    assert library.listens == 1


def test_it_is_for_the_readers_that_are_named() -> None:
    library = Library()
    library.tell(again(event(PLAYED, "a"), 1, "trending"), again(event(PLAYED, "b"), 2, " catalog, trending "))
    assert library.listens == 0
    library.tell(again(event(PLAYED, "c"), 3, ""), again(event(PLAYED, "d"), 4, "trending,library"))
    assert library.listens == 2


@pytest.mark.parametrize("readers", [5, None, ["trending"], {"a": 1}])
def test_extensions_of_another_type_say_nothing(readers: object) -> None:
    library = Library()
    library.tell(again(event(PLAYED, "a"), 1, readers))
    strange = json.dumps({**json.loads(event(PLAYED, "b")), "resubmitof": readers, "resubmitfor": "trending"})
    library.tell(strange.encode())
    assert library.listens == 2


@pytest.mark.parametrize(("sent_again_minute", "liked"), [(1, False), (3, True)])
def test_a_like_applies_by_its_own_time(sent_again_minute: int, liked: bool) -> None:
    library = Library()
    library.tell(event(UNLIKED, "later", minute=2), again(event(LIKED, "parked", minute=sent_again_minute), 9))
    assert library.liked == liked
    # What comes in order stands as ever.
    library.tell(event(UNLIKED, "last", minute=1))
    assert not library.liked


def test_who_sends_an_event_does_not_resubmit_it() -> None:
    body = again(event(PLAYED, "a"), 1)
    assert decode(body).resubmit_of == "music-events:1:1"
    assert b"resubmit" not in encode(decode(body))
