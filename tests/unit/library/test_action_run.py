"""Runs of actions: what is packed comes back, copies are dropped, and what is no run is named."""

import zlib
from base64 import b64decode, b64encode, urlsafe_b64decode
from itertools import permutations
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.schemas.library.action import IDENTITY, Kind, UserAction, event_mark, merge_actions
from songline.schemas.library.action_run import RunFormatError, count_actions, decode_run, encode_run
from songline.schemas.library.fold import fold_actions

MOMENTS = st.integers(946_684_800_000_000, 4_102_444_800_000_000)
ACTIONS = st.builds(
    UserAction,
    user_id=st.sampled_from(["user-1", "user-2", "u", "name:x"]) | st.text(max_size=8),
    song_id=st.sampled_from(["song-1", "song-2", "", "name:mbid:1"]) | st.text(max_size=8),
    at_us=MOMENTS | st.sampled_from([1_764_000_000_000_000, 1_764_000_000_000_001]),
    mark=st.integers(0, 2**48 - 1) | st.sampled_from([1, 2]),
    kind=st.sampled_from(get_args(Kind)),
    partition=st.integers(0, 2_000) | st.just(0),
    position=st.integers(0, 2**53),
    ms_played=st.integers(0, 86_400_000),
    is_resubmitted=st.booleans(),
    plays=st.just(1) | st.integers(0, 2**31),
    first_us=st.just(0) | MOMENTS,
    import_mark=st.sampled_from([0, 1, 2**48 - 1]),
)
PLAIN = UserAction("user-1", "song-1", 1_764_000_000_000_000, 7, "listen", 2, 41, 180_000)


@given(st.lists(ACTIONS, max_size=40))
def test_what_is_packed_comes_back(actions: list[UserAction]) -> None:
    merged = merge_actions([actions])
    text = encode_run(merged)
    assert decode_run(text) == merged
    assert count_actions(text) == len(merged)
    assert msgspec.json.decode(msgspec.json.encode(text)) == text


@given(st.lists(ACTIONS, max_size=20), st.lists(ACTIONS, max_size=20), st.lists(ACTIONS, max_size=20))
def test_a_merge_is_a_union_of_sets(a: list[UserAction], b: list[UserAction], c: list[UserAction]) -> None:
    merged = merge_actions([a, b, c])
    assert all(merge_actions(parts) == merged for parts in permutations([a, b, c]))
    assert merge_actions([merge_actions([a, b]), merge_actions([b, c]), a]) == merged
    assert {row[:IDENTITY] for row in merged} == {row[:IDENTITY] for row in [*a, *b, *c]}
    assert merged == sorted(merged)


def test_of_copies_the_first_of_the_partition_stays() -> None:
    copy = PLAIN._replace(position=99)
    other = PLAIN._replace(mark=8)
    assert merge_actions([[copy], [other, PLAIN]]) == [PLAIN, other]


def test_a_listen_that_two_imports_brought_has_a_row_of_each() -> None:
    first, second = (PLAIN._replace(kind="imported", import_mark=number, position=number) for number in (8, 9))
    again = first._replace(position=10)
    assert merge_actions([[again, second], [first]]) == [first, second]
    assert decode_run(encode_run([first, second])) == [first, second]
    assert fold_actions([first, second, again]).listens == 1


def test_a_run_of_many_actions_is_small() -> None:
    actions = merge_actions(
        [
            PLAIN._replace(
                user_id=f"user-{number * 7919 % 5000:06}",
                song_id=f"song-{number * 104729 % 1000:05}",
                at_us=PLAIN.at_us + number * 200_000,
                mark=event_mark(str(number)),
                position=number,
            )
            for number in range(600)
        ]
        for _ in range(1)
    )
    assert len(encode_run(actions)) < 26 * len(actions)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda _: "", "format version none"),
        (lambda text: "!" + text[1:], "no base64"),
        (lambda text: b64encode(b"\x02" + b64decode(text)[1:]).decode(), "format version 2"),
        (lambda text: b64encode(b64decode(text)[:-3]).decode(), "damaged"),
        (lambda text: b64encode(b64decode(text)[:9] + b"\x00" + b64decode(text)[10:]).decode(), "damaged"),
        (lambda _: packed(["not", "columns"]), "damaged"),
        (lambda text: packed(broken(text, 7, [0, 1, 1, b"\xff\xff"])), "does not add up"),
        (lambda text: packed(broken(text, 2, [9])), "does not add up"),
    ],
    ids=["empty", "letters", "version", "cut", "changed", "other", "kind", "count"],
)
def test_what_is_no_run_is_named(damage: object, said: str) -> None:
    assert callable(damage)
    with pytest.raises(RunFormatError, match=said):
        decode_run(damage(encode_run([PLAIN, PLAIN._replace(position=42, mark=9)])))


def test_marks_are_those_of_the_first_format() -> None:
    assert event_mark("one").to_bytes(6, "big") == urlsafe_b64decode("K4bY7rCz")


def packed(value: object) -> str:
    return b64encode(b"\x01" + zlib.compress(msgspec.msgpack.encode(value))).decode()


def broken(text: str, column: int, value: object) -> list[object]:
    columns: list[object] = msgspec.msgpack.decode(zlib.decompress(b64decode(text)[1:]))
    columns[column] = value
    return columns
