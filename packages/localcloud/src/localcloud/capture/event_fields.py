"""Stored events to the fields of Capture's records.

Which system properties the service writes, and what becomes of types that its schema doesn't have, is not documented.
Here a record has what AMQP readers get: the partition key or the Kafka key, the client's own annotations and the fields
of the properties section are system properties; application properties and Kafka headers are properties.
"""

import logging
import struct
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from uuid import UUID

from aiokafka.record.default_records import DefaultRecordBatch

from localcloud.amqp.codec import DecodeError, decode, encode
from localcloud.amqp.message import DELIVERY_ANNOTATIONS, FOOTER, MESSAGE_ANNOTATIONS, PROPERTIES
from localcloud.amqp.types import Decimal32, Decimal64, Decimal128, Timestamp, Value
from localcloud.capture.avro_file import encode_bytes, encode_long
from localcloud.eventhubs.record_headers import (
    BODY,
    FIELDS,
    KAFKA_KEY,
    PARTITION_KEY,
    RESERVED,
    Headers,
    skip_property_headers,
)
from localcloud.log.batch import AMQP_HEADERS, header_of
from localcloud.log.segment import StoredBatch

log = logging.getLogger("localcloud.capture")

_LONG, _DOUBLE, _TEXT, _BYTES, _NULL = (encode_long(branch) for branch in range(5))
_NO_MAP: Final = b"\x00"
_NO_BODY: Final = encode_long(0)
_SOME_BODY: Final = encode_long(1)
_MAX_LONG: Final = 2**63 - 1
_DOUBLE_FORMAT: Final = struct.Struct("<d")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_HIDDEN: Final = frozenset({RESERVED[FOOTER], RESERVED[DELIVERY_ANNOTATIONS]})
"""What belongs to neither kind of properties."""


def encode_records(batch: StoredBatch) -> tuple[int, bytes]:
    """How many events the batch has, and their Avro records one after the other."""
    try:
        return _records(batch)
    except Exception:
        # A batch can be sound outside and not inside. AMQP readers leave it out; here its positions count.
        log.exception("batch at offset %d is unreadable: its events are captured without bodies", batch.base_offset)
        return _empty_records(batch)


