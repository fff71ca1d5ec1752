"""The headers of records that hold AMQP events, and how an event's properties become headers.

As Azure does it where that is known (docs/kafka.md has the sources): the partition key is a header, and so
is each application property, with its value in AMQP's own encoding; the fields of the properties section are headers by
their names, seven of them as plain text. What only AMQP readers understand goes into reserved headers, when there is
any, so that these get back what was sent:

    amqp:properties            the properties section's list, in front of the headers that its fields became
    amqp:message-annotations   the client's own annotations, a map
    amqp:delivery-annotations  a map, where the client put them last
    amqp:footer                a map
    amqp:body                  an empty list, and the value is the encoded body sections instead; no value then stands
                               for a data section of null
"""

from datetime import UTC, datetime, timedelta
from typing import Final

from localcloud.amqp.codec import decode, encode
from localcloud.amqp.message import DELIVERY_ANNOTATIONS, FOOTER, MESSAGE_ANNOTATIONS, PROPERTIES
from localcloud.amqp.types import Timestamp, Value

Headers = list[tuple[str, bytes | None]]
Record = tuple[bytes | None, bytes | None, Headers]
"""Key, value, headers."""

PARTITION_KEY: Final = "x-opt-partition-key"
KAFKA_KEY: Final = "x-opt-kafka-key"
RESERVED: Final = {
    PROPERTIES: "amqp:properties",
    MESSAGE_ANNOTATIONS: "amqp:message-annotations",
    FOOTER: "amqp:footer",
    DELIVERY_ANNOTATIONS: "amqp:delivery-annotations",
}
BODY: Final = "amqp:body"

FIELDS: Final = (
    "message-id",
    "user-id",
    "to",
    "subject",
    "reply-to",
    "correlation-id",
    "content-type",
    "content-encoding",
    "absolute-expiry-time",
    "creation-time",
    "group-id",
    "group-sequence",
    "reply-to-group-id",
)
_AS_TEXT: Final = frozenset(
    {"message-id", "user-id", "to", "reply-to", "content-type", "content-encoding", "creation-time"}
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def is_short_ascii(encoded: bytes) -> bool:
    """Whether the bytes are a string of AMQP, in its short encoding and of ASCII alone: no decoder need look at it."""
    return len(encoded) > 1 and encoded[0] == 0xA1 and encoded[1] == len(encoded) - 2 and encoded[2:].isascii()


def property_headers(encoded: bytes) -> Headers:
    """The reserved header of a properties section, and one for each of its fields. Raises DecodeError."""
    fields, _ = decode(encoded)
    assert isinstance(fields, list)
    return [(RESERVED[PROPERTIES], encoded), *_field_headers(fields)]


def skip_property_headers(headers: Headers, at: int) -> int:
    """Where the headers go on behind the reserved header at `at`, and those of the fields that it holds.

    Raises DecodeError; a header that no section gave rise to is none to skip.
    """
    fields, _ = decode(headers[at][1] or b"")
    expected = _field_headers(fields) if isinstance(fields, list) else []
    found = headers[at + 1 : at + 1 + len(expected)]
    return at + 1 + (len(expected) if found == expected else 0)


def _field_headers(fields: list[Value]) -> Headers:
    return [
        (name, _text(value) if name in _AS_TEXT else encode(value))
        for name, value in zip(FIELDS, fields, strict=False)
        if value is not None
    ]


def _text(value: Value) -> bytes:
    """A field as plain text: what Azure makes of times and of ids that are no strings is not documented."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, Timestamp):
        try:
            moment = _EPOCH + timedelta(milliseconds=int(value))
        except OverflowError:
            return str(int(value)).encode()
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z").encode()
    return str(value).encode()
