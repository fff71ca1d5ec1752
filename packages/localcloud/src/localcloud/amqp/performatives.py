"""The composite types of the protocol: performatives, SASL frames, termini, outcomes (parts 2, 3 and 5).

Each class lists its fields in the order of the specification. All of them are sent, the last nulls too: Azure's
Python SDK reads fields by index.
"""

from dataclasses import MISSING, Field, dataclass, fields
from typing import ClassVar, Final, Self, get_args, get_origin
from uuid import UUID

from localcloud.amqp.codec import DecodeError, decode, encode
from localcloud.amqp.errors import AmqpError
from localcloud.amqp.types import Array, Described, Map, Symbol, Timestamp, Ubyte, Uint, Ulong, Ushort, Value

_MAX_UINT: Final = Uint(2**32 - 1)
_MAX_USHORT: Final = Ushort(65535)
_ZERO: Final = Uint(0)
_FIRST: Final = Ubyte(0)
_MIXED: Final = Ubyte(2)


class Composite:
    """A described list with named fields."""

    CODE: ClassVar[int]
    NAME: ClassVar[str]

    def encoded(self) -> bytes:
        return encode(self.described())

    def described(self) -> Described:
        values = [getattr(self, name) for name in _KINDS[type(self)]]
        return Described(Ulong(self.CODE), [v.described() if isinstance(v, Composite) else v for v in values])

    @classmethod
    def of(cls, values: list[Value]) -> Self:
        """From the list of its fields; raises DecodeError for a wrong type or a missing mandatory field."""
        kinds = _KINDS[cls]
        if len(values) > len(kinds):
            raise DecodeError(f"{cls.NAME} has {len(kinds)} fields, this one {len(values)}")
        arguments: dict[str, object] = {}
        for (name, kind), value in zip(kinds.items(), values, strict=False):
            known = composite(value) if isinstance(value, Described) else value
            if known is None:
                continue
            if not isinstance(known, kind):
                raise DecodeError(f"{cls.NAME}.{name} is a {type(known).__name__}")
            arguments[name] = known
        missing = [f.name for f in _fields(cls) if f.default is MISSING and f.name not in arguments]
        if missing:
            raise DecodeError(f"{cls.NAME} lacks the mandatory {', '.join(missing)}")
        return cls(**arguments)


def _fields(cls: type[Composite]) -> tuple[Field[object], ...]:
    return fields(cls)  # type: ignore[arg-type] # every subclass is a dataclass


@dataclass(slots=True)
class Open(Composite):
    CODE = 0x10
    NAME = "amqp:open:list"
    container_id: str
    hostname: str | None = None
    max_frame_size: Uint = _MAX_UINT
    channel_max: Ushort = _MAX_USHORT
    idle_time_out: Uint | None = None
    outgoing_locales: Symbol | Array | None = None
    incoming_locales: Symbol | Array | None = None
    offered_capabilities: Symbol | Array | None = None
    desired_capabilities: Symbol | Array | None = None
    properties: Map | None = None


@dataclass(slots=True, kw_only=True)
class Begin(Composite):
    CODE = 0x11
    NAME = "amqp:begin:list"
    remote_channel: Ushort | None = None
    next_outgoing_id: Uint
    incoming_window: Uint
    outgoing_window: Uint
    handle_max: Uint = _MAX_UINT
    offered_capabilities: Symbol | Array | None = None
    desired_capabilities: Symbol | Array | None = None
    properties: Map | None = None


@dataclass(slots=True)
class Source(Composite):
    CODE = 0x28
    NAME = "amqp:source:list"
    address: str | None = None
    durable: Uint = _ZERO
    expiry_policy: Symbol | None = None
    timeout: Uint | None = None
    dynamic: bool = False
    dynamic_node_properties: Map | None = None
    distribution_mode: Symbol | None = None
    filter: Map | None = None
    default_outcome: Composite | Described | None = None
    outcomes: Symbol | Array | None = None
    capabilities: Symbol | Array | None = None


@dataclass(slots=True)
class Target(Composite):
    CODE = 0x29
    NAME = "amqp:target:list"
    address: str | None = None
    durable: Uint = _ZERO
    expiry_policy: Symbol | None = None
    timeout: Uint | None = None
    dynamic: bool = False
    dynamic_node_properties: Map | None = None
    capabilities: Symbol | Array | None = None


@dataclass(slots=True)
class TransactionCoordinator(Composite):
    CODE = 0x30
    NAME = "amqp:coordinator:list"
    capabilities: Symbol | Array | None = None


@dataclass(slots=True)
class ErrorCondition(Composite):
    CODE = 0x1D
    NAME = "amqp:error:list"
    condition: Symbol
    description: str | None = None
    info: Map | None = None

    @classmethod
    def from_exception(cls, error: AmqpError) -> "ErrorCondition":
        return cls(error.condition, error.description, error.info)


@dataclass(slots=True)
class Attach(Composite):
    CODE = 0x12
    NAME = "amqp:attach:list"
    name: str
    handle: Uint
    role: bool
    snd_settle_mode: Ubyte = _MIXED
    rcv_settle_mode: Ubyte = _FIRST
    source: Source | None = None
    target: Target | TransactionCoordinator | None = None
    unsettled: Map | None = None
    incomplete_unsettled: bool = False
    initial_delivery_count: Uint | None = None
    max_message_size: Ulong | None = None
    offered_capabilities: Symbol | Array | None = None
    desired_capabilities: Symbol | Array | None = None
    properties: Map | None = None


