"""An Avro object container file, taken apart into its header and blocks. Pure.

Source: the specification of Avro 1.11, "Object Container Files". The frames are read here rather than by fastavro, so
that a file which is cut or corrupt is known by its block: fastavro takes a file that ends within the first number of a
block for one that ends before it, and does not check the checksum of snappy.
"""

import zlib
from collections.abc import Callable
from typing import Any

import cramjam
import fastavro
from msgspec import Struct

from songline.schemas.decoding import Decoder, read_text
from songline.schemas.errors import PoisonError

MAGIC = b"Obj\x01"
SYNC_BYTES = 16
MAX_BLOCK_BYTES = 1 << 28
"""A block of more is taken for a damaged one: memory is bounded by it."""

_schemas: Decoder[Any] = Decoder(Any)
_LONGEST_NUMBER = 10


class BlockError(Exception):
    """A part of a file is not what Avro says; says why."""


class AvroHeader(Struct, frozen=True):
    """The header of a file: the schema of its records, as fastavro has it parsed, its codec, what ends each block, and
    how many bytes the header takes."""

    schema: Any
    codec: str
    sync: bytes
    size: int


class AvroBlock(Struct, frozen=True):
    """A block: how many records it says it has, their bytes as the codec left them, and how many bytes of the file the
    whole block takes."""

    count: int
    packed: bytes
    size: int


def read_header(data: bytes) -> AvroHeader | None:
    """The header at the beginning of `data`, None where it does not end within it. Raises BlockError."""
    if not data.startswith(MAGIC[: len(data)]):
        raise BlockError(f"it begins with {data[:4]!r}, an Avro file with {MAGIC!r}")
    try:
        at, metadata = _read_metadata(data, len(MAGIC))
    except _CutError:
        return None
    if at + SYNC_BYTES > len(data):
        return None
    try:
        schema = fastavro.parse_schema(_schemas.decode(metadata.get("avro.schema", b"")))
        codec = read_text(metadata.get("avro.codec", b"null"))
    except Exception as error:  # noqa: BLE001  # whatever the bytes of others make fastavro raise
        raise BlockError(f"its schema can't be read: {_words(error)}") from None
    if codec not in _UNPACK:
        raise BlockError(f"its codec is {codec!r}, expected one of {', '.join(_UNPACK)}")
    return AvroHeader(schema, codec, data[at : at + SYNC_BYTES], at + SYNC_BYTES)


def read_block(header: AvroHeader, data: bytes | bytearray, at: int = 0) -> AvroBlock | None:
    """The block at `at`, None where it does not end within `data`. Raises BlockError."""
    try:
        start, count = _read_number(data, at)
        start, size = _read_number(data, start)
    except _CutError:
        return None
    if count < 0 or not 0 <= size <= MAX_BLOCK_BYTES:
        raise BlockError(f"it says that it has {count} records in {size} bytes")
    end = start + size
    if end + SYNC_BYTES > len(data):
        return None
    if data[end : end + SYNC_BYTES] != header.sync:
        raise BlockError("it does not end with the file's sync marker")
    return AvroBlock(count, bytes(data[start:end]), end + SYNC_BYTES - at)


def unpack(header: AvroHeader, block: AvroBlock) -> bytes:
    """The records' bytes. Raises BlockError."""
    try:
        return _UNPACK[header.codec](block.packed)
    except BlockError:
        raise
    except Exception as error:  # noqa: BLE001  # cramjam and zlib have errors of their own
        raise BlockError(f"{header.codec} can't unpack it: {_words(error)}") from None


def write_number(number: int) -> bytes:
    """A count of zero or more as Avro's zigzag variable-length number."""
    rest, made = number << 1, bytearray()
    while rest > 0x7F:
        made.append(rest & 0x7F | 0x80)
        rest >>= 7
    made.append(rest)
    return bytes(made)


class _CutError(Exception):
    """The data ends too soon."""


def _read_number(data: bytes | bytearray, at: int) -> tuple[int, int]:
    """Where the number at `at` ends, and the number."""
    value = shift = 0
    for place in range(at, at + _LONGEST_NUMBER):
        if place >= len(data):
            raise _CutError
        byte = data[place]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return place + 1, (value >> 1) ^ -(value & 1)
        shift += 7
    raise BlockError("a number in it does not end")


def _read_metadata(data: bytes, at: int) -> tuple[int, dict[str, bytes]]:
    found: dict[str, bytes] = {}
    while True:
        at, count = _read_number(data, at)
        if count == 0:
            return at, found
        if count < 0:
            at, _ = _read_number(data, at)
        for _ in range(abs(count)):
            at, key = _read_bytes(data, at)
            at, value = _read_bytes(data, at)
            found[key.decode("utf-8", "replace")] = value


def _read_bytes(data: bytes, at: int) -> tuple[int, bytes]:
    at, size = _read_number(data, at)
    if not 0 <= size <= MAX_BLOCK_BYTES:
        raise BlockError(f"its header has {size} bytes in one place")
    if at + size > len(data):
        raise _CutError
    return at + size, data[at : at + size]


def _inflate(packed: bytes) -> bytes:
    # Raw deflate: no header of zlib's.
    unpacking = zlib.decompressobj(-15)
    made = unpacking.decompress(packed, MAX_BLOCK_BYTES)
    if unpacking.unconsumed_tail or len(made) >= MAX_BLOCK_BYTES:
        raise BlockError(f"deflate unpacks it to more than {MAX_BLOCK_BYTES} bytes")
    if not unpacking.eof:
        raise BlockError("deflate can't unpack it: its end is missing")
    return made


def _unsnap(packed: bytes) -> bytes:
    if len(packed) < 4:
        raise BlockError("snappy can't unpack it: its checksum is missing")
    size = cramjam.snappy.decompress_raw_len(packed[:-4])
    if size > MAX_BLOCK_BYTES:
        raise BlockError(f"snappy says that it unpacks to {size} bytes")
    made = bytes(cramjam.snappy.decompress_raw(packed[:-4]))
    if zlib.crc32(made) != int.from_bytes(packed[-4:], "big"):
        raise BlockError("its checksum is another one")
    return made


_UNPACK: dict[str, Callable[[bytes], bytes]] = {"null": bytes, "deflate": _inflate, "snappy": _unsnap}


def _words(error: Exception) -> str:
    return error.detail if isinstance(error, PoisonError) else f"{type(error).__name__}: {error}"
