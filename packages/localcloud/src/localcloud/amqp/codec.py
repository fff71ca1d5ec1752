"""AMQP values to bytes and back (part 1, section 1.6).

The encoder gives the shortest form, but never `list0`, and numbers descriptors as `smallulong`: Azure's Python SDK
skips two bytes for a descriptor and looks for the body's size without looking at its code.
"""

import struct
from collections.abc import Callable
from typing import Final
from uuid import UUID

from localcloud.amqp.types import (
    Array,
    Byte,
    Char,
    Decimal32,
    Decimal64,
    Decimal128,
    Described,
    Float,
    Int,
    Map,
    Short,
    Symbol,
    Timestamp,
    Ubyte,
    Uint,
    Ulong,
    Ushort,
    Value,
)

MAX_DEPTH: Final = 32
MAX_EMPTY_ITEMS: Final = 4096  # of an array whose items take no bytes: its count alone would cost memory


class DecodeError(ValueError):
    """Bytes of the peer that are no AMQP value."""


class EncodeError(ValueError):
    """A value of ours that is no AMQP value."""


_U16 = struct.Struct(">H")
_U32 = struct.Struct(">I")
_U64 = struct.Struct(">Q")
_I16 = struct.Struct(">h")
_I32 = struct.Struct(">i")
_I64 = struct.Struct(">q")
_F32 = struct.Struct(">f")
_F64 = struct.Struct(">d")


def _boolean(octet: bytes) -> bool:
    if octet not in (b"\x00", b"\x01"):
        raise DecodeError(f"a boolean is 0 or 1, this one is {octet[0]}")
    return octet == b"\x01"


def _char(octets: bytes) -> Char:
    return Char(chr(_U32.unpack(octets)[0]))


_FIXED: Final[dict[int, tuple[int, Callable[[bytes], Value]]]] = {
    0x40: (0, lambda _: None),
    0x41: (0, lambda _: True),
    0x42: (0, lambda _: False),
    0x43: (0, lambda _: Uint(0)),
    0x44: (0, lambda _: Ulong(0)),
    0x50: (1, lambda b: Ubyte(b[0])),
    0x51: (1, lambda b: Byte(b[0] - (b[0] >> 7 << 8))),
    0x52: (1, lambda b: Uint(b[0])),
    0x53: (1, lambda b: Ulong(b[0])),
    0x54: (1, lambda b: Int(b[0] - (b[0] >> 7 << 8))),
    0x55: (1, lambda b: b[0] - (b[0] >> 7 << 8)),
    0x56: (1, _boolean),
    0x60: (2, lambda b: Ushort(_U16.unpack(b)[0])),
    0x61: (2, lambda b: Short(_I16.unpack(b)[0])),
    0x70: (4, lambda b: Uint(_U32.unpack(b)[0])),
    0x71: (4, lambda b: Int(_I32.unpack(b)[0])),
    0x72: (4, lambda b: Float(_F32.unpack(b)[0])),
    0x73: (4, _char),
    0x74: (4, Decimal32),
    0x80: (8, lambda b: Ulong(_U64.unpack(b)[0])),
    0x81: (8, lambda b: int(_I64.unpack(b)[0])),
    0x82: (8, lambda b: float(_F64.unpack(b)[0])),
    0x83: (8, lambda b: Timestamp(_I64.unpack(b)[0])),
    0x84: (8, Decimal64),
    0x94: (16, Decimal128),
    0x98: (16, lambda b: UUID(bytes=b)),
}
_VARIABLE: Final[dict[int, tuple[int, Callable[[bytes], Value]]]] = {
    0xA0: (1, bytes),
    0xA1: (1, lambda b: b.decode()),
    0xA3: (1, lambda b: Symbol(b.decode("ascii"))),
    0xB0: (4, bytes),
    0xB1: (4, lambda b: b.decode()),
    0xB3: (4, lambda b: Symbol(b.decode("ascii"))),
}
_COMPOUND: Final = {0xC0: 1, 0xC1: 1, 0xD0: 4, 0xD1: 4, 0xE0: 1, 0xF0: 4}
_MAPS: Final = (0xC1, 0xD1)


