"""Kafka records to AMQP events: what AMQP readers get of a stored batch.

Of an event that came over AMQP they get what was sent. Of a record that came over Kafka its key is the annotation
`x-opt-kafka-key`, and its headers are application properties, each a binary, as on Azure.
"""

import struct
from sys import getsizeof
from typing import Final

from aiokafka.record.default_records import DefaultRecordBatch

from localcloud.amqp.codec import DecodeError, decode, encode
from localcloud.amqp.message import (
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
    is_short_ascii,
    skip_property_headers,
)
from localcloud.log.batch import AMQP_HEADERS, header_of

_U32: Final = struct.Struct(">I")


# A place in each of the two lists, and the number that is an offset.
_PLACE_BYTES: Final = 2 * 8 + 32


class Events:
    """The events of one stored batch, ready to be delivered: for each its offset and its encoded message. `size` is
    what they take in memory, in bytes."""

    __slots__ = ("messages", "offsets", "size")

    def __init__(self, data: bytes, enqueued_ms: int) -> None:
        self.offsets: list[int] = []
        self.messages: list[bytes] = []
        encoder = _MessageEncoder(enqueued_ms)
        header = header_of(data)
        encode_record = encoder.from_amqp if header.attributes & AMQP_HEADERS else encoder.from_kafka
        for offset, record in enumerate(DefaultRecordBatch(data), header.base_offset):
            if not header.is_whole:
                offset = record.offset
            self.offsets.append(offset)
            self.messages.append(encode_record(offset, record.key, record.value, record.headers))
        self.size = sum(map(getsizeof, self.messages)) + len(self.messages) * _PLACE_BYTES


def _symbol(name: str) -> bytes:
    return encode(Symbol(name))


_PARTITION_KEY_SYMBOL: Final = _symbol(PARTITION_KEY)
_KAFKA_KEY_SYMBOL: Final = _symbol(KAFKA_KEY)
_SEQUENCE_NUMBER: Final = _symbol("x-opt-sequence-number") + b"\x81"


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
        self._frames: dict[tuple[int, int, int], tuple[bytes, bytes]] = {}
        self._keys: dict[bytes | None, bytes] = {None: b""}

    def from_kafka(self, offset: int, key: bytes | None, value: bytes | None, headers: Headers) -> bytes:
        own = b"" if key is None else _KAFKA_KEY_SYMBOL + encode(key)
        after = _application_properties([(name, encode(content)) for name, content in headers])
        return self._message(offset, own, 2 if own else 0, after + _data(value or b""))

    def from_amqp(self, offset: int, _key: bytes | None, value: bytes | None, headers: Headers) -> bytes:
        """The record's key says nothing: it is the partition key again, where the hub is compacted."""
        key = b""
        if headers and headers[0][0] == PARTITION_KEY:
            key = self._partition_key(headers[0][1])
            headers = headers[1:]
        if not headers:
            return self._message(offset, key, 2 if key else 0, _data(value or b""))
        after, own, body = _sections_of(headers, value)
        annotations = b"".join(encode(name) + encode(each) for name, each in own.items())
        return self._message(offset, annotations + key, 2 * len(own) + (2 if key else 0), after + body)

    def _partition_key(self, encoded: bytes | None) -> bytes:
        """The annotation for a header, which is an encoded string."""
        if encoded is not None and is_short_ascii(encoded):
            return _PARTITION_KEY_SYMBOL + encoded
        annotation = self._keys.get(encoded)
        if annotation is None:
            text = _decoded(encoded or b"")
            annotation = self._keys[encoded] = _PARTITION_KEY_SYMBOL + encode(text) if isinstance(text, str) else b""
        return annotation

    def _message(self, offset: int, own: bytes, own_count: int, after: bytes) -> bytes:
        """`own`: encoded annotations beside those of every event; `own_count`: of how many values."""
        digits = b"%d" % offset
        shape = len(digits), len(own), own_count
        before, middle = self._frames.get(shape) or self._frame(*shape)
        return b"".join((before, offset.to_bytes(8), middle, digits, own, after))

    def _frame(self, digits: int, own: int, own_count: int) -> tuple[bytes, bytes]:
        """The bytes of the annotations before the sequence number, and between that and the offset."""
        middle = self._middle + bytes((digits,))
        size = 4 + len(_SEQUENCE_NUMBER) + 8 + len(middle) + digits + own
        before = b"\x00\x53\x72\xd1" + struct.pack(">II", size, 6 + own_count) + _SEQUENCE_NUMBER
        frame = self._frames[digits, own, own_count] = before, middle
        return frame


def _data(value: bytes) -> bytes:
    size = len(value)
    return b"\x00\x53\x75\xa0" + bytes((size,)) + value if size < 256 else b"\x00\x53\x75\xb0" + _U32.pack(size) + value


def _application_properties(pairs: list[tuple[str, bytes]]) -> bytes:
    """The section of names and encoded values, of each name the last; nothing when there are none."""
    if not pairs:
        return b""
    values = dict(pairs)
    inside = b"".join([encode(name) + value for name, value in values.items()])
    return b"\x00\x53\x74\xd1" + struct.pack(">II", len(inside) + 4, 2 * len(values)) + inside


def _sections_of(headers: Headers, value: bytes | None) -> tuple[bytes, Map, bytes]:
    """Properties and application properties encoded; the client's own annotations; what comes from the body on."""
    properties = footer = delivery = b""
    own: Map = {}
    body = _data(value or b"")
    pairs: list[tuple[str, bytes]] = []
    at = 0
    while at < len(headers):
        name, content = headers[at]
        encoded = _encoded(content)
        if name == RESERVED[PROPERTIES] and not properties and encoded[0] in (0x45, 0xC0, 0xD0):
            properties = b"\x00\x53\x73" + encoded
            at = skip_property_headers(headers, at)
            continue
        if name == RESERVED[MESSAGE_ANNOTATIONS] and encoded[0] in (0xC1, 0xD1):
            annotations, _ = decode(encoded)
            own = annotations if isinstance(annotations, dict) else {}
        elif name == RESERVED[FOOTER] and encoded[0] in (0xC1, 0xD1):
            footer = b"\x00\x53\x78" + encoded
        elif name == RESERVED[DELIVERY_ANNOTATIONS] and encoded[0] in (0xC1, 0xD1):
            delivery = b"\x00\x53\x71" + encoded
        elif name == BODY and encoded == b"\x45" and value is None:
            body = b"\x00\x53\x75\x40"
        elif name == BODY and encoded == b"\x45" and _is_body(value or b""):
            body = value or b""
        else:
            pairs.append((name, encoded))
        at += 1
    return properties + _application_properties(pairs), own, body + footer + delivery


def _is_body(value: bytes) -> bool:
    try:
        return {code for code, _, _ in sections(value)} in ({DATA}, {SEQUENCE}, {VALUE})
    except DecodeError:
        return False


def _decoded(content: bytes) -> object:
    """What the bytes encode; None when that is nothing, or not all of it."""
    try:
        value, end = decode(content)
    except DecodeError:
        return None
    return value if end == len(content) else None


def _encoded(content: bytes | None) -> bytes:
    """A header's value as an AMQP value: itself when it is a well-formed one, else as a binary.

    Events that came over AMQP have none of the latter; a Kafka client that claims to be one may have.
    """
    if content is None:
        return b"\x40"
    try:
        if content and decode(content)[1] == len(content):
            return content
    except DecodeError:
        pass
    return encode(content)
