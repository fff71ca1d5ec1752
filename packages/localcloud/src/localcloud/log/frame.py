"""One frame of a segment: the enqueued time, and a record batch as clients sent it.

A batch has a CRC of all from its attributes on. What stands before that (enqueued time, base offset, length) has a
checksum of its own, in the place of the partition leader epoch, which is 0 for every reader. Frames of earlier versions
have 0 there, and no checksum.
"""

from struct import Struct

from crc32c import crc32c

from localcloud.log.batch import CRC_FROM, HEADER_SIZE, MAGIC_AT, BatchHeader, header_of

ENQUEUED = Struct(">q")
FRAME_MIN = ENQUEUED.size + HEADER_SIZE
_PLACE = Struct(">qqi")  # enqueued time (ms), base offset, batch length
_CHECKSUM = Struct(">I")
_UNSET = bytes(_CHECKSUM.size)


def frame_head(enqueued_ms: int, base_offset: int, batch_length: int) -> bytes:
    """What stands before byte MAGIC_AT of the batch."""
    place = _PLACE.pack(enqueued_ms, base_offset, batch_length)
    return place + _CHECKSUM.pack(crc32c(place) or 1)


def batch_in(head: bytes, tail: bytes | memoryview) -> bytes:
    """The batch of a frame of these two parts, with the leader epoch that readers see."""
    return b"".join((head[ENQUEUED.size : _PLACE.size], _UNSET, tail))


def frame_of(enqueued_ms: int, batch: bytes) -> bytes:
    """The whole frame of a batch that is at its offsets."""
    header = header_of(batch)
    return frame_head(enqueued_ms, header.base_offset, header.batch_length) + batch[MAGIC_AT:]


def head_fault(data: bytes | bytearray, at: int, left: int) -> str:
    """What is wrong with the head of the frame at `at`, in a file that has `left` bytes from there on; else empty.

    The caller knows that FRAME_MIN bytes are there.
    """
    (checksum,) = _CHECKSUM.unpack_from(data, at + _PLACE.size)
    if checksum and (crc32c(memoryview(data)[at : at + _PLACE.size]) or 1) != checksum:
        return "the checksum of its place does not fit"
    header = header_of(data, at + ENQUEUED.size)
    if header.magic != 2:
        return f"its format is {header.magic}, expected 2"
    if header.batch_length < HEADER_SIZE - 12 or ENQUEUED.size + header.size > left:
        return f"its length is {header.batch_length}, and {left} bytes are left"
    if header.last_offset_delta < 0:
        return f"it has {header.last_offset_delta} more records than one"
    return ""


def crc_fits(data: bytes | bytearray, at: int, header: BatchHeader) -> bool:
    """Whether the batch of the frame at `at` is the one that was sent; the caller knows that all of it is there."""
    start = at + ENQUEUED.size
    return crc32c(memoryview(data)[start + CRC_FROM : start + header.size]) == header.crc


def batch_of(data: bytearray, at: int, header: BatchHeader) -> bytes:
    """The batch of the frame at `at`, with the leader epoch that readers see."""
    start = at + ENQUEUED.size
    data[start + 12 : start + MAGIC_AT] = _UNSET
    return bytes(memoryview(data)[start : start + header.size])