def decode(data: bytes, at: int = 0) -> tuple[Value, int]:
    """The value that starts at `at`, and where the next one starts.

    Raises DecodeError for anything malformed, cut off, or nested deeper than MAX_DEPTH.
    """
    try:
        return _decode(data, at, MAX_DEPTH)
    except (IndexError, struct.error):
        raise DecodeError(f"the value at byte {at} is cut off") from None
    except (UnicodeDecodeError, ValueError, OverflowError) as error:
        raise DecodeError(f"the value at byte {at} is malformed: {error}") from None


def skip(data: bytes, at: int = 0) -> int:
    """Where the value that starts at `at` ends, without a look inside. Raises DecodeError when it is cut off."""
    pending = 1
    end = len(data)
    try:
        while pending:
            code = data[at]
            width = code >> 4
            if code == 0:
                pending += 1
                at += 1
                continue
            if width in (0xA, 0xC, 0xE):
                at += 2 + data[at + 1]
            elif width in (0xB, 0xD, 0xF):
                at += 5 + _U32.unpack_from(data, at + 1)[0]
            elif code in _FIXED or code == 0x45:
                at += 1 + (1 << width - 5 if width > 4 else 0)
            else:
                raise DecodeError(f"0x{code:02x} at byte {at} is no AMQP type")
            pending -= 1
    except (IndexError, struct.error):
        raise DecodeError("the value is cut off") from None
    if at > end:
        raise DecodeError(f"the value is cut off: it would end at byte {at} of {end}")
    return at


def _decode(data: bytes, at: int, depth: int) -> tuple[Value, int]:
    if data[at] == 0:
        if depth == 0:
            raise DecodeError(f"nested deeper than {MAX_DEPTH}")
        descriptor, at = _decode(data, at + 1, depth - 1)
        value, at = _decode(data, at, depth - 1)
        return Described(descriptor, value), at
    return _decode_as(data[at], data, at + 1, depth)


def _decode_as(code: int, data: bytes, at: int, depth: int) -> tuple[Value, int]:
    fixed = _FIXED.get(code)
    if fixed:
        end = at + fixed[0]
        return fixed[1](_slice(data, at, end)), end
    variable = _VARIABLE.get(code)
    if variable:
        start = at + variable[0]
        end = start + (data[at] if variable[0] == 1 else _U32.unpack_from(data, at)[0])
        return variable[1](_slice(data, start, end)), end
    if code == 0x45:
        return [], at
    width = _COMPOUND.get(code)
    if width is None:
        raise DecodeError(f"0x{code:02x} is no AMQP type")
    if depth == 0:
        raise DecodeError(f"nested deeper than {MAX_DEPTH}")
    if width == 1:
        size, count = data[at], data[at + 1]
    else:
        size, count = struct.unpack_from(">II", data, at)
    start, end = at + 2 * width, at + width + size
    if end > len(data) or start > end:
        raise DecodeError(f"the value would end at byte {end} of {len(data)}")
    if code >= 0xE0:
        value, at = _array(data, start, end, count, depth - 1)
    else:
        if count > end - start:
            raise DecodeError(f"{count} items do not fit in {end - start} bytes")
        items, at = _items(data, start, count, depth - 1)
        value = _map(items) if code in _MAPS else items
    if at != end:
        raise DecodeError(f"the items end at byte {at}, their size says {end}")
    return value, end


def _slice(data: bytes, start: int, end: int) -> bytes:
    if end > len(data):
        raise DecodeError(f"the value would end at byte {end} of {len(data)}")
    return data[start:end]