@dataclass(slots=True, kw_only=True)
class Flow(Composite):
    CODE = 0x13
    NAME = "amqp:flow:list"
    next_incoming_id: Uint | None = None
    incoming_window: Uint
    next_outgoing_id: Uint
    outgoing_window: Uint
    handle: Uint | None = None
    delivery_count: Uint | None = None
    link_credit: Uint | None = None
    available: Uint | None = None
    drain: bool = False
    echo: bool = False
    properties: Map | None = None


@dataclass(slots=True)
class Transfer(Composite):
    CODE = 0x14
    NAME = "amqp:transfer:list"
    handle: Uint
    delivery_id: Uint | None = None
    delivery_tag: bytes | None = None
    message_format: Uint | None = None
    settled: bool | None = None
    more: bool = False
    rcv_settle_mode: Ubyte | None = None
    state: Composite | Described | None = None
    resume: bool = False
    aborted: bool = False
    batchable: bool = False


@dataclass(slots=True)
class Disposition(Composite):
    CODE = 0x15
    NAME = "amqp:disposition:list"
    role: bool
    first: Uint
    last: Uint | None = None
    settled: bool = False
    state: Composite | Described | None = None
    batchable: bool = False


@dataclass(slots=True)
class Detach(Composite):
    CODE = 0x16
    NAME = "amqp:detach:list"
    handle: Uint
    closed: bool = False
    error: ErrorCondition | None = None


@dataclass(slots=True)
class End(Composite):
    CODE = 0x17
    NAME = "amqp:end:list"
    error: ErrorCondition | None = None


@dataclass(slots=True)
class Close(Composite):
    CODE = 0x18
    NAME = "amqp:close:list"
    error: ErrorCondition | None = None


@dataclass(slots=True)
class Received(Composite):
    CODE = 0x23
    NAME = "amqp:received:list"
    section_number: Uint
    section_offset: Ulong


@dataclass(slots=True)
class Accepted(Composite):
    CODE = 0x24
    NAME = "amqp:accepted:list"


@dataclass(slots=True)
class Rejected(Composite):
    CODE = 0x25
    NAME = "amqp:rejected:list"
    error: ErrorCondition | None = None


@dataclass(slots=True)
class Released(Composite):
    CODE = 0x26
    NAME = "amqp:released:list"


@dataclass(slots=True)
class Modified(Composite):
    CODE = 0x27
    NAME = "amqp:modified:list"
    delivery_failed: bool = False
    undeliverable_here: bool = False
    message_annotations: Map | None = None


@dataclass(slots=True)
class SaslMechanisms(Composite):
    CODE = 0x40
    NAME = "amqp:sasl-mechanisms:list"
    mechanisms: Symbol | Array


@dataclass(slots=True)
class SaslInit(Composite):
    CODE = 0x41
    NAME = "amqp:sasl-init:list"
    mechanism: Symbol
    initial_response: bytes | None = None
    hostname: str | None = None


@dataclass(slots=True)
class SaslOutcome(Composite):
    CODE = 0x44
    NAME = "amqp:sasl-outcome:list"
    status: Ubyte
    additional_data: bytes | None = None


@dataclass(slots=True)
class Header(Composite):
    CODE = 0x70
    NAME = "amqp:header:list"
    durable: bool | None = None
    priority: Ubyte | None = None
    ttl: Uint | None = None
    first_acquirer: bool | None = None
    delivery_count: Uint | None = None


@dataclass(slots=True)
class Properties(Composite):
    CODE = 0x73
    NAME = "amqp:properties:list"
    message_id: Ulong | UUID | bytes | str | None = None
    user_id: bytes | None = None
    to: str | None = None
    subject: str | None = None
    reply_to: str | None = None
    correlation_id: Ulong | UUID | bytes | str | None = None
    content_type: Symbol | None = None
    content_encoding: Symbol | None = None
    absolute_expiry_time: Timestamp | None = None
    creation_time: Timestamp | None = None
    group_id: str | None = None
    group_sequence: Uint | None = None
    reply_to_group_id: str | None = None


_CLASSES: Final[tuple[type[Composite], ...]] = (
    *(Open, Begin, Attach, Flow, Transfer, Disposition, Detach, End, Close),
    *(ErrorCondition, Source, Target, TransactionCoordinator, Received, Accepted, Rejected, Released, Modified),
    *(SaslMechanisms, SaslInit, SaslOutcome),
    *(Header, Properties),
)
_KNOWN: Final[dict[Value, type[Composite]]] = {
    descriptor: cls for cls in _CLASSES for descriptor in (Ulong(cls.CODE), Symbol(cls.NAME))
}
_KINDS: Final[dict[type[Composite], dict[str, tuple[type, ...]]]] = {
    cls: {
        field.name: tuple(get_origin(kind) or kind for kind in get_args(field.type) or (field.type,))
        for field in _fields(cls)
    }
    for cls in _CLASSES
}


def composite(value: Described) -> Composite | Described:
    """The composite type that `value` is; `value` itself when its descriptor is none of ours.

    Raises DecodeError when the fields are not what they should be.
    """
    try:
        cls = _KNOWN.get(value.descriptor)
    except TypeError:
        return value
    if cls is None:
        return value
    if not isinstance(value.value, list):
        raise DecodeError(f"{cls.NAME} is a list, not a {type(value.value).__name__}")
    return cls.of(value.value)


def read_composite(data: bytes, at: int = 0) -> tuple[Composite, int]:
    """The performative at `at` and where its payload starts. Raises DecodeError."""
    value, end = decode(data, at)
    known = composite(value) if isinstance(value, Described) else None
    if not isinstance(known, Composite):
        raise DecodeError("the frame does not start with a performative")
    return known, end


# Of a message on its way: an outcome, or whatever else a client says.
DeliveryState = Composite | Described | None
