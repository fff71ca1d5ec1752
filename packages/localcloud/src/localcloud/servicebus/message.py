"""A stored message: what the broker adds and changes, apart from what it passes on unchanged.

Layout of a delivered message: "AMQP 1.0 in Azure Service Bus, protocol guide", section "Messages" (Microsoft Learn).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from uuid import UUID

from localcloud.amqp.codec import DecodeError, decode, encode
from localcloud.amqp.message import (
    APPLICATION_PROPERTIES,
    DELIVERY_ANNOTATIONS,
    FOOTER,
    HEADER,
    MESSAGE_ANNOTATIONS,
    PROPERTIES,
    section,
    sections,
)
from localcloud.amqp.performatives import Properties, composite
from localcloud.amqp.types import Described, Map, Symbol, Ubyte, Ulong, Value
from localcloud.servicebus import sql, sql_values
from localcloud.servicebus.decimals import deliverable
from localcloud.servicebus.errors import InvalidArgumentError

MAX_UNIX_MS: Final = 253_402_300_799_999  # the end of the year 9999
MAX_ID_LENGTH: Final = 128
MAX_PROPERTIES_BYTES: Final = 65_536

SCHEDULED_TIME: Final = Symbol("x-opt-scheduled-enqueue-time")
PARTITION_KEY: Final = Symbol("x-opt-partition-key")
REASON: Final = "DeadLetterReason"
DESCRIPTION: Final = "DeadLetterErrorDescription"
# Given by the broker at each delivery, whatever a client may have sent under these names.
_OURS: Final = frozenset(
    "x-opt-sequence-number x-opt-enqueued-time x-opt-locked-until x-opt-message-state x-opt-deadletter-source"
    " x-opt-enqueue-sequence-number x-opt-lock-token".split()
)

# Names in SQL rules and correlation filters of the fields of the properties section.
SYSTEM_FIELDS: Final = {
    "messageid": "message_id",
    "correlationid": "correlation_id",
    "label": "subject",
    "subject": "subject",
    "to": "to",
    "replyto": "reply_to",
    "contenttype": "content_type",
    "sessionid": "group_id",
    "replytosessionid": "reply_to_group_id",
}


@dataclass(frozen=True, slots=True)
class BodyFile:
    """A body in a file of its own: its name in the store's folder, and its size in bytes."""

    name: str
    size: int


Body = bytes | BodyFile


@dataclass(frozen=True, slots=True)
class MessageContent:
    """What a client sent.

    `annotations` are its message annotations, `delivery` its delivery annotations, which the service hands on too;
    `bare` the properties and application properties, `body` the body and footer, both as encoded sections. `ttl_ms`
    is the time to live that the sender asked for, `due_ms` (Unix) when the message is to become active.
    """

    annotations: Map
    bare: bytes
    body: Body
    message_id: str
    session_id: str | None = None
    ttl_ms: int | None = None
    due_ms: int | None = None
    delivery: Map = field(default_factory=dict)
    priority: Ubyte | None = None

    @property
    def size(self) -> int:
        return len(self.bare) + (self.body.size if isinstance(self.body, BodyFile) else len(self.body))

    def decoded_properties(self) -> tuple[Properties, Map]:
        """The properties and the application properties."""
        return decode_bare(self.bare)

    def with_decoded(self, properties: Properties, application: Map) -> "MessageContent":
        """The message with other properties and application properties."""
        return replace(
            self,
            bare=properties.encoded() + section(APPLICATION_PROPERTIES, deliverable(application)),
            message_id=_text(properties.message_id) or self.message_id,
            session_id=properties.group_id,
        )

    def with_properties(self, changes: Map) -> "MessageContent":
        """The message with some application properties set."""
        if not changes:
            return self
        properties, application = self.decoded_properties()
        return self.with_decoded(properties, {**application, **changes})


def read_content(payload: bytes, new_id: UUID) -> MessageContent:
    """A message as a client sends it; one without a message-id gets `new_id`, since clients settle by it.

    Raises InvalidArgumentError.
    """
    annotations: Map = {}
    delivery: Map = {}
    header: Value = None
    properties: Properties | None = None
    application: Map = {}
    body: list[bytes] = []
    footer = b""
    try:
        start_of_section = 0
        for code, start, end in sections(payload):
            if code in (HEADER, DELIVERY_ANNOTATIONS, MESSAGE_ANNOTATIONS, PROPERTIES, APPLICATION_PROPERTIES):
                value, _ = decode(payload, start)
                if code == HEADER:
                    header = value
                elif code == PROPERTIES:
                    properties = _properties(value)
                elif code == DELIVERY_ANNOTATIONS:
                    delivery = _map(value)
                elif code == MESSAGE_ANNOTATIONS:
                    annotations = _map(value)
                else:
                    application = _map(value)
            elif code == FOOTER:
                footer = payload[start_of_section:end]
            else:
                body.append(payload[start_of_section:end])
            start_of_section = end
    except DecodeError as error:
        raise InvalidArgumentError(f"the message is malformed: {error}") from None
    if properties is None:
        properties = Properties()
    if properties.message_id is None:
        properties.message_id = str(new_id)
    bare = properties.encoded() + (section(APPLICATION_PROPERTIES, deliverable(application)) if application else b"")
    if len(bare) > MAX_PROPERTIES_BYTES:
        raise InvalidArgumentError(f"the properties take {len(bare)} bytes; allowed are {MAX_PROPERTIES_BYTES}")
    message_id = _text(properties.message_id) or ""
    _check_length("message-id", message_id)
    _check_length("session id", properties.group_id)
    return MessageContent(
        annotations=_theirs(annotations),
        bare=bare,
        body=b"".join((*body, footer)),
        message_id=message_id,
        session_id=properties.group_id,
        ttl_ms=_ttl(header, properties),
        due_ms=_due_ms(annotations.get(SCHEDULED_TIME)),
        delivery=_theirs(delivery),
        priority=_priority(header),
    )


