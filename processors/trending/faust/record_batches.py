"""Kafka record batches (format 2), read so that no record in them can stop the reader.

aiokafka reads a batch fast, and all of it or nothing: one header key that is not UTF-8 costs every record in it. Here
such a batch is read again without its headers; what can't be read at all costs that batch only.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

from aiokafka.errors import CorruptRecordException, KafkaError
from aiokafka.record.memory_records import MemoryRecords

MAX_UNPACKED_BYTES = 64 * 1024 * 1024
"""A compressed batch that is larger than this when it is unpacked is not read: the service takes 1 MB."""

MAX_TIMESTAMP_MS = 253_402_300_799_000
"""The last second of the year 9999, the end of what a moment can be."""

T = TypeVar("T")

HEADER_BYTES = 61
_COUNT_AT = 57
_LENGTH_AT = 8
_PREFIX_BYTES = 12
_CODEC_AT, _CODEC_BITS = 22, 0x07
_PLAIN, _GZIP = 0, 1
_VARINT_BITS = 63


class UnreadableError(Exception):
    """A record batch whose records can't be told apart; says why."""


class PlainRecord(NamedTuple):
    """A record without its headers. `timestamp` is in Unix ms."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    timestamp_type: int = 0
    checksum: None = None
    headers: tuple[()] = ()


class RecordColumns(NamedTuple):
    """The records of a batch, in columns. `logged_ms` are their timestamps."""

    offsets: Sequence[int]
    logged_ms: Sequence[int]
    bodies: list[bytes]


class RecordBytes:
    """aiokafka's MemoryRecords, which keeps the bytes of the batch that was taken last in `raw`."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._records = MemoryRecords(data)
        self._at = 0
        self.raw = memoryview(b"")

    def size_in_bytes(self) -> int:
        size: int = self._records.size_in_bytes()
        return size

    def has_next(self) -> bool:
        there: bool = self._records.has_next()
        return there

    def next_batch(self) -> Any:
        start = self._at + _LENGTH_AT
        self._at += int.from_bytes(self._data[start : start + 4]) + _PREFIX_BYTES
        self.raw = self._data[start - _LENGTH_AT : self._at]
        return self._records.next_batch()


def columns_of(batch: Any, raw: memoryview) -> tuple[list[int], list[bytes]]:
    """Timestamps and bodies of the records of aiokafka's `batch`, whose bytes are `raw`; raises UnreadableError."""

    # A record goes before the next one is made, since a list of them costs several times as much.
    def columns(records: Iterable[Any]) -> tuple[list[int], list[bytes]]:
        if batch.timestamp_type:
            bodies = [record.value or b"" for record in records]
            return [batch.max_timestamp] * len(bodies), bodies
        logged_ms, bodies = [], []
        for record in records:
            logged_ms.append(record.timestamp)
            bodies.append(record.value or b"")
        return logged_ms, bodies

    return _read(batch, raw, columns)


def records_of(batch: Any, raw: memoryview) -> Sequence[Any]:
    """The records of aiokafka's `batch`, whose bytes are `raw`; raises UnreadableError."""
    return _read(batch, raw, list)


def _read(batch: Any, raw: memoryview, take: Callable[[Iterable[Any]], T]) -> T:
    """What `take` makes of the records of a batch, or of them without headers; raises UnreadableError."""
    if batch.compression_type not in (_PLAIN, _GZIP):
        # Event Hubs takes gzip only. aiokafka unpacks others where some library is installed, to any size.
        raise UnreadableError(f"compression {batch.compression_type}: expected none or gzip")
    if batch.compression_type == _GZIP:
        # aiokafka would unpack it again, to any size, and fail on what stands behind it.
        plain = _as_plain(raw)
        batch, raw = type(batch)(plain), memoryview(plain)
    try:
        return take(batch)
    except (KafkaError, UnicodeError, ValueError, IndexError, OverflowError, MemoryError):
        return take(_without_headers(batch, bytes(raw[HEADER_BYTES:]), raw))


def is_intact(batch: Any) -> bool:
    """Whether the batch is as the hub has it."""
    intact: bool = batch.validate_crc()
    return intact


def next_batch(records: Any) -> Any:
    """The next of aiokafka's batches, None where the bytes hold no batch."""
    try:
        return records.next_batch()
    except CorruptRecordException:
        return None


def _without_headers(batch: Any, body: bytes, raw: memoryview) -> Iterator[PlainRecord]:
    at = 0
    try:
        for _ in range(int.from_bytes(raw[_COUNT_AT : _COUNT_AT + 4])):
            length, at = _varint(body, at)
            end = at + length
            if length < 0 or end > len(body):
                raise UnreadableError("a record is longer than its batch")
            timestamp, place = _varint(body, at + 1)
            delta, place = _varint(body, place)
            key, place = _bytes(body, place, end)
            value, place = _bytes(body, place, end)
            logged = batch.max_timestamp if batch.timestamp_type else batch.first_timestamp + timestamp
            yield PlainRecord(batch.base_offset + delta, logged, key, value)
            at = end
    except IndexError:
        raise UnreadableError("the batch ends in the middle of a record") from None


def _bytes(body: bytes, at: int, end: int) -> tuple[bytes | None, int]:
    length, at = _varint(body, at)
    if length < 0:
        return None, at
    if at + length > end:
        raise UnreadableError("a field is longer than its record")
    return body[at : at + length], at + length


def _varint(body: bytes, at: int) -> tuple[int, int]:
    shift = value = 0
    while True:
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at
        shift += 7
        if shift > _VARINT_BITS:
            raise UnreadableError("a number of more than ten bytes")


def _as_plain(raw: memoryview) -> bytes:
    """The batch with its records unpacked. Its header says neither its size nor its checksum any more."""
    header = bytearray(raw[:HEADER_BYTES])
    header[_CODEC_AT] &= ~_CODEC_BITS
    return bytes(header) + _unpacked(raw)


def _unpacked(raw: memoryview) -> bytes:
    """Its records. What stands behind the end of the gzip stream is nothing, as the hub has it."""
    unpack = zlib.decompressobj(wbits=31)
    try:
        body = unpack.decompress(raw[HEADER_BYTES:], MAX_UNPACKED_BYTES)
    except zlib.error as error:
        raise UnreadableError(f"gzip: {error}") from None
    if not unpack.eof:
        raise UnreadableError(f"gzip: cut off, or more than {MAX_UNPACKED_BYTES} bytes when it is unpacked")
    return body
