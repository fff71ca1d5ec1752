"""Files that are derived from what is saved elsewhere, and are never needed: how each begins, with a header in a frame.

Whoever can't use such a file reads what it was made of.
"""

import struct
import zlib
from typing import TypeVar

import msgspec
from msgspec import Struct

from songline.schemas.decoding import MsgpackDecoder
from songline.schemas.errors import PoisonError

T = TypeVar("T")

FRAME = struct.Struct("<4sII")
"""What kind of file it is, and of the header behind it its length and its CRC-32."""
MAX_HEADER_BYTES = 1 << 26


class BrokenFileError(Exception):
    """The bytes of a derived file are not those that were written."""


def encode_header(magic: bytes, header: Struct) -> bytes:
    """The bytes with which the file begins."""
    body = _encode(header)
    return FRAME.pack(magic, len(body), zlib.crc32(body)) + body


def header_size(magic: bytes, begin: bytes) -> int:
    """How many bytes the header has, by the first ones of the file. Raises BrokenFileError."""
    if len(begin) < FRAME.size or begin[: len(magic)] != magic:
        raise BrokenFileError(f"it begins with {begin[: len(magic)]!r}, expected {magic!r}")
    _, length, _ = FRAME.unpack_from(begin)
    if length > MAX_HEADER_BYTES:
        raise BrokenFileError(f"its header has {length} bytes, expected at most {MAX_HEADER_BYTES}")
    return FRAME.size + int(length)


def decode_header(magic: bytes, begin: bytes, decoder: MsgpackDecoder[T]) -> T:
    """The header of a file that begins with these bytes. Raises BrokenFileError."""
    size = header_size(magic, begin)
    _, _, checksum = FRAME.unpack_from(begin)
    body = begin[FRAME.size : size]
    if zlib.crc32(body) != checksum:
        raise BrokenFileError(f"the checksum of its header is {zlib.crc32(body):#x}, expected {checksum:#x}")
    try:
        return decoder.decode(body)
    except PoisonError as why:
        raise BrokenFileError(why.detail) from why


_encode = msgspec.msgpack.Encoder().encode
