"""Partition keys: definitions, values, and the hash that places an item in a partition key range.

The effective partition key is computed as the service and its SDKs compute it
(`azure.cosmos.partition_key.PartitionKey`), so a client that hashes for itself (feed ranges, session tokens, prefixes
of hierarchical keys) finds the same range. Ranges compare effective partition keys as upper-case hexadecimal text.
"""

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import mmh3

from localcloud.cosmos.errors import BadRequestError
from localcloud.cosmos.values import UNDEFINED, is_double

MIN_EPK, MAX_EPK = "", "FF"
MAX_KEY_BYTES = 2048
Component = object  # None, bool, int, float, str or UNDEFINED


@dataclass(frozen=True, slots=True)
class PartitionKeyDefinition:
    """`paths` are token lists: (("address", "city"),). `kind` is Hash or MultiHash, `version` 1 or 2."""

    paths: tuple[tuple[str, ...], ...]
    kind: str
    version: int

    def extract(self, document: Mapping[str, object]) -> tuple[Component, ...]:
        """The values in a document, UNDEFINED where there is none; BadRequestError for an object or an array."""
        return tuple(_component_at(document, path) for path in self.paths)

    def is_prefix(self, values: Sequence[Component]) -> bool:
        return self.kind == "MultiHash" and len(values) < len(self.paths)

    def effective(self, values: Sequence[Component]) -> str:
        """The effective partition key of full values, or the common start of those of a hierarchical prefix."""
        if not values:
            return MIN_EPK
        if self.kind == "MultiHash":
            return "".join(_hash_v2(_bytes_for_hash(value, b"\xff")) for value in values)
        return _hash_v2(_bytes_for_hash(values[0], b"\xff")) if self.version == 2 else _hash_v1(values[0])


@dataclass(frozen=True, slots=True)
class PartitionKeyRange:
    """Items whose effective partition key is at least `low` and below `high`."""

    id: str
    low: str
    high: str

    def holds(self, epk: str) -> bool:
        return self.low <= epk < self.high


def parse_definition(resource: Mapping[str, object]) -> PartitionKeyDefinition:
    """Read `{"paths": ["/a/b"], "kind": "Hash", "version": 2}`; BadRequestError says what is wrong with it."""
    paths = resource.get("paths")
    if not isinstance(paths, list) or not paths or not all(isinstance(p, str) for p in paths):
        raise BadRequestError("The partition key definition needs a non-empty list of paths such as '/userId'.")
    kind = resource.get("kind", "Hash")
    if kind not in ("Hash", "MultiHash"):
        raise BadRequestError(f"The partition key kind {kind!r} is not one of 'Hash' and 'MultiHash'.")
    if kind == "MultiHash" and len(paths) > 3:
        raise BadRequestError(f"Too many partition key paths: {len(paths)} are specified where 3 are allowed.")
    if kind == "Hash" and len(paths) != 1:
        raise BadRequestError(
            f"Too many partition key paths: {len(paths)} are specified where the kind {kind} takes one and MultiHash "
            "up to three."
        )
    version = resource.get("version", 1)
    if version not in (1, 2):
        raise BadRequestError(f"The partition key version {version!r} is not 1 or 2.")
    return PartitionKeyDefinition(tuple(parse_path(path) for path in paths), str(kind), int(version))


def parse_path(path: str) -> tuple[str, ...]:
    """`/address/"zip code"` to ("address", "zip code")."""
    if not path.startswith("/") or path == "/":
        raise BadRequestError(f"The path {path!r} is not valid: expected '/' and a property name.")
    tokens: list[str] = []
    rest = path
    while rest:
        rest = rest[1:]
        if rest[:1] in ('"', "'"):
            token, closing, rest = rest[1:].partition(rest[0])
            if not closing or (rest and not rest.startswith("/")):
                raise BadRequestError(f"The path {path!r} is not valid: a quote is not closed.")
        else:
            token, slash, rest = rest.partition("/")
            rest = slash + rest
        tokens.append(token)
    return tuple(tokens)


