"""Frames: cutting a byte stream into them, and writing them (part 2, section 2.3)."""

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from localcloud.amqp.errors import FRAMING_ERROR, AmqpConnectionError

AMQP_HEADER: Final = b"AMQP\x00\x01\x00\x00"
SASL_HEADER: Final = b"AMQP\x03\x01\x00\x00"
AMQP_FRAME: Final = 0
SASL_FRAME: Final = 1
EMPTY_FRAME: Final = b"\x00\x00\x00\x08\x02\x00\x00\x00"
MAX_FRAME_SIZE: Final = 1_048_576
MIN_MAX_FRAME_SIZE: Final = 512

_HEADER = struct.Struct(">IBBH")


class Frame(NamedTuple):
    kind: int
    channel: int
    body: bytes


class FrameReader:
    """Cuts received bytes into protocol headers and frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._at = 0

    def feed(self, data: bytes) -> None:
        if self._at:
            del self._buffer[: self._at]
            self._at = 0
        self._buffer += data

    def header(self) -> bytes | None:
        """The next eight bytes, None until they are there."""
        if len(self._buffer) - self._at < 8:
            return None
        self._at += 8
        return bytes(self._buffer[self._at - 8 : self._at])

    def frames(self) -> Iterator[Frame]:
        """Every whole frame that is there. Raises AmqpConnectionError when the bytes can't be frames."""
        while (frame := self.frame()) is not None:
            yield frame

    def frame(self) -> Frame | None:
        at = self._at
        buffer = self._buffer
        if len(buffer) - at < 8:
            return None
        size, offset, kind, channel = _HEADER.unpack_from(buffer, at)
        if not 8 <= size <= MAX_FRAME_SIZE:
            raise AmqpConnectionError(
                FRAMING_ERROR, f"a frame of {size} bytes, allowed are 8 to {MAX_FRAME_SIZE}: is this AMQP 1.0?"
            )
        if offset < 2 or offset * 4 > size:
            raise AmqpConnectionError(FRAMING_ERROR, f"data offset {offset} in a frame of {size} bytes")
        if len(buffer) - at < size:
            return None
        self._at = at + size
        with memoryview(buffer) as view:
            return Frame(kind, channel, bytes(view[at + offset * 4 : at + size]))


def frame(channel: int, body: bytes, kind: int = AMQP_FRAME) -> bytes:
    return _HEADER.pack(len(body) + 8, 2, kind, channel) + body
