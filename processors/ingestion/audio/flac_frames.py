"""Frames of FLAC, alone or inside Ogg. Source: RFC 9639 sections 9.1 (frame header) and 9.3 (frame footer)."""

from functools import cache
from typing import NamedTuple

FRAME_HEAD_MAX = 16

# By their code in a frame header (RFC 9639 section 9.1.2); None: that of STREAMINFO.
_RATES = (None, 88_200, 176_400, 192_000, 8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000)


class FlacFrame(NamedTuple):
    """The number of samples up to its end, its own, samples a second (None where only STREAMINFO says it), and the
    bytes of its header."""

    end: int
    samples: int
    rate: int | None
    head: int


def read_frame(head: bytes, block_size: int) -> FlacFrame | None:
    """The frame that begins with `head`; None when that is no frame header."""
    if len(head) < 6 or head[0] != 0xFF or head[1] & 0xFE != 0xF8 or head[3] & 1:
        return None
    coded = _number(head, 4)
    if coded is None:
        return None
    number, at = coded
    size_code, rate_code = head[2] >> 4, head[2] & 15
    if size_code == 0 or rate_code == 15:
        return None
    size, at = _block_size(size_code, head, at)
    rate, at = _rate(rate_code, head, at)
    if len(head) <= at or crc8(head[: at + 1]) != 0:
        return None
    return FlacFrame((number if head[1] & 1 else number * block_size) + size, size, rate, at + 1)


def _rate(code: int, head: bytes, at: int) -> tuple[int | None, int]:
    match code:
        case 12:
            return int.from_bytes(head[at : at + 1]) * 1000, at + 1
        case 13:
            return int.from_bytes(head[at : at + 2]), at + 2
        case 14:
            return int.from_bytes(head[at : at + 2]) * 10, at + 2
        case _:
            return _RATES[code], at


def _block_size(code: int, head: bytes, at: int) -> tuple[int, int]:
    match code:
        case 1:
            return 192, at
        case 6:
            return int.from_bytes(head[at : at + 1]) + 1, at + 1
        case 7:
            return int.from_bytes(head[at : at + 2]) + 1, at + 2
        case _ if code < 6:
            return 576 << (code - 2), at
        case _:
            return 256 << (code - 8), at


def _number(head: bytes, at: int) -> tuple[int, int] | None:
    """A frame or sample number in UTF-8's manner, up to 36 bits, and where it ends."""
    first = head[at]
    if first < 0x80:
        return first, at + 1
    more = 8 - (first ^ 0xFF).bit_length() - 1
    rest = head[at + 1 : at + 1 + more]
    if not 1 <= more <= 6 or len(rest) < more or any(octet & 0xC0 != 0x80 for octet in rest):
        return None
    number = first & (0x7F >> (more + 1))
    for octet in rest:
        number = number << 6 | octet & 0x3F
    return number, at + 1 + more


def crc8(octets: bytes) -> int:
    """Polynomial x^8 + x^2 + x + 1; 0 over a header with its checksum."""
    value = 0
    for octet in octets:
        value = _table(8, 0x07)[value ^ octet]
    return value


def crc16(octets: bytes) -> int:
    """Polynomial x^16 + x^15 + x^2 + 1; 0 over a frame with its checksum."""
    table = _table(16, 0x8005)
    value = 0
    for octet in octets:
        value = (value << 8 & 0xFF00) ^ table[value >> 8 ^ octet]
    return value


@cache
def _table(bits: int, polynomial: int) -> tuple[int, ...]:
    table = []
    for octet in range(256):
        value = octet << (bits - 8)
        for _ in range(8):
            value = (value << 1 ^ (polynomial if value >> (bits - 1) else 0)) & (1 << bits) - 1
        table.append(value)
    return tuple(table)