def _records(batch: StoredBatch) -> tuple[int, bytes]:
    from_amqp = bool(header_of(batch.data).attributes & AMQP_HEADERS)
    time = _time(batch.enqueued_ms // 1000)
    parts: list[bytes] = []
    count = 0
    for record in DefaultRecordBatch(batch.data):
        count += 1
        offset = record.offset
        digits = b"%d" % offset
        body = record.value
        headers = record.headers
        if from_amqp:
            if not headers:
                maps = b"\x00\x00"
            elif len(headers) == 1 and headers[0][0] == PARTITION_KEY:
                maps = _partition_key_map(headers[0][1]) + _NO_MAP
            else:
                maps, body = _amqp_maps(headers, body)
        else:
            maps = _kafka_maps(record.key, headers)
        parts += (encode_long(offset), encode_long(len(digits)), digits, time, maps)
        if body is None:
            parts.append(_NO_BODY)
        else:
            parts += (_SOME_BODY, encode_long(len(body)), body)
    return count, b"".join(parts)


def _empty_records(batch: StoredBatch) -> tuple[int, bytes]:
    time = _time(batch.enqueued_ms // 1000)
    offsets = range(batch.base_offset, batch.last_offset + 1)
    records = (encode_long(offset) + encode_bytes(b"%d" % offset) + time + b"\x00\x00" + _NO_BODY for offset in offsets)
    return len(offsets), b"".join(records)


@lru_cache(maxsize=4)
def _time(enqueued_s: int) -> bytes:
    """The moment as the service's files have it, to the second: `6/1/2017 12:05:09 AM`."""
    at = datetime.fromtimestamp(enqueued_s, UTC)
    hour, half = at.hour % 12 or 12, "AM" if at.hour < 12 else "PM"
    return encode_bytes(f"{at.month}/{at.day}/{at.year} {hour}:{at.minute:02}:{at.second:02} {half}".encode())


@lru_cache(maxsize=10_000)
def _partition_key_map(encoded: bytes | None) -> bytes:
    """System properties that are a partition key and nothing else."""
    return _map(_partition_key(encoded))


def _partition_key(encoded: bytes | None) -> dict[str, bytes]:
    key = _decoded(encoded)
    return {PARTITION_KEY: _TEXT + encode_bytes(_utf8(key))} if isinstance(key, str) else {}


def _kafka_maps(key: bytes | None, headers: Headers) -> bytes:
    system = {} if key is None else {KAFKA_KEY: _BYTES + encode_bytes(key)}
    own = {name: _NULL if content is None else _BYTES + encode_bytes(content) for name, content in headers}
    return _map(system) + _map(own)


def _amqp_maps(headers: Headers, value: bytes | None) -> tuple[bytes, bytes | None]:
    """Both maps, and the body: the value, None where the event's body is null."""
    system: dict[str, bytes] = {}
    own: dict[str, bytes] = {}
    if headers[0][0] == PARTITION_KEY:
        system |= _partition_key(headers[0][1])
        headers = headers[1:]
    at = 0
    while at < len(headers):
        name, content = headers[at]
        if name == RESERVED[PROPERTIES]:
            system |= _properties(content)
            at = skip_property_headers(headers, at)
            continue
        if name == RESERVED[MESSAGE_ANNOTATIONS]:
            annotations = _decoded(content)
            if isinstance(annotations, dict):
                system |= {str(key): avro_value(each) for key, each in annotations.items() if each is not None}
        elif name != BODY and name not in _HIDDEN:
            own[name] = avro_value(_decoded(content), content)
        at += 1
    return _map(system) + _map(own), value


def _properties(encoded: bytes | None) -> dict[str, bytes]:
    """The fields of a properties section."""
    fields = _decoded(encoded)
    if not isinstance(fields, list):
        return {}
    return {name: avro_value(value) for name, value in zip(FIELDS, fields, strict=False) if value is not None}


def avro_value(value: Value, encoded: bytes | None = None) -> bytes:
    """A value as a branch of Capture's union: long, double, string, bytes or null.

    A boolean is the text `true` or `false`; a timestamp is ISO 8601 in UTC with milliseconds; ids, characters, symbols
    and numbers beyond a long are texts; decimals are their bytes; what is none of these is its AMQP encoding.
    """
    match value:
        case None:
            return _NULL
        case bool():
            return _text("true" if value else "false")
        case Timestamp():
            return _text(_iso(value))
        case int():
            return _LONG + encode_long(value) if -_MAX_LONG - 1 <= value <= _MAX_LONG else _text(str(int(value)))
        case float():
            return _DOUBLE + _DOUBLE_FORMAT.pack(value)
        case str():
            return _text(value)
        case Decimal32() | Decimal64() | Decimal128() | bytes():
            return _BYTES + encode_bytes(bytes(value))
        case UUID():
            return _text(str(value))
    return _BYTES + encode_bytes(encode(value) if encoded is None else encoded)


def _iso(moment: Timestamp) -> str:
    try:
        text = (_EPOCH + timedelta(milliseconds=int(moment))).isoformat(timespec="milliseconds")
    except OverflowError:
        return str(int(moment))
    return text.replace("+00:00", "Z")


def _text(value: str) -> bytes:
    return _TEXT + encode_bytes(_utf8(value))


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _map(values: dict[str, bytes]) -> bytes:
    """An Avro map: one block of encoded values."""
    if not values:
        return _NO_MAP
    entries = b"".join(encode_bytes(_utf8(name)) + value for name, value in values.items())
    return encode_long(len(values)) + entries + b"\x00"


def _decoded(content: bytes | None) -> Value:
    """What the bytes encode; the bytes themselves where that is nothing, or not all of it."""
    if content is None:
        return None
    try:
        value, end = decode(content)
    except DecodeError:
        return content
    return value if end == len(content) else content
