"""AMQP values in Python (part 1 of the specification).

Python's own types stand for the AMQP types they are closest to, and a subclass for each of the others, so that
what was decoded encodes to the same type again:

    None null · bool boolean · int long · float double · str string · bytes binary · UUID uuid · list list · dict map
"""

from dataclasses import dataclass
from uuid import UUID


class Ubyte(int):
    """0 to 2^8-1."""


class Ushort(int):
    """0 to 2^16-1."""


class Uint(int):
    """0 to 2^32-1."""


class Ulong(int):
    """0 to 2^64-1."""


class Byte(int):
    """-2^7 to 2^7-1."""


class Short(int):
    """-2^15 to 2^15-1."""


class Int(int):
    """-2^31 to 2^31-1."""


class Timestamp(int):
    """Milliseconds since 1970-01-01T00:00Z."""


class Float(float):
    """IEEE 754 binary32."""


class Char(str):
    """One Unicode character."""

    __slots__ = ()


class Symbol(str):
    """A word of a restricted domain, in ASCII."""

    __slots__ = ()


class Decimal32(bytes):
    """IEEE 754-2008 decimal32, as its 4 bytes. Decimals are passed on and never calculated with."""


class Decimal64(bytes):
    """IEEE 754-2008 decimal64, as its 8 bytes."""


class Decimal128(bytes):
    """IEEE 754-2008 decimal128, as its 16 bytes."""


@dataclass(frozen=True, slots=True)
class Array:
    """Values of one and the same type."""

    items: tuple["Value", ...]


@dataclass(frozen=True, slots=True)
class Described:
    """A value with a descriptor (Ulong or Symbol, usually) that says what it stands for."""

    descriptor: "Value"
    value: "Value"


# Every class above but the last two is a subclass of one of these.
Value = None | bool | int | float | str | bytes | UUID | list["Value"] | dict["Value", "Value"] | Array | Described
Map = dict[Value, Value]
