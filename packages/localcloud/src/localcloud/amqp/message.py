"""Messages as sections (part 3, section 3.2): cut apart without decoding, or whole for requests and responses."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from localcloud.amqp.codec import DecodeError, decode, encode, skip
from localcloud.amqp.performatives import Properties, composite
from localcloud.amqp.types import Described, Map, Ulong, Value

HEADER: Final = 0x70
DELIVERY_ANNOTATIONS: Final = 0x71
MESSAGE_ANNOTATIONS: Final = 0x72
PROPERTIES: Final = 0x73
APPLICATION_PROPERTIES: Final = 0x74
DATA: Final = 0x75
SEQUENCE: Final = 0x76
VALUE: Final = 0x77
FOOTER: Final = 0x78
_BEFORE_BODY: Final = DATA - 0.5
_BEHIND_ALL: Final = FOOTER + 1

_NAMES: Final = {
    "amqp:header:list": HEADER,
    "amqp:delivery-annotations:map": DELIVERY_ANNOTATIONS,
    "amqp:message-annotations:map": MESSAGE_ANNOTATIONS,
    "amqp:properties:list": PROPERTIES,
    "amqp:application-properties:map": APPLICATION_PROPERTIES,
    "amqp:data:binary": DATA,
    "amqp:amqp-sequence:list": SEQUENCE,
    "amqp:amqp-value:*": VALUE,
    "amqp:footer:map": FOOTER,
}


class Section(NamedTuple):
    """One section: its descriptor code, and where its value starts and ends."""

    code: int
    start: int
    end: int


def sections(data: bytes) -> Iterator[Section]:
    """The sections of a message, in their order. Raises DecodeError for what is none, cut off or out of order.

    Delivery annotations may also come last of all, which is where Azure's Python clients put them, and the footer in
    front of the body, which is where the JavaScript ones put it.
    """
    at, size, last, reached, footers = 0, len(data), 0, 0.0, 0
    while at < size:
        if data[at] == 0 and data[at + 1 : at + 2] == b"\x53" and at + 3 < size:
            code, start = data[at + 2], at + 3
        elif data[at] == 0:
            descriptor, start = decode(data, at + 1)
            code = _code_of(descriptor)
        else:
            raise DecodeError(f"byte {at} of the message starts no section")
        place: float = code
        if code == DELIVERY_ANNOTATIONS and reached >= DATA:
            place = _BEHIND_ALL
        elif code == FOOTER:
            footers += 1
            place = _BEFORE_BODY if reached < DATA else FOOTER
        in_order = place > reached or (place == reached and code in (DATA, SEQUENCE))
        if not in_order or footers > 1 or not HEADER <= code <= FOOTER:
            raise DecodeError(f"a section 0x{code:02x} after one of 0x{last:02x}")
        at = skip(data, start)
        last, reached = code, place
        yield Section(code, start, at)


def _code_of(descriptor: Value) -> int:
    if isinstance(descriptor, Ulong):
        return int(descriptor)
    if isinstance(descriptor, str) and descriptor in _NAMES:
        return _NAMES[descriptor]
    raise DecodeError(f"{descriptor!r} describes no section of a message")


def section(code: int, value: Value) -> bytes:
    return encode(Described(Ulong(code), value))


@dataclass(slots=True)
class Message:
    """A decoded message, for requests and responses: `body` is its amqp-value, or its data as bytes."""

    properties: Properties = field(default_factory=Properties)
    application_properties: Map = field(default_factory=dict)
    body: Value = None

    @classmethod
    def decode(cls, data: bytes) -> "Message":
        """Raises DecodeError."""
        message = cls()
        for code, start, _ in sections(data):
            if code in (HEADER, DELIVERY_ANNOTATIONS, MESSAGE_ANNOTATIONS, FOOTER):
                continue
            value, _ = decode(data, start)
            if code == PROPERTIES:
                properties = composite(Described(Ulong(PROPERTIES), value))
                assert isinstance(properties, Properties)
                message.properties = properties
            elif code == APPLICATION_PROPERTIES:
                if not isinstance(value, dict):
                    raise DecodeError(f"application properties are a map, not a {type(value).__name__}")
                message.application_properties = value
            else:
                message.body = value
        return message

    def encode(self) -> bytes:
        """With its body as amqp-value."""
        return (
            self.properties.encoded()
            + section(APPLICATION_PROPERTIES, self.application_properties)
            + section(VALUE, self.body)
        )
