"""Frames to typed requests and answers to frames, in any version.

kio has one class per message and version, with the fields that version has. Handlers know one version of each
API, the *canonical* one, the newest. A request of an older version is lifted to it by filling in defaults; an answer
goes down by itself, because an older version's writer reads only the fields that it knows.
"""

from collections.abc import Callable
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from io import BytesIO
from struct import Struct
from types import NoneType, UnionType
from typing import Any, NamedTuple, cast, get_args, get_origin

from kio.index import load_request_schema, load_response_schema
from kio.schema.response_header.v0 import ResponseHeader as ResponseHeaderV0
from kio.schema.response_header.v1 import ResponseHeader as ResponseHeaderV1
from kio.serial import entity_reader, entity_writer
from kio.serial.errors import SerialError
from kio.serial.writers import Writable
from kio.static.primitive import i32
from kio.static.protocol import Entity

from localcloud.kafka.errors import ProtocolError

_PREFIX = Struct(">hhi")
_LENGTH = Struct(">i")
_UNDECODABLE = (SerialError, ValueError, TypeError, OverflowError, IndexError)
SMALL_CHUNK = 4096


class RequestPrefix(NamedTuple):
    """What stands at the head of every request, whatever its version."""

    api_key: int
    api_version: int
    correlation_id: int


def prefix_of(frame: bytes) -> RequestPrefix:
    """Raises `ProtocolError` when the frame is too short to be a request."""
    if len(frame) < _PREFIX.size:
        raise ProtocolError(f"A request has at least {_PREFIX.size} bytes, this one has {len(frame)}.")
    return RequestPrefix._make(_PREFIX.unpack_from(frame))


def decode(frame: bytes, prefix: RequestPrefix, canonical: type[Entity]) -> tuple[str | None, Any]:
    """(client id, request as the canonical class) of a frame whose API and version are known to be supported.

    Raises `ProtocolError`.
    """
    reader = _reader(prefix.api_key, prefix.api_version, canonical)
    try:
        header, size = reader.header(frame, 0)
        request, _ = reader.body(frame, size)
    except _UNDECODABLE as error:
        raise ProtocolError(
            f"Request of API {prefix.api_key} version {prefix.api_version} can't be decoded: {error!r}"
        ) from error
    return header.client_id, reader.lift(request) if reader.lift else request


def encode(prefix: RequestPrefix, response: Entity, api_version: int | None = None) -> list[bytes]:
    """The frame that answers a request, in pieces that are best written one after the other."""
    version = prefix.api_version if api_version is None else api_version
    header, body, header_type = _writer(prefix.api_key, version)
    pieces = _Pieces()
    out = cast("Writable", pieces)
    header(out, header_type(correlation_id=i32(prefix.correlation_id)))
    body(out, response)
    return pieces.framed()


class _Pieces:
    """Collects what writers write: large byte strings as they are, small ones joined."""

    def __init__(self) -> None:
        self._done: list[bytes] = []
        self._small = BytesIO()
        self._size = 0

    def write(self, data: bytes) -> int:
        if len(data) < SMALL_CHUNK:
            self._small.write(data)
        else:
            self._done += (self._small.getvalue(), data)
            self._small = BytesIO()
        self._size += len(data)
        return len(data)

    def framed(self) -> list[bytes]:
        return [_LENGTH.pack(self._size), *self._done, self._small.getvalue()]


class _Reader(NamedTuple):
    header: Callable[[bytes, int], tuple[Any, int]]
    body: Callable[[bytes, int], tuple[Any, int]]
    lift: Callable[[Any], Any] | None


@cache
def _reader(api_key: int, api_version: int, canonical: type[Entity]) -> _Reader:
    schema = load_request_schema(api_key, api_version)
    return _Reader(
        cast(Any, entity_reader(schema.__header_schema__)),
        cast(Any, entity_reader(schema)),
        lifting(schema, canonical),
    )


@cache
def _writer(api_key: int, api_version: int) -> tuple[Callable[..., None], Callable[..., None], Callable[..., Entity]]:
    schema = load_response_schema(api_key, api_version)
    header = schema.__header_schema__
    assert header in (ResponseHeaderV0, ResponseHeaderV1)
    return entity_writer(header), entity_writer(schema), header


@cache
def lifting(old: type[Entity], new: type[Entity]) -> Callable[[Any], Any] | None:
    """How to turn an `old` entity into a `new` one; None when it can be read in its place as it is."""
    if old is new:
        return None
    had = {field.name: field for field in fields(old)}
    missing: dict[str, Any] = {}
    nested: dict[str, tuple[bool, Callable[[Any], Any]]] = {}
    for field in fields(new):
        if field.name not in had:
            missing[field.name] = _default(field)
            continue
        before, after = _entity_in(had[field.name]), _entity_in(field)
        if before and after:
            lift = lifting(before[1], after[1])
            if lift:
                nested[field.name] = (after[0], lift)
    if not missing and not nested:
        return None
    kept = [name for name in had if name in {field.name for field in fields(new)} and name not in nested]

    def lift_entity(entity: Any) -> Any:
        values: dict[str, Any] = {name: getattr(entity, name) for name in kept}
        for name, (many, lift) in nested.items():
            value = getattr(entity, name)
            if value is not None:
                value = tuple(map(lift, value)) if many else lift(value)
            values[name] = value
        return new(**values, **missing)

    return lift_entity


def _entity_in(field: Field[Any]) -> tuple[bool, type[Entity]] | None:
    """(whether it is an array, the class) of a field that holds entities."""
    for kind in _alternatives(field.type):
        if get_origin(kind) is tuple and is_dataclass(get_args(kind)[0]):
            return True, get_args(kind)[0]
        if isinstance(kind, type) and is_dataclass(kind):
            return False, cast("type[Entity]", kind)
    return None


def _alternatives(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if isinstance(kind, UnionType) else (kind,)


def _default(field: Field[Any]) -> Any:
    """What a field holds that the client's version doesn't have yet."""
    if field.default is not MISSING:
        return field.default
    kinds = _alternatives(field.type)
    if NoneType in kinds:
        return None
    kind = get_origin(kinds[0]) or kinds[0]
    return next(base() for base in (bool, int, str, bytes, tuple) if base in kind.__mro__)
