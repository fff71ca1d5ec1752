"""AMQP events to Kafka records.

A record's value is the event's body, when that is one data section. Its key is null, as on Azure, but for compacted
hubs: these go by the partition key. For the headers see `record_headers`.
"""

import struct
from collections.abc import Iterable
from typing import Final

from aiokafka.record.default_records import DefaultRecordBatchBuilder

from localcloud.amqp.codec import DecodeError, decode, encode
from localcloud.amqp.message import (
    APPLICATION_PROPERTIES,
    DATA,
    DELIVERY_ANNOTATIONS,
    FOOTER,
    MESSAGE_ANNOTATIONS,
    PROPERTIES,
    SEQUENCE,
    VALUE,
    sections,
)
from localcloud.amqp.types import Map, Symbol
from localcloud.eventhubs.record_headers import (
    BODY,
    KAFKA_KEY,
    PARTITION_KEY,
    RESERVED,
    Headers,
    Record,
    is_short_ascii,
    property_headers,
)
from localcloud.log.batch import AMQP_HEADERS, with_attributes

BATCH_FORMAT: Final = 0x80013700

_Parsed = tuple[bytes | None, bytes | None, Headers]
"""Partition key as its header has it, value, headers but for the one of the partition key."""

# Set by the service on the way out; a client that sends them on, say from another hub, means nothing by it.
_OURS: Final = frozenset({PARTITION_KEY, KAFKA_KEY, "x-opt-sequence-number", "x-opt-offset", "x-opt-enqueued-time"})
_U32: Final = struct.Struct(">I")
_NULL: Final = b"\x40"
_EMPTY_LIST: Final = b"\x45"
_DATA: Final = b"\x00\x53\x75"
_MAX_BATCH: Final = 2**31 - 1
# Annotations in front of the string of a partition key that is all they hold. The byte between is their size.
_ANNOTATIONS: Final = b"\x00\x53\x72\xc1"
_ONE_KEY: Final = b"\x02" + encode(Symbol(PARTITION_KEY))
_KEY_AT: Final = len(_ANNOTATIONS) + 1 + len(_ONE_KEY)


def records_of(payload: bytes, message_format: int, *, compacted: bool = False) -> tuple[str | None, list[Record]]:
    """The partition key to route by, and the records of one delivery: a single event, or a batch of them.

    In a `compacted` hub the partition key is the record's key, too. Raises DecodeError when any of it is malformed: a
    batch is stored whole or not at all.
    """
    if message_format == BATCH_FORMAT:
        routing, events = _batch(payload)
    else:
        event = _event(payload, 0, len(payload))[0]
        routing, events = event[0], [event]
    return None if routing is None else _text(routing), _records(events, routing, compacted)


def _records(events: list[_Parsed], routing: bytes | None, compacted: bool) -> list[Record]:
    """With the header of their partition keys; `routing` is the key of those that have none of their own."""
    records: list[Record] = []
    for own, value, headers in events:
        key = routing if own is None else own
        if key is None:
            # The first header is read as the partition key: a property of that name must not be it.
            named = bool(headers) and headers[0][0] == PARTITION_KEY
            records.append((None, value, [(PARTITION_KEY, None), *headers] if named else headers))
        else:
            records.append((_text(key).encode() if compacted else None, value, [(PARTITION_KEY, key), *headers]))
    return records


def _text(encoded: bytes) -> str:
    key, _ = decode(encoded)
    assert isinstance(key, str)
    return key


def _batch(payload: bytes) -> tuple[bytes | None, list[_Parsed]]:
    """A batch is a message whose data sections each hold one encoded event.

    Events of a batch mostly begin with the same bytes, but for the partition key (the same properties, or none), and
    end with one data section; so what the beginning means is worked out once and then recognized.
    """
    routing, at = _head(payload)
    known: bytes | None = b""  # what stood between the key, where that was recognized, and the data
    known_key: bytes | None = None
    known_is_keyed = False
    headers: Headers = []
    events: list[_Parsed] = []
    size = len(payload)
    while payload.startswith(_DATA, at):
        start, at = _binary(payload, at + 3, size)
        key, rest = _recognized_key(payload, start)
        is_keyed = key is not None
        if known is not None and payload.startswith(known, rest) and (is_keyed is known_is_keyed or not known):
            body = rest + len(known)
            if payload.startswith(_DATA, body) and body + 4 < at:
                first, last = _binary(payload, body + 3, at)
                if last == at:
                    events.append((key if is_keyed else known_key, payload[first:at], headers))
                    continue
        event, length = _event(payload, start, at)
        own, _, headers = event
        known_key, known_is_keyed = None if is_keyed else own, is_keyed
        known = None if length is None else payload[rest : start + length]
        events.append(event)
    if any(code != FOOTER for code, _, _ in sections(payload[at:])):
        raise DecodeError("a batch has nothing but data sections behind its annotations")
    return routing, events


def _recognized_key(payload: bytes, start: int) -> tuple[bytes | None, int]:
    """The partition key, encoded, of an event that begins with annotations of nothing else, and where these end.

    None and `start` for other events. These may have a key, too: only a short string of ASCII is recognized.
    """
    if payload.startswith(_ANNOTATIONS, start) and payload.startswith(_ONE_KEY, start + 5):
        end = start + 5 + payload[start + 4]  # the size counts the bytes behind it
        key = payload[start + _KEY_AT : end]
        if is_short_ascii(key):
            return key, end
    return None, start


