"""Kafka's record batch, format 2: the little of it that a broker has to understand.

Layout: https://kafka.apache.org/documentation/#recordbatch. The CRC-32C covers everything from `attributes` on, so base
offset and partition leader epoch can be set without touching what the client signed.
"""

import zlib
from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

from crc32c import crc32c

from localcloud.log.errors import InvalidBatchError

HEADER = Struct(">qiibIhiqqqhii")
HEADER_SIZE = HEADER.size  # 61
MAGIC_AT = 16
CRC_AT, CRC_FROM = 17, 21
_INT16 = Struct(">h")
_UINT32 = Struct(">I")

COMPRESSION_MASK = 0x07
GZIP = 1
APPEND_TIME, TRANSACTIONAL, CONTROL = 0x08, 0x10, 0x20
AMQP_HEADERS = 0x4000
"""Set by us, in a bit that Kafka leaves unused: the batch came over AMQP, and so are its headers encoded."""


class BatchHeader(NamedTuple):
    base_offset: int
    batch_length: int
    partition_leader_epoch: int
    magic: int
    crc: int
    attributes: int
    last_offset_delta: int
    base_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    record_count: int

    @property
    def size(self) -> int:
        """Bytes of the whole batch."""
        return self.batch_length + 12

    @property
    def last_offset(self) -> int:
        return self.base_offset + self.last_offset_delta

    @property
    def is_whole(self) -> bool:
        """Whether it has all its records, as it came: compaction takes some. Their offsets are counted then, since a
        sender may write any into a record."""
        return self.record_count == self.last_offset_delta + 1

    @property
    def compression(self) -> int:
        return self.attributes & COMPRESSION_MASK


class Record(NamedTuple):
    """One record inside a batch; `raw` is the whole record as encoded, with its length in front."""

    offset_delta: int
    timestamp_delta: int
    key: bytes | None
    value: bytes | None
    raw: bytes


def header_of(data: bytes | bytearray | memoryview, at: int = 0) -> BatchHeader:
    """The header at `at`; the caller knows that `HEADER_SIZE` bytes are there."""
    return BatchHeader._make(HEADER.unpack_from(data, at))


def check(batch: bytes | memoryview) -> BatchHeader:
    """The header of exactly one intact record batch.

    Raises `InvalidBatchError` when the bytes are anything else: cut off, followed by something, of another format,
    failing their CRC, or with counts that contradict one another.
    """
    if len(batch) < HEADER_SIZE:
        raise InvalidBatchError(f"A record batch has at least {HEADER_SIZE} bytes, these are {len(batch)}.")
    header = header_of(batch)
    if header.magic != 2:
        raise InvalidBatchError(f"Record batches have format 2, this one says {header.magic}.")
    if header.size != len(batch):
        raise InvalidBatchError(f"The batch says it has {header.size} bytes, there are {len(batch)}.")
    if header.record_count < 1 or header.last_offset_delta != header.record_count - 1:
        raise InvalidBatchError(
            f"The batch says {header.record_count} records and a last offset delta of {header.last_offset_delta}; "
            "expected at least one record, and deltas that count them."
        )
    if crc32c(memoryview(batch)[CRC_FROM:]) != header.crc:
        raise InvalidBatchError("The batch fails its CRC: it was damaged on the way.")
    return header


def placed(batch: bytes, base_offset: int) -> bytes:
    """The batch at an offset of the log (leader epoch 0)."""
    return b"".join((base_offset.to_bytes(8), batch[8:12], b"\0\0\0\0", batch[MAGIC_AT:]))


