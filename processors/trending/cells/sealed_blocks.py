"""The bytes of a sealed hour: blocks of chunks, each chunk in a frame that says its length and checksum."""

import struct
import zlib
from collections.abc import Iterable, Iterator

from msgspec import Struct

MAGIC = b"slc1"
HEADER = struct.Struct("<4sII")
"""MAGIC, and of the chunk behind it its length and its CRC-32."""

MAX_CHUNK_BYTES = 1_048_576
"""No chunk was ever larger, since it came from a hub."""


class BadFrame(Struct, frozen=True):
    """Bytes of a block that are no chunk: at which byte of the block, and why."""

    at: int
    why: str


def pack_block(chunks: Iterable[bytes]) -> bytes:
    """The chunks as one block."""
    return b"".join(HEADER.pack(MAGIC, len(chunk), zlib.crc32(chunk)) + chunk for chunk in chunks)


def unpack_block(block: bytes) -> Iterator[bytes | BadFrame]:
    """The chunks of a block in their order. A chunk whose checksum differs is passed over; where no frame begins, so is
    the rest of the block."""
    at = 0
    while at < len(block):
        head = block[at : at + HEADER.size]
        magic, length, checksum = HEADER.unpack(head) if len(head) == HEADER.size else (head[:4], 0, 0)
        end = at + HEADER.size + length
        if magic != MAGIC or length > MAX_CHUNK_BYTES or end > len(block) or len(head) < HEADER.size:
            yield BadFrame(at, f"no frame begins here, {len(block) - at} bytes are passed over")
            return
        chunk = block[at + HEADER.size : end]
        if zlib.crc32(chunk) == checksum:
            yield chunk
        else:
            yield BadFrame(at, f"the checksum of {length} bytes is {zlib.crc32(chunk):#x}, expected {checksum:#x}")
        at = end


def is_intact(blocks: bytes) -> bool:
    """Whether nothing would be passed over in a block, or in several behind one another."""
    return not any(isinstance(one, BadFrame) for one in unpack_block(blocks))
