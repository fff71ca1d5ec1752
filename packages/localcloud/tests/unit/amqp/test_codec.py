"""AMQP values to bytes and back, against ourselves and against Azure's own codec."""

import contextlib
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from azure.eventhub._pyamqp._decode import _DECODE_BY_CONSTRUCTOR
from azure.eventhub._pyamqp._encode import encode_value
from hypothesis import given
from hypothesis import strategies as st

from localcloud.amqp.codec import MAX_DEPTH, DecodeError, EncodeError, decode, encode, skip
from localcloud.amqp.types import (
    Array,
    Byte,
    Char,
    Decimal32,
    Decimal64,
    Described,
    Int,
    Short,
    Symbol,
    Timestamp,
    Ubyte,
    Uint,
    Ulong,
    Ushort,
    Value,
)
from localcloud_tests.unit.amqp.values import SCALARS, VALUES


def typed(value: Value) -> object:
    """A value with its types, which == does not look at."""
    match value:
        case list():
            return [typed(item) for item in value]
        case dict():
            return [(typed(key), typed(item)) for key, item in value.items()]
        case Array(items):
            return Array, [typed(item) for item in items]
        case Described(descriptor, inner):
            return Described, typed(descriptor), typed(inner)
    return type(value), value


@given(VALUES)
def test_what_was_encoded_decodes_to_the_same_value_of_the_same_type(value: Value) -> None:
    data = encode(value)
    decoded, end = decode(data)
    assert typed(decoded) == typed(value)
    assert end == skip(data) == len(data)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_value_or_a_decode_error(data: bytes) -> None:
    try:
        value, end = decode(data)
    except DecodeError:
        return
    assert skip(data) == end <= len(data)
    encode(value)


@given(VALUES, st.data())
def test_a_value_that_is_cut_off_is_a_decode_error(value: Value, data: st.DataObject) -> None:
    encoded = encode(value)
    short = encoded[: data.draw(st.integers(0, len(encoded) - 1))]
    with pytest.raises(DecodeError):
        decode(short)
    with pytest.raises(DecodeError):
        skip(short)


@given(VALUES, st.data())
def test_a_damaged_byte_gives_a_value_or_a_decode_error(value: Value, data: st.DataObject) -> None:
    damaged = bytearray(encode(value))
    damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(DecodeError):
        decode(bytes(damaged))


def azure_decoded(data: bytes) -> Any:
    view = memoryview(data)
    rest, value = _DECODE_BY_CONSTRUCTOR[view[0]](view[1:])
    assert not rest
    return value


def as_azure_shows(value: Value) -> Any:
    """Azure's decoder has text as bytes and arrays as lists."""
    match value:
        case str():
            return value.encode()
        case list():
            return [as_azure_shows(item) for item in value]
        case dict():
            return {as_azure_shows(key): as_azure_shows(item) for key, item in value.items()}
        case Array(items):
            return [as_azure_shows(item) for item in items]
    return value


def unknown_to_azure(value: Value) -> bool:
    """Azure's codec has no characters and no decimals, and loses descriptors."""
    match value:
        case list() | Array():
            items = value.items if isinstance(value, Array) else value
            return any(map(unknown_to_azure, items)) or (isinstance(value, Array) and not items)
        case dict():
            return any(map(unknown_to_azure, value.values()))
    return isinstance(value, Char | Described) or (type(value) is not bytes and isinstance(value, bytes))


@given(VALUES.filter(lambda value: not unknown_to_azure(value)))
def test_azure_decodes_what_we_encode(value: Value) -> None:
    assert azure_decoded(encode(value)) == as_azure_shows(value)


AZURE_TYPES: dict[type, str] = {
    type(None): "NULL",
    bool: "BOOL",
    Ubyte: "UBYTE",
    Byte: "BYTE",
    Ushort: "USHORT",
    Short: "SHORT",
    Uint: "UINT",
    Int: "INT",
    Ulong: "ULONG",
    int: "LONG",
    float: "DOUBLE",
    Timestamp: "TIMESTAMP",
    UUID: "UUID",
    bytes: "BINARY",
    str: "STRING",
    Symbol: "SYMBOL",
}


@given(st.one_of(SCALARS).filter(lambda value: type(value) in AZURE_TYPES))
def test_we_decode_what_azure_encodes(value: Value) -> None:
    output = bytearray()
    encode_value(output, {"TYPE": AZURE_TYPES[type(value)], "VALUE": value})
    assert typed(decode(bytes(output))[0]) == typed(value)


def nested(wrap: Callable[[bytes], bytes], depth: int) -> bytes:
    data = b"\x40"
    for _ in range(depth):
        data = wrap(data)
    return data


@pytest.mark.parametrize(
    "wrap",
    [
        lambda inner: b"\xd0" + (len(inner) + 4).to_bytes(4) + b"\0\0\0\x01" + inner,
        lambda inner: b"\x00\x53\x24" + inner,
        lambda inner: b"\x00" + inner + b"\x40",
    ],
    ids=["list", "described", "descriptor"],
)
def test_depth_is_bounded(wrap: Callable[[bytes], bytes]) -> None:
    decode(nested(wrap, MAX_DEPTH - 1))
    with pytest.raises(DecodeError, match="deeper"):
        decode(nested(wrap, 10_000))


@pytest.mark.parametrize(
    "data",
    [
        b"\xf0\x00\x00\x00\x05\xff\xff\xff\xff\x40",
        b"\xf0\x00\x00\x00\x05\xff\xff\xff\xff\x45",
        b"\xe0\x02\xff\x60",
        b"\xd0\x00\x00\x00\x04\xff\xff\xff\xff",
    ],
    ids=["nulls", "empty lists", "numbers", "a list"],
)
def test_a_count_alone_costs_no_memory(data: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(data)


def test_a_map_with_a_composite_key_is_refused() -> None:
    with pytest.raises(DecodeError, match="key of a map"):
        decode(b"\xc1\x05\x02\xc0\x01\x00\x40")


def test_descriptors_are_small_ulongs_and_lists_are_never_list0() -> None:
    assert encode(Described(Ulong(0x24), [])) == b"\x00\x53\x24\xc0\x01\x00"


@pytest.mark.parametrize(
    "value",
    [Ubyte(256), Uint(-1), Int(2**31), 2**63, Decimal32(b"123"), Decimal64(b""), Symbol("é"), Array((1, "a"))],
    ids=repr,
)
def test_what_is_out_of_range_is_an_encode_error(value: Value) -> None:
    with pytest.raises(EncodeError):
        encode(value)
    with pytest.raises(EncodeError):
        encode([value])


def test_a_python_value_without_an_amqp_type_is_an_encode_error() -> None:
    with pytest.raises(EncodeError, match="set"):
        encode({1})  # type: ignore[arg-type] # that is the point
