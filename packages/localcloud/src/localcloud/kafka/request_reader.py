"""Bytes of a request to an entity, by the fields that kio's classes describe.

kio's own reader allocates memory by the length that an array claims, and raises for unknown tagged fields. This reader
checks each length against the bytes that are left, and skips unknown tagged fields (KIP-482).
"""

from collections.abc import Callable
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import timedelta
from functools import cache
from struct import Struct, error
from types import NoneType, UnionType
from typing import Any, cast, get_args, get_origin
from uuid import UUID

from kio.static.protocol import Entity

MALFORMED = (error, IndexError, ValueError)
"""What a reader raises for bytes that don't hold what they should."""
MAX_STRING_BYTES = 0x7FFF
"""Kafka's limit, which is older than the encoding that could hold more."""

Reader = Callable[[bytes, int], tuple[Any, int]]

_FORMATS = {"bool": "?", "int8": "b", "int16": "h", "int32": "i", "int64": "q", "uint16": "H", "uint32": "I"}
_MS = timedelta(milliseconds=1)
_LEAST_MS, _MOST_MS = timedelta.min // _MS, timedelta.max // _MS
_INT16, _INT32 = Struct(">h"), Struct(">i")


def read_uvarint(data: bytes, at: int) -> tuple[int, int]:
    """An unsigned number of at most five bytes."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 28:
            raise ValueError("a variable-length number of more than five bytes")


@cache
def entity_reader(schema: type[Entity], target: type[Entity]) -> Reader:
    """Reads an entity of `schema` as one of `target`, a later version of it.

    Fields that only `target` has get their defaults; those that it lacks are dropped. The reader raises one of
    `MALFORMED`.
    """
    kept = {field.name: field for field in fields(target)}
    missing = {name: default_of(field) for name, field in kept.items() if name not in _names(schema)}
    plain: list[tuple[str | None, Reader]] = []
    tagged: dict[int, tuple[str | None, Reader]] = {}
    for field in fields(schema):
        name = field.name if field.name in kept else None
        reader = _field_reader(schema, field, kept.get(field.name))
        if "tag" in field.metadata:
            tagged[field.metadata["tag"]] = name, reader
            if name is not None:
                missing[name] = default_of(field)
        else:
            plain.append((name, reader))
    flexible = schema.__flexible__
    make = cast("Callable[..., Any]", target)

    def read(data: bytes, at: int) -> tuple[Any, int]:
        values = dict(missing)
        for name, reader in plain:
            value, at = reader(data, at)
            if name is not None:
                values[name] = value
        if flexible:
            at = _read_tagged(data, at, tagged, values)
        return make(**values), at

    return read


def _names(schema: type[Entity]) -> set[str]:
    return {field.name for field in fields(schema)}


def _read_tagged(data: bytes, at: int, known: dict[int, tuple[str | None, Reader]], values: dict[str, Any]) -> int:
    count, at = read_uvarint(data, at)
    for _ in range(count):
        tag, at = read_uvarint(data, at)
        size, at = read_uvarint(data, at)
        end = at + size
        if end > len(data):
            raise ValueError(f"tagged field {tag} says {size} bytes, there are {len(data) - at}")
        if tag in known:
            name, reader = known[tag]
            value, read_to = reader(data[:end], at)
            if read_to != end:
                raise ValueError(f"tagged field {tag} says {size} bytes and has {read_to - at}")
            if name is not None:
                values[name] = value
        at = end
    return at


def _field_reader(schema: type[Entity], field: Field[Any], wanted: Field[Any] | None) -> Reader:
    """How to read `field` of `schema` as `wanted` has it (None: it is dropped)."""
    kinds = _alternatives(field.type)
    nullable = NoneType in kinds and "tag" not in field.metadata
    kind = next(kind for kind in kinds if kind is not NoneType)
    flexible = schema.__flexible__ and not (schema.__name__ == "RequestHeader" and field.name == "client_id")
    inner = get_args(kind)[0] if get_origin(kind) is tuple else None
    entity = inner or kind
    if is_dataclass(entity):
        old = cast("type[Entity]", entity)
        item = entity_reader(old, _entity_of(wanted) or old)
    else:
        item = _primitive(field.metadata["kafka_type"], flexible, nullable and inner is None)
    return _array(item, flexible, nullable) if inner is not None else item


def _entity_of(field: Field[Any] | None) -> type[Entity] | None:
    """The class of the entities that a field holds, alone or in an array."""
    if field is None:
        return None
    kind = next(kind for kind in _alternatives(field.type) if kind is not NoneType)
    return cast("type[Entity]", get_args(kind)[0] if get_origin(kind) is tuple else kind)


def _alternatives(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if isinstance(kind, UnionType) else (kind,)


def default_of(field: Field[Any]) -> Any:
    """What a field holds that the client's version doesn't have."""
    if field.default is not MISSING:
        return field.default
    kinds = _alternatives(field.type)
    if NoneType in kinds:
        return None
    kind = get_origin(kinds[0]) or kinds[0]
    return next(base() for base in (bool, int, str, bytes, tuple) if base in kind.__mro__)


def _array(item: Reader, flexible: bool, nullable: bool) -> Reader:
    length = _length(flexible, _INT32)

    def read(data: bytes, at: int) -> tuple[Any, int]:
        count, at = length(data, at)
        if count < 0:
            _check_null(count, nullable)
            return None, at
        if count > len(data) - at:
            raise ValueError(f"an array says {count} items, and only {len(data) - at} bytes follow")
        found = []
        for _ in range(count):
            value, at = item(data, at)
            found.append(value)
        return tuple(found), at

    return read


def _primitive(kind: str, flexible: bool, nullable: bool) -> Reader:
    if kind in _FORMATS:
        return _number(Struct(">" + _FORMATS[kind]))
    if kind == "uuid":
        return _read_uuid
    if kind in ("timedelta_i32", "timedelta_i64"):
        return _duration(Struct(">i" if kind == "timedelta_i32" else ">q"))
    if kind == "string":
        return _sized(_length(flexible, _INT16), nullable, text=True)
    if kind in ("bytes", "records"):
        return _sized(_length(flexible, _INT32), nullable, text=False)
    raise NotImplementedError(f"No request that is served has a field of type {kind!r}.")


def _number(form: Struct) -> Reader:
    unpack, size = form.unpack_from, form.size
    return lambda data, at: (unpack(data, at)[0], at + size)


def _duration(form: Struct) -> Reader:
    """Milliseconds; those that no timedelta can hold become the longest that there is."""

    def read(data: bytes, at: int) -> tuple[timedelta, int]:
        (ms,) = form.unpack_from(data, at)
        return timedelta(milliseconds=max(_LEAST_MS, min(ms, _MOST_MS))), at + form.size

    return read


def _read_uuid(data: bytes, at: int) -> tuple[UUID | None, int]:
    """None for the zero id, which says that there is none."""
    raw = data[at : at + 16]
    if len(raw) < 16:
        raise ValueError(f"an id has 16 bytes, there are {len(raw)}")
    return UUID(bytes=raw) if any(raw) else None, at + 16


def _length(flexible: bool, form: Struct) -> Callable[[bytes, int], tuple[int, int]]:
    """Reads a length, -1 for null."""
    if not flexible:
        return _number(form)

    def read(data: bytes, at: int) -> tuple[int, int]:
        length, at = read_uvarint(data, at)
        return length - 1, at

    return read


def _sized(length: Callable[[bytes, int], tuple[int, int]], nullable: bool, *, text: bool) -> Reader:
    def read(data: bytes, at: int) -> tuple[Any, int]:
        size, at = length(data, at)
        if size < 0:
            _check_null(size, nullable)
            return None, at
        end = at + size
        if end > len(data):
            raise ValueError(f"a value says {size} bytes, there are {len(data) - at}")
        if not text:
            return data[at:end], end
        if size > MAX_STRING_BYTES:
            raise ValueError(f"a string has {size} bytes, at most {MAX_STRING_BYTES} are taken")
        return data[at:end].decode(), end

    return read


def _check_null(length: int, nullable: bool) -> None:
    if length < -1 or not nullable:
        raise ValueError(f"a length of {length}; expected 0 or more{', or -1 for null' if nullable else ''}")
