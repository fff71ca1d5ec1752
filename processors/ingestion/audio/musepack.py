"""Musepack files, of stream versions 7 and 8.

Sources: Musepack's "SV7 specification" and "SV8 specification" (packets, the stream header).
"""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from songline.processors.ingestion.audio import raw_tags
from songline.processors.ingestion.audio.chunks import missing
from songline.processors.ingestion.audio.extent import Extent
from songline.processors.ingestion.audio.invalid_audio import InvalidAudioError, cut_off
from songline.processors.ingestion.audio.sound import Sound

_RATES = (44_100, 48_000, 37_800, 32_000)
_FRAME = 1152
_DELAY = 481
"""Samples that the decoder itself adds, where a file does not say how many its last frame has."""
_HEAD_7 = 28
_LENGTH_BITS = 20
_SIZE_MAX = 10


class _Packet(NamedTuple):
    key: bytes
    content: int
    end: int


def read_musepack(file: BinaryIO, extent: Extent) -> Sound:
    """The sound of a Musepack file. Raises InvalidAudioError: cut-off, corrupt, unsupported."""
    file.seek(extent.start)
    head = file.read(4)
    seconds = _version_8(file, extent) if head == b"MPCK" else _version_7(file, extent)
    return Sound("mpc", seconds, raw_tags.around(file, extent))


def _version_8(file: BinaryIO, extent: Extent) -> float:
    seconds, is_ended = 0.0, False
    for packet in _packets(file, extent.start + 4, extent.end):
        if packet.end > extent.end:
            raise cut_off(packet.end, extent.end)
        if packet.key == b"SH":
            seconds = _stream_seconds(file, packet)
        is_ended = packet.key == b"SE"
    if not is_ended:
        raise cut_off(extent.end + 1, extent.end)
    if not seconds:
        raise missing("what its sound is like")
    return seconds


def _packets(file: BinaryIO, start: int, end: int) -> Iterator[_Packet]:
    """The packets up to that of the stream's end. The last one may end behind `end`."""
    at, key = start, b""
    while at < end and key != b"SE":
        file.seek(at)
        octets = file.read(2 + _SIZE_MAX)
        key = octets[:2]
        size, length = _number(octets[2:])
        if not length or size < 2 + length:
            return
        yield _Packet(key, at + 2 + length, at + size)
        at += size


def _stream_seconds(file: BinaryIO, packet: _Packet) -> float:
    """From the stream header: a checksum and a version before the samples, and those of silence at the beginning."""
    file.seek(packet.content + 5)
    octets = file.read(2 * _SIZE_MAX + 1)
    samples, length = _number(octets)
    silence, more = _number(octets[length:])
    rate = octets[length + more : length + more + 1]
    if not rate or rate[0] >> 5 >= len(_RATES):
        raise missing("what its sound is like")
    return max(0, samples - silence) / _RATES[rate[0] >> 5]


def _number(octets: bytes) -> tuple[int, int]:
    """A number, seven bits a byte, and its length; (0, 0) where it is not whole."""
    value = 0
    for length, octet in enumerate(octets[:_SIZE_MAX], 1):
        value = value << 7 | octet & 0x7F
        if not octet & 0x80:
            return value, length
    return 0, 0


def _version_7(file: BinaryIO, extent: Extent) -> float:
    file.seek(extent.start)
    head = file.read(_HEAD_7)
    if len(head) < _HEAD_7:
        raise cut_off(extent.start + _HEAD_7, extent.end)
    if head[3] & 15 != 7:
        text = f"This is Musepack of the stream version {head[3] & 15}, and only 7 and 8 are read here."
        raise InvalidAudioError("unsupported", f"{text} Save it as FLAC, Opus or MP3.")
    frames, last = int.from_bytes(head[4:8], "little"), int.from_bytes(head[20:24], "little")
    needed = _needed(file, extent, frames)
    if needed > extent.end:
        raise cut_off(needed, extent.end)
    is_exact, samples = last >> 31, last >> 20 & 0x7FF
    left_out = _FRAME - samples if is_exact and 0 < samples <= _FRAME else _DELAY
    return max(0, frames * _FRAME - left_out) / _RATES[head[10] & 3]


def _needed(file: BinaryIO, extent: Extent, frames: int) -> int:
    """Up to which byte the file must go for all frames to be there: each begins with its own number of bits, in words
    of four bytes, of which the last comes first."""
    start, bit = extent.start + 24, 8
    for _ in range(frames):
        at = start + bit // 32 * 4
        if at + 4 > extent.end:
            return at + 4
        file.seek(at)
        words = file.read(8).ljust(8, b"\0")
        pair = int.from_bytes(words[3::-1] + words[7:3:-1])
        bit += _LENGTH_BITS + (pair >> (64 - _LENGTH_BITS - bit % 32) & (1 << _LENGTH_BITS) - 1)
    return start + -(-bit // 8)