def records(batch: bytes | memoryview) -> Iterator[Record]:
    """The records of a plain or gzip batch. Raises `InvalidBatchError` for another codec and for what doesn't parse."""
    header = header_of(batch)
    body = bytes(memoryview(batch)[HEADER_SIZE : header.size])
    if header.compression == GZIP:
        try:
            body = zlib.decompress(body, wbits=31)
        except zlib.error as error:
            raise InvalidBatchError(f"The batch says gzip, but can't be decompressed: {error}.") from error
    elif header.compression:
        raise InvalidBatchError(f"Codec {header.compression} is not supported; expected none or gzip.")
    at = 0
    try:
        for _ in range(header.record_count):
            record, at = _record(body, at)
            yield record
    except IndexError:
        raise InvalidBatchError(f"The batch ends in the middle of its {header.record_count} records.") from None


def _record(body: bytes, start: int) -> tuple[Record, int]:
    length, at = _varint(body, start)
    end = at + length
    if length < 0 or end > len(body):
        raise IndexError
    at += 1  # attributes, unused
    timestamp_delta, at = _varint(body, at)
    offset_delta, at = _varint(body, at)
    key, at = _bytes(body, at)
    value, at = _bytes(body, at)
    if at > end:
        raise IndexError
    return Record(offset_delta, timestamp_delta, key, value, body[start:end]), end


def _bytes(body: bytes, at: int) -> tuple[bytes | None, int]:
    length, at = _varint(body, at)
    if length < 0:
        return None, at
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
        if shift > 63:
            raise InvalidBatchError("A variable-length number of more than ten bytes.")


def with_records(batch: bytes | memoryview, kept: list[Record]) -> bytes:
    """The batch with only `kept` of its records, uncompressed; offsets, timestamps and last offset stay."""
    old = header_of(batch)
    body = b"".join(record.raw for record in kept)
    return _sealed(
        old._replace(
            batch_length=HEADER_SIZE - 12 + len(body),
            attributes=old.attributes & ~COMPRESSION_MASK,
            record_count=len(kept),
        ),
        body,
    )


def appended_at(batch: bytes, timestamp_ms: int) -> bytes:
    """The batch as a broker leaves it that gives records its own time: all of them carry `timestamp_ms`."""
    header = header_of(batch)
    return _sealed(
        header._replace(attributes=header.attributes | APPEND_TIME, max_timestamp=timestamp_ms), batch[HEADER_SIZE:]
    )


def with_attributes(batch: bytes, attributes: int) -> bytes:
    """The batch with those attributes, too."""
    data = bytearray(batch)
    _INT16.pack_into(data, CRC_FROM, _INT16.unpack_from(data, CRC_FROM)[0] | attributes)
    _UINT32.pack_into(data, CRC_AT, crc32c(memoryview(data)[CRC_FROM:]))
    return bytes(data)


def build(pairs: list[tuple[bytes | None, bytes | None]], timestamp_ms: int) -> bytes:
    """A plain batch of key and value pairs that all carry one timestamp."""
    body = b"".join(_encoded(delta, key, value) for delta, (key, value) in enumerate(pairs))
    last = len(pairs) - 1
    header = BatchHeader(
        0, HEADER_SIZE - 12 + len(body), 0, 2, 0, 0, last, timestamp_ms, timestamp_ms, -1, -1, -1, len(pairs)
    )
    return _sealed(header, body)


def _sealed(header: BatchHeader, body: bytes) -> bytes:
    data = bytearray(HEADER.pack(*header))
    data += body
    _UINT32.pack_into(data, CRC_AT, crc32c(memoryview(data)[CRC_FROM:]))
    return bytes(data)


def _encoded(offset_delta: int, key: bytes | None, value: bytes | None) -> bytes:
    content = b"".join((b"\0\0", _zigzag(offset_delta), _sized(key), _sized(value), b"\0"))
    return _zigzag(len(content)) + content


def _sized(data: bytes | None) -> bytes:
    return b"\x01" if data is None else _zigzag(len(data)) + data


def _zigzag(value: int) -> bytes:
    rest = (value << 1) ^ (value >> 63)
    encoded = bytearray()
    while rest > 0x7F:
        encoded.append(rest & 0x7F | 0x80)
        rest >>= 7
    encoded.append(rest)
    return bytes(encoded)
