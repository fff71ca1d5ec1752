"""AMQP events to Kafka records and back.

A record's value is the event's body, when that is one data section; its key is the partition key; its headers are the
application properties, each value in AMQP's own encoding (as Azure does it). What only AMQP readers understand goes
into reserved headers, when there is any; their values are encoded lists and maps, which no application property may be:

    amqp:properties           the properties section's list
    amqp:message-annotations  the client's own annotations, a map
    amqp:footer               a map
    amqp:body                 an empty list, and the value is the encoded body sections instead
"""

import struct
from collections.abc import Iterable
from typing import Final

from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder

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

BATCH_FORMAT: Final = 0x80013700

Headers = list[tuple[str, bytes | None]]
Record = tuple[bytes | None, bytes | None, Headers]  # key, value, headers

_RESERVED: Final = {
    PROPERTIES: "amqp:properties",
    MESSAGE_ANNOTATIONS: "amqp:message-annotations",
    FOOTER: "amqp:footer",
    DELIVERY_ANNOTATIONS: "amqp:delivery-annotations",
}
_BODY: Final = "amqp:body"
_PARTITION_KEY: Final = "x-opt-partition-key"
# Set by the service on the way out; a client that sends them on, say from another hub, means nothing by it.
_OURS: Final = frozenset({_PARTITION_KEY, "x-opt-sequence-number", "x-opt-offset", "x-opt-enqueued-time"})
_U32: Final = struct.Struct(">I")
_DATA: Final = b"\x00\x53\x75"
_MAX_BATCH: Final = 2**31 - 1


# In


def records_of(payload: bytes, message_format: int) -> tuple[str | None, list[Record]]:
    """The partition key to route by, and the records of one delivery: a single event, or a batch of them.

    Raises DecodeError when any of it is malformed: a batch is stored whole or not at all.
    """
    if message_format == BATCH_FORMAT:
        return _batch(payload)
    record = _record(payload, 0, len(payload))[0]
    return None if record[0] is None else record[0].decode(), [record]


def _batch(payload: bytes) -> tuple[str | None, list[Record]]:
    """A batch is a message whose data sections each hold one encoded event.

    Events of a batch mostly begin with the same bytes (the same annotations and properties, or none) and end with one
    data section; so what the beginning means is worked out once and then recognized.
    """
    routing, at = _head(payload)
    prefix: bytes | None = b""
    key: bytes | None = None
    headers: Headers = []
    records: list[Record] = []
    size = len(payload)
    while payload.startswith(_DATA, at):
        start, at = _binary(payload, at + 3, size)
        if prefix is not None and payload.startswith(prefix, start):
            body = start + len(prefix)
            if payload.startswith(_DATA, body) and body + 4 < at:
                first, last = _binary(payload, body + 3, at)
                if last == at:
                    records.append((key, payload[first:at], headers))
                    continue
        record, length = _record(payload, start, at)
        key, _, headers = record
        prefix = None if length is None else payload[start : start + length]
        records.append(record)
    if any(code != FOOTER for code, _, _ in sections(payload[at:])):
        raise DecodeError("a batch has nothing but data sections behind its annotations")
    if routing is not None:
        records = [(routing if key is None else key, value, headers) for key, value, headers in records]
    return None if routing is None else routing.decode(), records


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


