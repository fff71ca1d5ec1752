"""The hash by which a partition key has its partition."""

from collections.abc import Sequence
from functools import lru_cache
from struct import unpack

_MASK = 0xFFFF_FFFF
_REMEMBERED = 1 << 14
"""So many keys' hashes are remembered: an entry takes some 180 bytes, and to make it some microseconds."""


@lru_cache(_REMEMBERED)
def key_hash(key: str) -> int:
    """The hash by which Event Hubs' SDKs choose a partition for a key: -32768 to 32767.

    It is Bob Jenkins' lookup3, `hashlittle2`, over code points, as in azure-eventhub's PartitionResolver. The partition
    is the one at this number, modulo how many there are.
    """
    if not key:
        return 0
    words = _words(key)
    a = b = c = 0xDEADBEEF + len(key) & _MASK
    at = 0
    while True:
        first, second, third = words[at : at + 3]
        a = a + first & _MASK
        b = b + second & _MASK
        c = c + third & _MASK
        at += 3
        if at >= len(words):
            break
        a = (a - c & _MASK) ^ (c << 4 & _MASK | c >> 28)
        c = c + b & _MASK
        b = (b - a & _MASK) ^ (a << 6 & _MASK | a >> 26)
        a = a + c & _MASK
        c = (c - b & _MASK) ^ (b << 8 & _MASK | b >> 24)
        b = b + a & _MASK
        a = (a - c & _MASK) ^ (c << 16 & _MASK | c >> 16)
        c = c + b & _MASK
        b = (b - a & _MASK) ^ (a << 19 & _MASK | a >> 13)
        a = a + c & _MASK
        c = (c - b & _MASK) ^ (b << 4 & _MASK | b >> 28)
        b = b + a & _MASK
    c = (c ^ b) - (b << 14 & _MASK | b >> 18) & _MASK
    a = (a ^ c) - (c << 11 & _MASK | c >> 21) & _MASK
    b = (b ^ a) - (a << 25 & _MASK | a >> 7) & _MASK
    c = (c ^ b) - (b << 16 & _MASK | b >> 16) & _MASK
    a = (a ^ c) - (c << 4 & _MASK | c >> 28) & _MASK
    b = (b ^ a) - (a << 14 & _MASK | a >> 18) & _MASK
    c = (c ^ b) - (b << 24 & _MASK | b >> 8) & _MASK
    low = (c ^ b) & 0xFFFF
    return low - (low >> 15 << 16)


def _words(key: str) -> Sequence[int]:
    """Four code points each, the first one lowest, with zeros behind the last up to a multiple of three words."""
    padding = -len(key) % 12
    if key.isascii():
        return unpack(f"<{(len(key) + padding) // 4}I", key.encode() + bytes(padding))
    units = [*map(ord, key), *[0] * padding]
    return [
        units[at] + (units[at + 1] << 8) + (units[at + 2] << 16) + (units[at + 3] << 24)
        for at in range(0, len(units), 4)
    ]
