"""The events of benchmarks: the same for both versions, each of which reads its own."""

import msgspec
import numpy as np
import pytest
from msgspec import json

from bench.acts import acts_in, encode_v1, once_each, plays
from bench.two_workers import assert_applied_once
from songline.schemas.envelope import decode, encode
from songline.schemas.events import SongPlayedV1


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
    assert plays(3, np.array([1, 1, 2]), 10)[1].data.user_id == "user-1"


def test_a_position_that_two_workers_applied_is_found() -> None:
    def root(flushes: int, position: int) -> dict[str, object]:
        return {"shelf": "v1-0", "flushes": flushes, "applied": {"0": position}}

    assert_applied_once([[root(1, 10), root(3, 30)], [root(2, 20)]])
    with pytest.raises(AssertionError):
        assert_applied_once([[root(1, 10)], [root(1, 10)]])
    with pytest.raises(AssertionError):
        assert_applied_once([[root(1, 10)], [root(2, 9)]])
