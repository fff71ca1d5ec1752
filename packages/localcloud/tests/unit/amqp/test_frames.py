"""Cutting a byte stream into frames, wherever the network cuts it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.amqp.errors import AmqpConnectionError
from localcloud.amqp.frames import AMQP_HEADER, MAX_FRAME_SIZE, Frame, FrameReader, frame

BODIES = st.lists(st.tuples(st.integers(0, 65535), st.binary(max_size=40)), max_size=8)


@given(BODIES, st.lists(st.integers(1, 60), max_size=30))
def test_frames_come_out_as_they_went_in(bodies: list[tuple[int, bytes]], cuts: list[int]) -> None:
    stream = AMQP_HEADER + b"".join(frame(channel, body) for channel, body in bodies)
    reader = FrameReader()
    header, frames, at = None, [], 0
    for cut in [*cuts, len(stream)]:
        reader.feed(stream[at : at + cut])
        at += cut
        header = header or reader.header()
        if header:
            frames += list(reader.frames())
    assert header == AMQP_HEADER
    assert frames == [Frame(0, channel, body) for channel, body in bodies]


def test_an_extended_header_is_skipped() -> None:
    reader = FrameReader()
    reader.feed(b"\x00\x00\x00\x0e\x03\x00\x00\x05\xff\xff\xff\xffhi")
    assert reader.frame() == Frame(0, 5, b"hi")


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x00\x00\x07\x02\x00\x00\x00",
        (MAX_FRAME_SIZE + 1).to_bytes(4) + b"\x02\x00\x00\x00",
        b"\x00\x00\x00\x08\x01\x00\x00\x00",
        b"\x00\x00\x00\x08\x03\x00\x00\x00",
        b"GET / HTTP/1.1\r\n",
    ],
    ids=["too small", "too big", "offset too small", "offset beyond the end", "HTTP"],
)
def test_bytes_that_can_be_no_frame_end_the_connection(data: bytes) -> None:
    reader = FrameReader()
    reader.feed(data)
    with pytest.raises(AmqpConnectionError):
        reader.frame()