def decode_bare(bare: bytes) -> tuple[Properties, Map]:
    """The properties and application properties in their encoded sections."""
    properties, application = Properties(), {}
    for code, start, _ in sections(bare):
        value, _ = decode(bare, start)
        if code == PROPERTIES:
            properties = _properties(value)
        else:
            application = _map(value)
    return properties, application


def _properties(value: Value) -> Properties:
    known = composite(Described(Ulong(PROPERTIES), value))
    assert isinstance(known, Properties)
    return known


def _map(value: Value) -> Map:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise DecodeError(f"expected a map, not a {type(value).__name__}")
    return value


def _theirs(annotations: Map) -> Map:
    return deliverable({key: value for key, value in annotations.items() if key not in _OURS})


def _priority(header: Value) -> Ubyte | None:
    priority = header[1] if isinstance(header, list) and len(header) > 1 else None
    return priority if isinstance(priority, Ubyte) else None


def _ttl(header: Value, properties: Properties) -> int | None:
    """The header's time to live, or what remains up to an absolute expiry of the properties section."""
    if isinstance(header, list) and len(header) > 2 and isinstance(header[2], int):
        ttl = int(header[2])
        # 2^32-1 ms is the most that the field can say: clients put the rest into the absolute times.
        if ttl < 0xFFFF_FFFF:
            return ttl
    created, expires = properties.creation_time, properties.absolute_expiry_time
    if created is not None and expires is not None and expires > created:
        # Of any two moments of 64 bits; what is longer than this never ends either.
        return min(int(expires) - int(created), MAX_UNIX_MS)
    return None


def _due_ms(value: Value) -> int | None:
    """When a message is to become active, Unix milliseconds. Raises InvalidArgumentError."""
    if not isinstance(value, int):
        return None
    if value > MAX_UNIX_MS:
        raise InvalidArgumentError(
            f"{SCHEDULED_TIME} is {int(value)}; expected Unix milliseconds up to {MAX_UNIX_MS}, the end of 9999"
        )
    return int(value)


def _text(value: Value) -> str | None:
    if value is None:
        return None
    return value.hex() if isinstance(value, bytes) else str(value)


def _check_length(what: str, value: str | None) -> None:
    if value is not None and len(value) > MAX_ID_LENGTH:
        raise InvalidArgumentError(f"the {what} has {len(value)} characters; allowed are {MAX_ID_LENGTH}")


def sql_value(value: Value) -> sql_values.Value:
    """An AMQP value in the terms of SQL rules: unique ids as text, times as milliseconds, no composites."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, str | UUID):
        return str(value)
    return value if isinstance(value, bytes) else None


def view(content: MessageContent, more: Mapping[str, sql_values.Value]) -> sql.MessageView:
    """The message as rules see it; `more` are the system properties that the broker knows."""
    properties, application = content.decoded_properties()
    system: dict[str, sql_values.Value] = {
        name: _text(getattr(properties, field)) for name, field in SYSTEM_FIELDS.items()
    }
    system["partitionkey"] = sql_value(content.annotations.get(PARTITION_KEY))
    system["timetolive"] = content.ttl_ms
    system["scheduledenqueuetimeutc"] = content.due_ms
    system["size"] = content.size
    user = {str(name).lower(): sql_value(value) for name, value in application.items()}
    return sql.MessageView({**system, **more}, user)


def head(header: list[Value], delivery: Map, annotations: Map, bare: bytes) -> bytes:
    """The sections in front of a body, for a client: header, delivery and message annotations, properties."""
    return (
        section(HEADER, header)
        + section(DELIVERY_ANNOTATIONS, delivery)
        + section(MESSAGE_ANNOTATIONS, annotations)
        + bare
    )


def pack_annotations(content: MessageContent) -> bytes:
    """The message annotations; in a list with delivery annotations and priority for the few that have such."""
    if content.delivery or content.priority is not None:
        return encode([content.annotations, content.delivery, content.priority])
    return encode(content.annotations)


def unpack_annotations(data: bytes) -> tuple[Map, Map, Ubyte | None]:
    """Message annotations, delivery annotations and priority."""
    value, _ = decode(data)
    if not isinstance(value, list):
        return _map(value), {}, None
    annotations, delivery, priority = value
    return _map(annotations), _map(delivery), priority if isinstance(priority, Ubyte) else None
