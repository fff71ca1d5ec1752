"""Avro schemas of events and documents, generated from the same types as the JSON Schemas.

Source: Apache Avro 1.12 specification. A moment is a `timestamp-micros`; an optional field a union with null that
is null by default. Limits on values (lengths, patterns, ranges) have no place in Avro and stand in the JSON Schema.
"""

from typing import Any

from msgspec import NODEFAULT, Struct, inspect, structs

from songline.schemas import commands
from songline.schemas.commands import CommandPayload
from songline.schemas.events import TYPE_NAMES, Payload
from songline.schemas.written import written, written_command


def event_schema(payload: type[Payload]) -> dict[str, Any]:
    """The record of a whole event; its namespace is the event's type name."""
    return _schema(written(payload), TYPE_NAMES[payload])


def command_schema(order: type[CommandPayload]) -> dict[str, Any]:
    """The record of a whole command; its namespace is the command's type name."""
    return _schema(written_command(order), commands.TYPE_NAMES[order])


def document_schema(name: str, kind: type[Struct]) -> dict[str, Any]:
    """The record of an answer of the read API; its namespace is `songline.` and the name."""
    return _schema(kind, f"songline.{name}")


def _schema(kind: type[Struct], namespace: str) -> dict[str, Any]:
    described = inspect.type_info(kind)
    assert isinstance(described, inspect.StructType)
    record = _record(described, set())
    return {"type": "record", "name": record.pop("name"), "namespace": namespace, **record}


def _record(described: inspect.StructType, known: set[str]) -> dict[str, Any]:
    """`known` are the records that stand before this one: a name is defined once, and is its own reference after."""
    known.add(described.cls.__name__)
    fields = []
    for field in described.fields:
        entry: dict[str, Any] = {"name": field.encode_name, "type": _type(field.type, known)}
        if field.default is not NODEFAULT:
            entry["default"] = _default(field.default)
        fields.append(entry)
    doc = " ".join((described.cls.__doc__ or "").split())
    return {"type": "record", "name": described.cls.__name__, "doc": doc, "fields": fields}


def _default(value: Any) -> Any:
    """As it stands in the schema: a record with all of its fields, those too that JSON leaves out."""
    if not isinstance(value, Struct):
        return value
    return {field.encode_name: _default(getattr(value, field.name)) for field in structs.fields(value)}


def _type(described: inspect.Type, known: set[str]) -> Any:
    match described:
        case inspect.Metadata():
            return _type(described.type, known)
        case inspect.StructType():
            name = described.cls.__name__
            return name if name in known else _record(described, known)
        case inspect.UnionType():
            # Null first: the default of a union must be of its first branch.
            members = sorted(described.types, key=lambda member: not isinstance(member, inspect.NoneType))
            return [_type(member, known) for member in members]
        case inspect.ListType() | inspect.VarTupleType():
            return {"type": "array", "items": _type(described.item_type, known)}
        case inspect.DictType():
            return {"type": "map", "values": _type(described.value_type, known)}
        case inspect.DateTimeType():
            return {"type": "long", "logicalType": "timestamp-micros"}
        case inspect.NoneType():
            return "null"
        case inspect.BoolType():
            return "boolean"
        case inspect.IntType():
            return "long"
        case inspect.FloatType():
            return "double"
        case inspect.StrType() | inspect.LiteralType():
            return "string"
    raise TypeError(f"{described!r} has no Avro form here: add one to schemas/avro.py")