def _head(payload: bytes) -> tuple[bytes | None, int]:
    """The partition key of a batch, and where its data begin."""
    key: bytes | None = None
    at = 0
    for code, start, end in sections(payload):
        if code in (DATA, SEQUENCE, VALUE, FOOTER):
            break
        if code == MESSAGE_ANNOTATIONS:
            key, _ = _annotations(payload, start)
        at = end
    return key, at


def _binary(payload: bytes, at: int, end: int) -> tuple[int, int]:
    """Where the bytes of the binary at `at` start and end; they may not reach beyond `end`."""
    code = payload[at] if at + 1 < end else 0
    if code == 0xA0:
        start = at + 2
        last = start + payload[at + 1]
    elif code == 0xB0 and at + 5 <= end:
        start = at + 5
        last = start + _U32.unpack_from(payload, at + 1)[0]
    else:
        raise DecodeError(f"a data section holds a binary, this one starts with 0x{code:02x}")
    if last > end:
        raise DecodeError(f"the data section would end at byte {last} of {end}")
    return start, last


def _event(payload: bytes, start: int, end: int) -> tuple[_Parsed, int | None]:
    """The event in payload[start:end].

    With it, the length of what comes before the body, when that is one data section with nothing behind it.
    """
    event = payload[start:end]
    key: bytes | None = None
    headers: Headers = []
    bodies: list[tuple[int, int, int]] = []
    at = first_body = 0
    for code, first, last in sections(event):
        if code == MESSAGE_ANNOTATIONS:
            key, rest = _annotations(event, first)
            if rest:
                headers.append((RESERVED[code], encode(rest)))
        elif code == APPLICATION_PROPERTIES:
            headers += _application_properties(event, first, last)
        elif code == PROPERTIES:
            _require(event, first, list)
            headers += property_headers(event[first:last])
        elif code == FOOTER or (code == DELIVERY_ANNOTATIONS and bodies):
            _require(event, first, dict)
            headers.append((RESERVED[code], event[first:last]))
        elif code in (DATA, SEQUENCE, VALUE):
            if code != DATA:
                _require(event, first, list if code == SEQUENCE else object)
            elif event[first:last] == _NULL:
                pass  # what the JavaScript client makes of a body that is null
            elif _binary(event, first, last)[1] != last:
                raise DecodeError("a data section holds nothing but a binary")
            if not bodies:
                first_body = first
            bodies.append((code, at, last))
        at = last
    if not bodies:
        return (key, None, headers), None
    if len(bodies) == 1 and bodies[0][0] == DATA:
        code, at, last = bodies[0]
        if event[first_body:last] == _NULL:
            return (key, None, [*headers, (BODY, _EMPTY_LIST)]), None
        start = _binary(event, first_body, last)[0]
        return (key, event[start:last], headers), at if last == len(event) else None
    headers.append((BODY, _EMPTY_LIST))
    return (key, event[bodies[0][1] : bodies[-1][2]], headers), None


def _require(event: bytes, at: int, kind: type) -> None:
    value, _ = decode(event, at)
    if not isinstance(value, kind):
        raise DecodeError(f"a {type(value).__name__} where a {kind.__name__} belongs")


def _annotations(event: bytes, at: int) -> tuple[bytes | None, Map]:
    """The partition key, encoded, and the annotations that are the client's own."""
    annotations, _ = decode(event, at)
    if not isinstance(annotations, dict):
        raise DecodeError(f"message annotations are a map, not a {type(annotations).__name__}")
    key = annotations.get(PARTITION_KEY)
    rest = {name: value for name, value in annotations.items() if name not in _OURS}
    return encode(str(key)) if isinstance(key, str) else None, rest


def _application_properties(event: bytes, at: int, end: int) -> Headers:
    """A header for each, with the value's bytes as they came."""
    wide = event[at] == 0xD1
    if not wide and event[at] != 0xC1:
        raise DecodeError(f"application properties are a map, not 0x{event[at]:02x}")
    head = at + (9 if wide else 3)
    if head > end:
        raise DecodeError("the application properties are cut off")
    count = _U32.unpack_from(event, at + 5)[0] if wide else event[at + 2]
    headers: Headers = []
    at = head
    while at < end:
        name, start = decode(event, at)
        if not isinstance(name, str):
            raise DecodeError(f"an application property's name is a string, not a {type(name).__name__}")
        _, at = decode(event, start)
        headers.append((name, event[start:at]))
    if at != end or count != 2 * len(headers):
        raise DecodeError(f"{count} keys and values are announced, {len(headers)} pairs are there")
    return headers


def record_batch(records: Iterable[Record], now_ms: int) -> bytes:
    """One uncompressed Kafka record batch (magic 2) whose records are all of the time `now_ms` (Unix ms).

    Its attributes say that its headers are AMQP-encoded, which no reader could tell by looking at them.
    """
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, _MAX_BATCH)
    for offset, (key, value, headers) in enumerate(records):
        builder.append(offset, now_ms, key, value, headers)
    return with_attributes(bytes(builder.build()), AMQP_HEADERS)
