"""Decimals in the form in which Service Bus hands them out.

A decimal128 of IEEE 754-2008 has a sign bit, 14 bits of exponent and 113 of significand. The decoders of Azure's
clients take the exponent's upper seven bits two places higher than the standard has them, and the message is lost when
they meet the standard's own form. Clients in Python send that form, and receive the other one.
"""

from typing import Final

from localcloud.amqp.types import Decimal128, Map

_SPECIAL: Final = 0x60  # infinities, NaN and significands that no client sends
_GREATEST: Final = 12_287 >> 9  # upper bits beyond which clients find the exponent out of range
_UNSAID: Final = 0b1_1000_0000  # bits of the exponent that clients do not read


def deliverable(values: Map) -> Map:
    """`values` with their decimals in the form that clients read."""
    if not any(isinstance(value, Decimal128) for value in values.values()):
        return values
    return {name: delivered(value) if isinstance(value, Decimal128) else value for name, value in values.items()}


def delivered(value: Decimal128) -> Decimal128:
    """The same number in the form that clients read, for exponents of -32 to 95; any other value as it is."""
    first, second = value[0], value[1]
    upper = first & 0x7F
    exponent = upper << 7 | second >> 1
    if first & _SPECIAL == _SPECIAL or upper <= _GREATEST or exponent & _UNSAID:
        return value
    return Decimal128(bytes((first & 0x80 | exponent >> 9, second)) + value[2:])
