"""Random requests of any API and version, as entities and as frames, with or without unknown tagged fields."""

import io
import random
import struct
import uuid
from dataclasses import MISSING, field, fields, is_dataclass, make_dataclass
from datetime import timedelta
from functools import cache
from types import NoneType, UnionType
from typing import Any, cast, get_args, get_origin

from kio.index import load_request_schema
from kio.serial import entity_writer

from localcloud.log.batch import build

Random = random.Random
NAMES = ("events", "Other", "tables", "nothing-here", "not a name", "", "g", "range", "consumer", "ü", "x" * 300)
NUMBERS = (0, 1, -1, 2, -2, 3, -3, 5, 100, 2**15 - 1, -(2**15), 2**31 - 1, -(2**31), 2**63 - 1, -(2**63))
UNKNOWN_TAG = 1000
_BITS = {"int8": 8, "int16": 16, "int32": 32, "int64": 64}


def entity(rng: Random, schema: Any) -> Any:
    """An entity with values at random, which are often the names of what there is."""
    return schema(**{each.name: _value(rng, each) for each in fields(schema)})


def _value(rng: Random, each: Any) -> Any:
    kinds = get_args(each.type) if isinstance(each.type, UnionType) else (each.type,)
    if NoneType in kinds and rng.random() < 0.3:
        return None
    kind = next(kind for kind in kinds if kind is not NoneType)
    if get_origin(kind) is tuple:
        return tuple(_one(rng, get_args(kind)[0], each) for _ in range(rng.choice((0, 1, 1, 2))))
    return _one(rng, kind, each)


def _one(rng: Random, kind: Any, each: Any) -> Any:
    if is_dataclass(kind):
        return entity(rng, kind)
    match each.metadata["kafka_type"]:
        case "bool":
            return rng.random() < 0.5
        case "string":
            return rng.choice(NAMES)
        case "bytes" | "records":
            return rng.choice((b"", b"x", rng.randbytes(80), build([(b"k", b"v"), (None, None)], 1000)))
        case "uuid":
            return uuid.UUID(int=rng.getrandbits(128) | 1)
        case "timedelta_i32" | "timedelta_i64":
            return timedelta(milliseconds=rng.choice((0, 1, 6000, -1, 2**31 - 1)))
        case number:
            bits = _BITS[number]
            return rng.choice([each for each in NUMBERS if -(2 ** (bits - 1)) <= each < 2 ** (bits - 1)])


@cache
def with_unknown_tag(schema: Any) -> Any:
    """`schema` with one more tagged field, in itself and in everything in it."""
    own = []
    for each in fields(schema):
        options: dict[str, Any] = {"metadata": each.metadata}
        if each.default is not MISSING:
            options["default"] = each.default
        own.append((each.name, _extended(each.type), field(**options)))
    own.append(("unknown", bytes, field(metadata={"kafka_type": "bytes", "tag": UNKNOWN_TAG})))
    extended: Any = make_dataclass(schema.__name__, own, kw_only=True)
    extended.__flexible__ = schema.__flexible__
    return extended


def _extended(kind: Any) -> Any:
    if isinstance(kind, UnionType):
        first, second = get_args(kind)
        return _extended(first) | _extended(second)
    if get_origin(kind) is tuple:
        return tuple[_extended(get_args(kind)[0]), ...]  # type: ignore[misc] # made at run time
    return with_unknown_tag(cast(Any, kind)) if is_dataclass(kind) else kind


def decorated(value: Any, content: bytes) -> Any:
    """The entity, as one that has an unknown tagged field of that content everywhere."""
    if isinstance(value, tuple):
        return tuple(decorated(each, content) for each in value)
    if not is_dataclass(value):
        return value
    values = {each.name: decorated(getattr(value, each.name), content) for each in fields(value)}
    return with_unknown_tag(cast(Any, type(value)))(**values, unknown=content)


def written(value: Any) -> bytes:
    out = io.BytesIO()
    entity_writer(type(value))(out, value)
    return out.getvalue()


def frame(api_key: int, api_version: int, request: Any, tag: bytes | None = None) -> bytes:
    """A request's frame; with `tag` its header has an unknown tagged field of that content."""
    schema = cast("Any", load_request_schema(api_key, api_version)).__header_schema__
    header = schema(request_api_key=api_key, request_api_version=api_version, correlation_id=7, client_id="random")
    if tag is None or not schema.__flexible__:
        return written(header) + written(request)
    head = struct.pack(">hhih", api_key, api_version, 7, 6) + b"random"
    return head + b"\x01\xe8\x07" + bytes((len(tag),)) + tag + written(request)
