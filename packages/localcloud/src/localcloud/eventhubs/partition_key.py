"""Which partition a key belongs to: Bob Jenkins' lookup3 `hashlittle2`, as Azure's buffered producers use it.

The SDKs hash keys themselves when they buffer, and leave it to the service when they don't. Both have to agree, so
this reproduces `azure/eventhub/_buffered_producer/_partition_resolver.py`, which adds up code points where the
original (http://burtleburtle.net/bob/c/lookup3.c) has bytes; for ASCII keys that is the same.
"""

_MASK = 0xFFFF_FFFF


def partition_of(key: str, partitions: int) -> int:
    """The number of the partition, of `partitions`, that events with `key` go to."""
    return hash_code(key) % partitions


def hash_code(key: str) -> int:
    """-32768 to 32767; 0 for an empty key."""
    if not key:
        return 0
    c, b = _hashlittle2([ord(char) for char in key])
    low = (c ^ b) & 0xFFFF
    return low - (low >> 15 << 16)


def _hashlittle2(units: list[int]) -> tuple[int, int]:
    a = b = c = 0xDEADBEEF + len(units) & _MASK
    at = 0
    while len(units) - at > 12:
        a, b, c = _mix(a + _word(units, at), b + _word(units, at + 4), c + _word(units, at + 8))
        at += 12
    return _final(a + _word(units, at), b + _word(units, at + 4), c + _word(units, at + 8))


def _word(units: list[int], at: int) -> int:
    return sum(unit << 8 * place for place, unit in enumerate(units[at : at + 4]))


def _rotated(value: int, bits: int) -> int:
    return value << bits | value >> 32 - bits


def _mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    a, b, c = a & _MASK, b & _MASK, c & _MASK
    for bits in (4, 6, 8, 16, 19, 4):
        # One step on (a, b, c), which then change places.
        a = (a - c ^ _rotated(c, bits)) & _MASK
        c = c + b & _MASK
        a, b, c = b, c, a
    return a, b, c


def _final(a: int, b: int, c: int) -> tuple[int, int]:
    a, b, c = a & _MASK, b & _MASK, c & _MASK
    for bits in (14, 11, 25, 16, 4, 14, 24):
        c = (c ^ b) - _rotated(b, bits) & _MASK
        a, b, c = b, c, a
    return b, a