def _items(data: bytes, at: int, count: int, depth: int) -> tuple[list[Value], int]:
    items = []
    for _ in range(count):
        item, at = _decode(data, at, depth)
        items.append(item)
    return items, at


def _map(items: list[Value]) -> Map:
    if len(items) % 2:
        raise DecodeError(f"a map has keys and values in pairs, this one {len(items)} items")
    if any(isinstance(key, list | dict) for key in items[::2]):
        raise DecodeError("a list or a map as the key of a map is not supported: use a simple value")
    try:
        return dict(zip(items[::2], items[1::2], strict=True))
    except TypeError:
        raise DecodeError("a composite value as the key of a map is not supported: use a simple value") from None


def _array(data: bytes, at: int, end: int, count: int, depth: int) -> tuple[Value, int]:
    descriptors: list[Value] = []
    while data[at] == 0:
        if len(descriptors) == depth:
            raise DecodeError(f"nested deeper than {MAX_DEPTH}")
        descriptor, at = _decode(data, at + 1, depth)
        descriptors.append(descriptor)
    code, at = data[at], at + 1
    if count > (end - at if code >= 0x50 else MAX_EMPTY_ITEMS):
        raise DecodeError(f"an array of {count} items does not fit in {end - at} bytes")
    items = []
    for _ in range(count):
        item, at = _decode_as(code, data, at, depth)
        for descriptor in reversed(descriptors):
            item = Described(descriptor, item)
        items.append(item)
    return Array(tuple(items)), at


def encode(value: Value) -> bytes:
    """The shortest encoding. Raises EncodeError for what is no AMQP value, or out of its type's range."""
    encoder = _ENCODERS.get(type(value))
    if encoder is None:
        raise EncodeError(f"{type(value).__name__} is no AMQP value")
    try:
        return encoder(value)
    except (struct.error, UnicodeEncodeError, ValueError, OverflowError) as error:
        raise EncodeError(f"{value!r} is no {type(value).__name__}: {error}") from None


def _short_or_long(code: int, kind: struct.Struct, wide: int) -> Callable[[int], bytes]:
    signed = kind in (_I32, _I64)
    low, high = (-128, 127) if signed else (0, 255)

    def encoder(value: int) -> bytes:
        if low <= value <= high:
            return bytes((code, value & 0xFF))
        return bytes((wide,)) + kind.pack(value)

    return encoder


def _sized(short: int, wide: int, data: bytes) -> bytes:
    size = len(data)
    return bytes((short, size)) + data if size < 256 else bytes((wide,)) + _U32.pack(size) + data


def _compound(short: int, wide: int, count: int, body: bytes) -> bytes:
    size = len(body)
    if size < 255 and count < 256:
        return bytes((short, size + 1, count)) + body
    return bytes((wide,)) + struct.pack(">II", size + 4, count) + body


def _encode_described(value: Described) -> bytes:
    return b"\x00" + encode(value.descriptor) + encode(value.value)


def _encode_map(value: Map) -> bytes:
    body = b"".join(encode(key) + encode(item) for key, item in value.items())
    return _compound(0xC1, 0xD1, 2 * len(value), body)