def parse_values(header: str) -> tuple[Component, ...]:
    """The header `x-ms-documentdb-partitionkey`: a JSON array, in which `{}` stands for a missing value."""
    try:
        values = json.loads(header)
    except ValueError:
        values = None
    if not isinstance(values, list):
        raise BadRequestError(f"Partition key {header} is invalid: expected a JSON array.")
    return tuple(UNDEFINED if value == {} else check_component(value) for value in values)


def check_component(value: object) -> Component:
    if isinstance(value, dict | list):
        raise BadRequestError(
            f"Partition key value {json.dumps(value)} is invalid: objects and arrays are not allowed."
        )
    if isinstance(value, int | float) and not is_double(value):
        raise BadRequestError("Partition key value is invalid: expected a number of 64 bits, as IEEE 754 has it.")
    if isinstance(value, str) and len(value.encode()) > MAX_KEY_BYTES:
        raise BadRequestError(f"Partition key value has {len(value.encode())} bytes, more than {MAX_KEY_BYTES}.")
    return value


def canonical(values: Sequence[Component]) -> str:
    """A text that is the same for equal keys: 1 equals 1.0, and True does not equal 1."""
    return json.dumps(
        [
            {} if value is UNDEFINED else int(value) if isinstance(value, float) and value.is_integer() else value
            for value in values
        ],
        separators=(",", ":"),
    )


@lru_cache(maxsize=64)
def ranges_of(version: int, count: int) -> tuple[PartitionKeyRange, ...]:
    """Split the effective partition keys of a hash version into `count` ranges, as the service does.

    All have the same width, except for the last one, which has the rest.
    """
    if version == 1:
        bounds = [_number_v1(float(i * ((1 << 32) // count))) for i in range(1, count)]
    else:
        bounds = [f"{i * ((1 << 126) // count):032X}" for i in range(1, count)]
    edges = [MIN_EPK, *bounds, MAX_EPK]
    return tuple(PartitionKeyRange(str(i), edges[i], edges[i + 1]) for i in range(count))


def _component_at(document: Mapping[str, object], path: tuple[str, ...]) -> Component:
    value: object = document
    for token in path:
        if not isinstance(value, dict) or token not in value:
            return UNDEFINED
        value = value[token]
    if isinstance(value, dict | list):
        return UNDEFINED
    return check_component(value)


def _bytes_for_hash(value: Component, string_end: bytes) -> bytes:
    if value is UNDEFINED:
        return b"\x00"
    if value is None:
        return b"\x01"
    if value is False:
        return b"\x02"
    if value is True:
        return b"\x03"
    if isinstance(value, str):
        return b"\x08" + value.encode() + string_end
    return b"\x05" + struct.pack("<d", float(value))  # type: ignore[arg-type]  # only numbers are left


def _hash_v2(data: bytes) -> str:
    digest = bytearray(mmh3.mmh3_x64_128_digest(data, 0)[::-1])
    digest[0] &= 0x3F
    return digest.hex().upper()


def _hash_v1(value: Component) -> str:
    cut = value[:100] if isinstance(value, str) else value
    hashed = float(mmh3.hash(_bytes_for_hash(cut, b"\x00"), 0, signed=False))
    return _number_v1(hashed) + _component_v1(cut)


def _component_v1(value: Component) -> str:
    if isinstance(value, str):
        data = value.encode()
        text = bytes((byte + 1) & 0xFF for byte in data[:101])
        return (b"\x08" + text + (b"\x00" if len(data) <= 100 else b"")).hex().upper()
    if value is None or value is UNDEFINED or isinstance(value, bool):
        return _bytes_for_hash(value, b"").hex().upper()
    return _number_v1(float(value))  # type: ignore[arg-type]  # only numbers are left


def _number_v1(number: float) -> str:
    """A number in an order-preserving variable length: 8 bits, then 7 a byte with a continuation bit."""
    bits = struct.unpack("<Q", struct.pack("<d", number))[0]
    bits = bits ^ (1 << 63) if bits < 1 << 63 else (~bits + 1) & (1 << 64) - 1
    out = bytearray((5, bits >> 56))
    rest = bits << 8 & (1 << 64) - 1
    last: int | None = None
    while rest:
        if last is not None:
            out.append(last)
        last = rest >> 56 | 1
        rest = rest << 7 & (1 << 64) - 1
    out.append((last or 0) & 0xFE)
    return out.hex().upper()
