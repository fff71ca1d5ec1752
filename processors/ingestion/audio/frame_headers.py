"""Frames of AAC (ADTS) and of Dolby Digital (AC-3, E-AC-3), by their headers.

Sources: ISO/IEC 13818-7 section 6.2 (ADTS), ATSC A/52 sections 5.3.1 and E.2.3.1.
"""

from collections.abc import Callable
from typing import BinaryIO, NamedTuple

HEAD = 8
CHAIN = 3
_AAC_RATES = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350)
_AC3_RATES = (48_000, 44_100, 32_000)
_AC3_KILOBITS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)


class SoundFrame(NamedTuple):
    """Its length in bytes, its samples, and samples a second."""

    length: int
    samples: int
    rate: int


ReadFrame = Callable[[bytes], SoundFrame | None]


def is_chain(file: BinaryIO, start: int, end: int, frame: ReadFrame) -> bool:
    """Whether three frames, or as many as there are, follow one another from `start`."""
    at = start
    for count in range(CHAIN):
        if at >= end:
            return count > 0
        file.seek(at)
        found = frame(file.read(HEAD))
        if found is None:
            return False
        at += found.length
    return True


def adts_frame(head: bytes) -> SoundFrame | None:
    """The frame of AAC that begins with `head`."""
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
        return None
    rate, length = head[2] >> 2 & 15, (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    if rate >= len(_AAC_RATES) or length < 7:
        return None
    return SoundFrame(length, 1024 * (1 + (head[6] & 3)), _AAC_RATES[rate])


def ac3_frame(head: bytes) -> SoundFrame | None:
    """The frame of AC-3 or E-AC-3 that begins with `head`. One of a second stream has no samples of its own."""
    if len(head) < HEAD or head[:2] != b"\x0b\x77":
        return None
    if head[5] >> 3 > 10:
        return _eac3_frame(head)
    rate, size = head[4] >> 6, head[4] & 63
    if rate == 3 or size >= 2 * len(_AC3_KILOBITS):
        return None
    words = 2 * _AC3_KILOBITS[size >> 1] * 48_000 // _AC3_RATES[rate]
    return SoundFrame(2 * (words + (size & 1 if rate == 1 else 0)), 1536, _AC3_RATES[rate])


def _eac3_frame(head: bytes) -> SoundFrame:
    kind, length = head[2] >> 6, 2 * (((head[2] & 7) << 8 | head[3]) + 1)
    code = head[4] >> 6
    rate = _AC3_RATES[code] if code < 3 else _AC3_RATES[min(head[4] >> 4 & 3, 2)] // 2
    blocks = (1, 2, 3, 6)[head[4] >> 4 & 3] if code < 3 else 6
    is_first = kind != 1 and not head[2] >> 3 & 7
    return SoundFrame(length, 256 * blocks if is_first else 0, rate)
