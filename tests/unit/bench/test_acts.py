"""The events of benchmarks: the same for both versions, each of which reads its own."""

from collections import Counter

import msgspec
import numpy as np
import pytest
from msgspec import json

from bench.acts import Listens, acts_in, encode_v1, once_each
from bench.growth import LISTENERS, StoredListens
from bench.two_workers import assert_applied_once
from songline.schemas.envelope import decode, encode
from songline.schemas.events import SongPlayedV1
from songline.schemas.library.action import UserAction
from songline.schemas.library.action_run import encode_run


def test_the_baseline_gets_the_same_plays_in_the_first_version() -> None:
    (event,) = once_each(1)
    old, new = json.decode(encode_v1(event)), json.decode(encode(event))
    assert old.pop("type") == "songline.song.played.v1"
    assert new.pop("type") != "songline.song.played.v1"
    assert old == new
    assert msgspec.convert(old["data"], SongPlayedV1).user_id == event.data.user_id
    assert decode(encode_v1(event)).data == event.data


def test_each_of_the_listeners_acts_once() -> None:
    events = once_each(500)
    assert len({event.data.user_id for event in events}) == acts_in(events) == 500
    first, second, _ = Listens.drawn(np.array([1, 1, 2]), 10).events()
    assert (first.data.user_id, second.data.user_id) == ("user-1", "user-1")
    assert first.id != second.id


def test_a_listen_that_is_stored_twice_or_of_another_song_is_found() -> None:
    log = Listens.drawn(np.array([0, 0, 7, LISTENERS - 1]), 10)
    behind = next(Listens.drawn(np.array([LISTENERS]), 10).events())
    actions = [
        UserAction(event.data.user_id, event.data.song_id, number, number, "listen", 0, number)
        for number, event in enumerate([*log.events(), behind])
    ]

    def stored(runs: list[list[UserAction]]) -> StoredListens:
        found = StoredListens(0, Counter(), Counter())
        found.add({"id": "r", "runs": [encode_run(sorted(run)) for run in runs]})
        return found

    stored([actions[:2], actions[2:]]).assert_are(log)
    for wrong in (
        [actions, actions[:1]],
        [actions[1:]],
        [[action._replace(song_id="another") if action.user_id == "user-0" else action for action in actions]],
    ):
        with pytest.raises(AssertionError):
            stored(wrong).assert_are(log)


def test_a_position_that_two_workers_applied_is_found() -> None:
    def root(flushes: int, position: int) -> dict[str, object]:
        return {"shelf": "v1-0", "flushes": flushes, "applied": {"0": position}}

    assert_applied_once([[root(1, 10), root(3, 30)], [root(2, 20)]])
    with pytest.raises(AssertionError):
        assert_applied_once([[root(1, 10)], [root(1, 10)]])
    with pytest.raises(AssertionError):
        assert_applied_once([[root(1, 10)], [root(2, 9)]])