def _record(payload: bytes, start: int, end: int) -> tuple[Record, int | None]:
    """The record for the event in payload[start:end].

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
                headers.append((_RESERVED[code], encode(rest)))
        elif code == APPLICATION_PROPERTIES:
            headers += _application_properties(event, first, last)
        elif code in (PROPERTIES, FOOTER) or (code == DELIVERY_ANNOTATIONS and bodies):
            _require(event, first, list if code == PROPERTIES else dict)
            headers.append((_RESERVED[code], event[first:last]))
        elif code in (DATA, SEQUENCE, VALUE):
            if code != DATA:
                _require(event, first, list if code == SEQUENCE else object)
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
        start = _binary(event, first_body, last)[0]
        return (key, event[start:last], headers), at if last == len(event) else None
    headers.append((_BODY, b"\x45"))
    return (key, event[bodies[0][1] : bodies[-1][2]], headers), None


def _require(event: bytes, at: int, kind: type) -> None:
    value, _ = decode(event, at)
    if not isinstance(value, kind):
        raise DecodeError(f"a {type(value).__name__} where a {kind.__name__} belongs")


def _annotations(event: bytes, at: int) -> tuple[bytes | None, Map]:
    """The partition key, and the annotations that are the client's own."""
    annotations, _ = decode(event, at)
    if not isinstance(annotations, dict):
        raise DecodeError(f"message annotations are a map, not a {type(annotations).__name__}")
    key = annotations.get(_PARTITION_KEY)
    rest = {name: value for name, value in annotations.items() if name not in _OURS}
    return key.encode() if isinstance(key, str) else None, rest


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
    """One uncompressed Kafka record batch (magic 2) whose records are all of the time `now_ms` (Unix ms)."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, _MAX_BATCH)
    for offset, (key, value, headers) in enumerate(records):
        builder.append(offset, now_ms, key, value, headers)
    return bytes(builder.build())


# Out


class Events:
    """The events of one stored batch, ready to be delivered: for each its offset and its encoded message."""

    __slots__ = ("messages", "offsets", "size")

    def __init__(self, data: bytes, enqueued_ms: int) -> None:
        self.offsets: list[int] = []
        self.messages: list[bytes] = []
        encoder = _MessageEncoder(enqueued_ms)
        for record in DefaultRecordBatch(data):
            self.offsets.append(record.offset)
            self.messages.append(encoder.encode(record.offset, record.key, record.value, record.headers))
        self.size = len(data) + sum(map(len, self.messages))


def _symbol(name: str) -> bytes:
    return encode(Symbol(name))


class _MessageEncoder:
    """Encodes the messages of one batch, whose annotations differ in little more than the sequence number."""

    def __init__(self, enqueued_ms: int) -> None:
        self._middle = (
            _symbol("x-opt-enqueued-time")
            + b"\x83"
            + struct.pack(">q", enqueued_ms)
            + _symbol("x-opt-offset")
            + b"\xa1"
        )
        self._frames: dict[tuple[int, bytes | None], tuple[bytes, bytes, bytes]] = {}

    def encode(self, offset: int, key: bytes | None, value: bytes | None, headers: Headers) -> bytes:
        body = _data(value or b"")
        after = b""
        own: Map = {}
        if headers:
            after, own, body = _sections_of(headers, value or b"")
        digits = b"%d" % offset
        if own:
            frame = self._frame(len(digits), key, own)
        else:
            frame = self._frames.get((len(digits), key)) or self._frame(len(digits), key, own)
        before, middle, tail = frame
        return b"".join((before, offset.to_bytes(8), middle, digits, tail, after, body))

    def _frame(self, digits: int, key: bytes | None, own: Map) -> tuple[bytes, bytes, bytes]:
        """The bytes of the annotations around the sequence number and around the offset."""
        first = _symbol("x-opt-sequence-number") + b"\x81"
        middle = self._middle + bytes((digits,))
        tail = b"".join(encode(name) + encode(value) for name, value in own.items())
        count = 6 + 2 * len(own)
        text = _text(key)
        if text is not None:
            tail += _symbol(_PARTITION_KEY) + encode(text)
            count += 2
        size = 4 + len(first) + 8 + len(middle) + digits + len(tail)
        before = b"\x00\x53\x72\xd1" + struct.pack(">II", size, count) + first
        if not own:
            self._frames[digits, key] = before, middle, tail
        return before, middle, tail


def _text(key: bytes | None) -> str | None:
    try:
        return None if key is None else key.decode()
    except UnicodeDecodeError:
        return None


def _data(value: bytes) -> bytes:
    size = len(value)
    return b"\x00\x53\x75\xa0" + bytes((size,)) + value if size < 256 else b"\x00\x53\x75\xb0" + _U32.pack(size) + value


def _sections_of(headers: Headers, value: bytes) -> tuple[bytes, Map, bytes]:
    """Properties and application properties encoded; the client's own annotations; what comes from the body on."""
    properties = footer = delivery = b""
    own: Map = {}
    body = _data(value)
    pairs: list[bytes] = []
    for name, content in headers:
        encoded = _encoded(content)
        if name == _RESERVED[PROPERTIES] and encoded[0] in (0x45, 0xC0, 0xD0):
            properties = b"\x00\x53\x73" + encoded
        elif name == _RESERVED[MESSAGE_ANNOTATIONS] and encoded[0] in (0xC1, 0xD1):
            annotations, _ = decode(encoded)
            own = annotations if isinstance(annotations, dict) else {}
        elif name == _RESERVED[FOOTER] and encoded[0] in (0xC1, 0xD1):
            footer = b"\x00\x53\x78" + encoded
        elif name == _RESERVED[DELIVERY_ANNOTATIONS] and encoded[0] in (0xC1, 0xD1):
            delivery = b"\x00\x53\x71" + encoded
        elif name == _BODY and encoded == b"\x45" and _is_body(value):
            body = value
        else:
            simple = 0x40 <= encoded[0] < 0xC0 and encoded != b"\x45"
            pairs += (encode(name), encoded if simple else encode(content))
    if pairs:
        inside = b"".join(pairs)
        properties += b"\x00\x53\x74\xd1" + struct.pack(">II", len(inside) + 4, len(pairs)) + inside
    return properties, own, body + footer + delivery


def _is_body(value: bytes) -> bool:
    try:
        return {code for code, _, _ in sections(value)} in ({DATA}, {SEQUENCE}, {VALUE})
    except DecodeError:
        return False


def _encoded(content: bytes | None) -> bytes:
    """A header's value as an AMQP value: itself when it is a well-formed one, else as a binary."""
    if content is None:
        return b"\x40"
    try:
        if content and decode(content)[1] == len(content):
            return content
    except DecodeError:
        pass
    return encode(content)
