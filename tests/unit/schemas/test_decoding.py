import json
import time
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.schemas.decoding import (
    MAX_DEPTH,
    Decoder,
    MsgpackDecoder,
    convert,
    excerpt,
    is_plain,
    read_text,
)
from songline.schemas.errors import PoisonError
from songline.schemas.events import SongPlayed

GOOD = b'{"userId":"ana","songId":"s","playedMs":1,"durationMs":2,"region":"DE"}'
played = Decoder(SongPlayed)


def nested(depth: int) -> bytes:
    return GOOD[:-1] + b',"more":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


@pytest.mark.parametrize("body", [GOOD, memoryview(GOOD), bytearray(GOOD), GOOD.decode()])
def test_what_holds_the_bytes_is_of_no_matter(body: Any) -> None:
    assert played.decode(body).user_id == "ana"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (None, "no body"),
        (7, "no body"),
        (memoryview(GOOD)[::2], "Input data|JSON|truncated"),
        (b"", "truncated"),
        (GOOD[:-5], "truncated"),
        (GOOD.replace(b"ana", b"\xff"), "not UTF-8.*ff"),
        (GOOD.replace(b"ana", b"\xc3"), "not UTF-8"),
        (GOOD.replace(b"ana", b"\xed\xa0\x80"), "not UTF-8"),
        (GOOD.replace(b"ana", b"\\ud800"), "surrogate|truncated|JSON"),
        (GOOD.decode().replace("ana", "\ud800"), "not UTF-8: half of a surrogate pair"),
        (GOOD[:-1] + b',"more":"\xff"}', "not UTF-8"),
        (GOOD[:-1] + b',"\xff":1}', "not UTF-8"),
        (b"\xef\xbb\xbf" + GOOD, "JSON"),
        (GOOD.decode().encode("utf-16"), "not UTF-8|JSON"),
        (GOOD.replace(b'"playedMs":1', b'"playedMs":' + b"9" * 5000), "64 bits"),
        (GOOD.replace(b'"playedMs":1', b'"playedMs":NaN'), "JSON"),
        (nested(MAX_DEPTH + 1), f"nested more than {MAX_DEPTH} deep"),
        (nested(100_000), f"nested more than {MAX_DEPTH} deep"),
        (b"[" * 1_000_000, f"nested more than {MAX_DEPTH} deep"),
    ],
)
def test_each_fault_is_poison_with_its_reason(body: Any, why: str) -> None:
    with pytest.raises(PoisonError, match=why) as caught:
        played.decode(body)
    assert caught.value.reason == "not-an-event"


def test_brackets_in_a_string_are_no_depth() -> None:
    title = json.dumps("[{" * 1000 + '\\"').encode()
    body = nested(MAX_DEPTH)[:-1] + b',"title":' + title + b"}"
    assert played.decode(body).song_id == "s"
    assert is_plain([body])


@pytest.mark.parametrize("body", [b'"[\\' * 300_000, b'"[' + b"\\" * 900_000, b'["' * 400_000])
def test_the_depth_is_measured_in_linear_time(body: bytes) -> None:
    began = time.process_time()
    with pytest.raises(PoisonError):
        played.decode(body)
    assert time.process_time() - began < 2


def test_a_stack_that_is_deep_already_reads_the_same() -> None:
    def from_below(frames: int) -> SongPlayed:
        return from_below(frames - 1) if frames else played.decode(nested(MAX_DEPTH))

    assert from_below(300).user_id == "ana"


@given(st.lists(st.binary(max_size=40).map(lambda dirt: GOOD[:-1] + b',"x":"' + dirt + b'"}'), max_size=5))
def test_plain_bodies_decode_alike_by_the_raw_function(bodies: list[bytes]) -> None:
    if not is_plain(bodies):
        return
    for body in bodies:
        try:
            expected = played.raw(body)
        except msgspec.MsgspecError:
            with pytest.raises(PoisonError):
                played.decode(body)
        else:
            assert played.decode(body) == expected


def test_one_body_that_is_not_plain_makes_the_batch_so() -> None:
    assert is_plain([])
    assert is_plain([GOOD, "…".encode()])
    assert not is_plain([GOOD, GOOD.replace(b"ana", b"\xff"), GOOD])
    assert not is_plain([GOOD, nested(MAX_DEPTH + 1)])
    assert not is_plain([GOOD, None])  # type: ignore[list-item]


@given(st.binary() | st.binary().map(lambda dirt: msgspec.msgpack.encode(["song", 1, {"k": 2.5}]) + dirt))
def test_messagepack_is_read_or_is_poison(body: bytes) -> None:
    decoder: MsgpackDecoder[tuple[str, int, dict[str, float]]] = MsgpackDecoder(tuple[str, int, dict[str, float]])
    with suppress(PoisonError):
        assert isinstance(decoder.decode(body), tuple)


@pytest.mark.parametrize(
    "body", [None, b"\xa3\xff\xff\xff", b"\x91" * 100_000, b"\xdd\xff\xff\xff\xff", b"\x81\x80\x01"]
)
def test_messagepack_faults_are_poison(body: Any) -> None:
    decoder: MsgpackDecoder[Any] = MsgpackDecoder(Any)
    with pytest.raises(PoisonError):
        decoder.decode(body)


@pytest.mark.parametrize("value", [None, [], 7, {"userId": "ana"}, {"userId": ["x"]}, {1: 2}, float("nan")])
def test_a_document_of_another_shape_is_poison(value: object) -> None:
    with pytest.raises(PoisonError) as caught:
        convert(value, SongPlayed)
    assert caught.value.reason == "broken-contract"


def test_text_is_utf_8() -> None:
    assert read_text("ü".encode()) == "ü"
    with pytest.raises(PoisonError, match="not UTF-8"):
        read_text(b"\xfc")


@given(st.binary() | st.none() | st.text(st.characters()))
def test_an_excerpt_is_printable_and_short(body: object) -> None:
    shown = excerpt(body, 30)
    assert len(shown) <= 30
    assert shown.isprintable()
    shown.encode()
