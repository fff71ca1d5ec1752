"""MPEG audio, frame by frame: the only way to know how much of an MP3 there really is.

Source: ISO/IEC 11172-3 section 2.4.1.3 (frame header).
"""

from functools import lru_cache
from typing import BinaryIO, NamedTuple

from songline.processors.ingestion.audio.extent import after_zeros, id3_size

SEARCH = 64 * 1024
FREE_FRAME_MAX = 8 * 1024
CHAIN = 3

_BITRATES = {
    (1, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {0: (11_025, 12_000, 8_000), 2: (22_050, 24_000, 16_000), 3: (44_100, 48_000, 32_000)}


class MpegHeader(NamedTuple):
    """A frame's header: its layer, its length in bytes, its samples, and samples a second."""

    layer: int
    length: int
    samples: int
    rate: int


class MpegFrame(NamedTuple):
    offset: int
    header: MpegHeader


class MpegStream(NamedTuple):
    """What a walk over all frames found: how many are whole, how long they sound, and how many bytes were no frame."""

    frames: int
    seconds: float
    skipped: int
    truncated: bool


@lru_cache(maxsize=4096)
def header(octets: bytes) -> MpegHeader | None:
    """The frame header in four bytes, None where they are none."""
    if len(octets) < 4:
        return None
    word = int.from_bytes(octets)
    version, layer = word >> 19 & 3, 4 - (word >> 17 & 3)
    bitrate, rate = word >> 12 & 15, word >> 10 & 3
    if word >> 21 != 0x7FF or version == 1 or layer == 4 or bitrate in (0, 15) or rate == 3:
        return None
    kilobits = _BITRATES[1 if version == 3 else 2, layer][bitrate]
    hertz = _RATES[version][rate]
    padding = word >> 9 & 1
    if layer == 1:
        return MpegHeader(1, (12_000 * kilobits // hertz + padding) * 4, 384, hertz)
    samples = 576 if layer == 3 and version != 3 else 1152
    return MpegHeader(layer, samples // 8 * 1000 * kilobits // hertz + padding, samples, hertz)


def first_frame(file: BinaryIO, start: int, within: int = SEARCH) -> MpegFrame | None:
    """The first frame at or after `start` that others follow, one after the other, or the end of the file."""
    file.seek(start)
    window = file.read(within + 4)
    at = window.find(b"\xff")
    while 0 <= at < within:
        found = header(window[at : at + 4])
        if found and _chained(file, start + at):
            return MpegFrame(start + at, found)
        at = window.find(b"\xff", at + 1)
    return None


def _chained(file: BinaryIO, offset: int) -> bool:
    """Whether three frames of one kind stand at `offset`; or fewer, if the file ends behind the last one, or within it
    where one stands before it."""
    kind = None
    for count in range(CHAIN):
        file.seek(offset)
        octets = file.read(4)
        found = header(octets)
        if found is None or kind not in (None, (found.layer, found.rate)):
            # One whole frame and then the end, or a tag, is an MP3 too, if a very short one.
            length = file.seek(0, 2)
            is_end = offset == length or (offset > length and count > 1) or 0 < length - offset < 4
            return count > 0 and (is_end or octets[:3] == b"TAG" or octets == b"APET")
        kind = found.layer, found.rate
        offset += found.length
    return True


def walk(file: BinaryIO, start: int, end: int) -> MpegStream:
    """All frames from `start` to `end`, over what is no frame between them. Zeros and tags between frames are no
    damage."""
    frames = samples = skipped = 0
    seconds, rate = 0.0, 0
    at = start
    while at < end:
        file.seek(at)
        head = file.read(10)
        found = header(head[:4])
        if found is None:
            onward = _onward(file, at, head, end)
            if onward is None:
                resumed = first_frame(file, at + 1)
                onward = min(resumed.offset if resumed else end, end)
                skipped += onward - at
            at = onward
            continue
        if at + found.length > end:
            return MpegStream(frames, seconds + samples / max(rate, 1), skipped, truncated=True)
        if found.rate != rate:
            seconds, samples, rate = seconds + samples / max(rate, 1), 0, found.rate
        frames, samples = frames + 1, samples + found.samples
        at += found.length
    return MpegStream(frames, seconds + samples / max(rate, 1), skipped, truncated=False)


def _onward(file: BinaryIO, at: int, head: bytes, end: int) -> int | None:
    """Where the zeros or tags at `at` end; None where there are none."""
    size = id3_size(head)
    if size is not None:
        return min(at + size, end)
    if head[:3] == b"TAG" and at + 128 <= end:
        return at + 128
    if head.startswith(b"\0\0\0\0"):
        return min(after_zeros(file, at), end)
    return None


def free_format(file: BinaryIO, start: int) -> bool:
    """Whether frames of free format stand at `start`: they don't say how long they are, and one is as long as the
    other."""
    file.seek(start)
    window = file.read(4 * FREE_FRAME_MAX)
    first = int.from_bytes(window[:4])
    # Sync, a version, a layer, no bit rate, a sampling rate.
    if first >> 21 != 0x7FF or first >> 19 & 3 == 1 or first >> 17 & 3 == 0 or first >> 12 & 15 or first >> 10 & 3 == 3:
        return False
    same = 0xFFFE0C00
    sync = window[:2]
    at = window.find(sync, 4)
    while 0 <= at <= FREE_FRAME_MAX:
        if _free_at(window, at, first, same) and any(
            _free_at(window, 2 * at + padding, first, same) for padding in (-1, 0, 1)
        ):
            return True
        at = window.find(sync, at + 1)
    return False


def _free_at(window: bytes, at: int, first: int, same: int) -> bool:
    octets = window[at : at + 4]
    return len(octets) == 4 and int.from_bytes(octets) & same == first & same and not octets[2] >> 4