# By type, the one constructor that every item of an array can share, and an item's bytes after it.
_WIDE: Final[dict[type, tuple[int, Callable[..., bytes]]]] = {
    type(None): (0x40, lambda _: b""),
    bool: (0x56, lambda v: b"\x01" if v else b"\x00"),
    Ubyte: (0x50, lambda v: bytes((v,))),
    Byte: (0x51, lambda v: struct.pack(">b", v)),
    Ushort: (0x60, _U16.pack),
    Short: (0x61, _I16.pack),
    Uint: (0x70, _U32.pack),
    Int: (0x71, _I32.pack),
    Ulong: (0x80, _U64.pack),
    int: (0x81, _I64.pack),
    Float: (0x72, _F32.pack),
    float: (0x82, _F64.pack),
    Char: (0x73, lambda v: _U32.pack(ord(v))),
    Timestamp: (0x83, _I64.pack),
    Decimal32: (0x74, bytes),
    Decimal64: (0x84, bytes),
    Decimal128: (0x94, bytes),
    UUID: (0x98, lambda v: v.bytes),
    bytes: (0xB0, lambda v: _U32.pack(len(v)) + v),
    str: (0xB1, lambda v: _U32.pack(len(v.encode())) + v.encode()),
    Symbol: (0xB3, lambda v: _U32.pack(len(v)) + v.encode("ascii")),
    list: (0xD0, lambda v: _wide_compound(len(v), b"".join(map(encode, v)))),
    dict: (0xD1, lambda v: _wide_compound(2 * len(v), b"".join(encode(k) + encode(i) for k, i in v.items()))),
    Array: (0xF0, lambda v: _wide_compound(len(v.items), _array_body(v))),
}


def _wide_compound(count: int, body: bytes) -> bytes:
    return struct.pack(">II", len(body) + 4, count) + body


def _array_body(array: Array) -> bytes:
    items = array.items
    kinds = {type(item) for item in items} or {type(None)}
    if len(kinds) > 1:
        raise EncodeError(f"an array has items of one type, this one of {sorted(k.__name__ for k in kinds)}")
    kind = kinds.pop()
    if kind is Described:
        described = [item for item in items if isinstance(item, Described)]
        descriptors = {encode(item.descriptor) for item in described}
        if len(descriptors) > 1:
            raise EncodeError("the items of an array have one and the same descriptor")
        return b"\x00" + descriptors.pop() + _array_body(Array(tuple(item.value for item in described)))
    if kind not in _WIDE:
        raise EncodeError(f"{kind.__name__} is no AMQP value")
    code, body = _WIDE[kind]
    return bytes((code,)) + b"".join(map(body, items))


def _exact(code: int, size: int) -> Callable[[bytes], bytes]:
    def encoder(value: bytes) -> bytes:
        if len(value) != size:
            raise EncodeError(f"{len(value)} bytes instead of {size}")
        return bytes((code,)) + value

    return encoder


def _fixed(code: int) -> Callable[[Value], bytes]:
    prefix, body = bytes((code,)), next(body for wide, body in _WIDE.values() if wide == code)
    return lambda value: prefix + body(value)


_UINT = _short_or_long(0x52, _U32, 0x70)
_ULONG = _short_or_long(0x53, _U64, 0x80)
_ENCODERS: Final[dict[type, Callable[..., bytes]]] = {
    type(None): lambda _: b"\x40",
    bool: lambda v: b"\x41" if v else b"\x42",
    Ubyte: _fixed(0x50),
    Byte: _fixed(0x51),
    Ushort: _fixed(0x60),
    Short: _fixed(0x61),
    Uint: lambda v: _UINT(v) if v else b"\x43",
    Ulong: lambda v: _ULONG(v) if v else b"\x44",
    Int: _short_or_long(0x54, _I32, 0x71),
    int: _short_or_long(0x55, _I64, 0x81),
    Float: _fixed(0x72),
    float: _fixed(0x82),
    Char: _fixed(0x73),
    Timestamp: _fixed(0x83),
    Decimal32: _exact(0x74, 4),
    Decimal64: _exact(0x84, 8),
    Decimal128: _exact(0x94, 16),
    UUID: _fixed(0x98),
    bytes: lambda v: _sized(0xA0, 0xB0, v),
    str: lambda v: _sized(0xA1, 0xB1, v.encode()),
    Symbol: lambda v: _sized(0xA3, 0xB3, v.encode("ascii")),
    list: lambda v: _compound(0xC0, 0xD0, len(v), b"".join(map(encode, v))),
    dict: _encode_map,
    Array: lambda v: _compound(0xE0, 0xF0, len(v.items), _array_body(v)),
    Described: _encode_described,
}
