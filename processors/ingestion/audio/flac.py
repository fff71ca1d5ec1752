"""Is a FLAC file whole, and how long is it? Its header says how many samples there are, or 0 where its writer could not
go back; its last frame says where it stands.

Source: RFC 9639 section 8 (metadata blocks).
"""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from songline.processors.ingestion.audio import raw_tags
from songline.processors.ingestion.audio.extent import Extent, before_zeros
from songline.processors.ingestion.audio.flac_frame_end import frame_end
from songline.processors.ingestion.audio.flac_frames import FRAME_HEAD_MAX, FlacFrame, crc16, read_frame
from songline.processors.ingestion.audio.invalid_audio import InvalidAudioError, cut_off
from songline.processors.ingestion.audio.sound import RATES, RawTags, Sound, bad_rate

WINDOW = 1 << 20
_STREAMINFO, _COMMENTS = 0, 4
_COMMENTS_MAX = 64 << 20


class FlacStreamInfo(NamedTuple):
    """From STREAMINFO: samples in all (0: unknown), the fixed block size, samples a second, and bits of a sample."""

    samples: int
    block_size: int
    rate: int
    bits: int


def read_flac(file: BinaryIO, extent: Extent) -> Sound:
    """The sound of a FLAC file. Raises InvalidAudioError: cut-off, corrupt."""
    info, found, first = _metadata(file, extent)
    if info.rate not in RATES:
        raise bad_rate(info.rate)
    samples = _samples(file, extent, info, first)
    # Tags of others stand where FLAC's own say nothing.
    return Sound("flac", samples / info.rate, raw_tags.merged(found, raw_tags.around(file, extent)))


def _metadata(file: BinaryIO, extent: Extent) -> tuple[FlacStreamInfo, RawTags, int]:
    """STREAMINFO, the comments, and where the frames begin. Raises InvalidAudioError."""
    info, found = None, RawTags()
    at, last = extent.start + 4, False
    while not last:
        file.seek(at)
        head = file.read(4)
        if len(head) < 4:
            raise cut_off(at + 4, extent.end)
        last, kind, size = bool(head[0] & 0x80), head[0] & 0x7F, int.from_bytes(head[1:])
        if kind == _STREAMINFO and info is None:
            info = _stream_info(file.read(34))
        elif kind == _COMMENTS and size <= _COMMENTS_MAX:
            found = raw_tags.merged(found, raw_tags.vorbis_comments(file.read(size)))
        at += 4 + size
    if at >= extent.end:
        raise cut_off(at + 1, extent.end)
    if info is None:
        raise InvalidAudioError(
            "corrupt", "The file is damaged: the part that says what its sound is like is not there."
        )
    return info, found, at


def _stream_info(block: bytes) -> FlacStreamInfo | None:
    if len(block) < 34:
        return None
    packed = int.from_bytes(block[10:18])
    return FlacStreamInfo(
        samples=packed & (1 << 36) - 1,
        block_size=int.from_bytes(block[:2]),
        rate=packed >> 44,
        bits=(packed >> 36 & 31) + 1,
    )


def _samples(file: BinaryIO, extent: Extent, info: FlacStreamInfo, first: int) -> int:
    """The samples up to the end of the last frame, or from frame to frame where the header does not say how many there
    are. Raises InvalidAudioError (cut-off) unless the file ends with a whole frame, which holds the last sample, or
    with something behind it that is none; and (corrupt) where that frame contradicts the header."""
    # Zeros don't change a checksum that is 0.
    end = before_zeros(file, extent.start, extent.end)
    file.seek(max(first, end - WINDOW))
    tail = file.read(max(0, end - file.tell()))
    frame = _last_frame(tail, info) or _followed_frame(tail, info)
    if frame is None:
        raise InvalidAudioError(
            "cut-off", "The file is cut off or damaged: it does not end with a whole frame. Send it whole."
        )
    if not info.samples:
        return frame.end - _begin(file, first, info)
    _compare(frame, info)
    return info.samples


def _last_frame(tail: bytes, info: FlacStreamInfo) -> FlacFrame | None:
    """The frame with which `tail` ends."""
    for at, frame in _heads(tail, info):
        if crc16(tail[at:]) == 0:
            return frame
    return None


def _followed_frame(tail: bytes, info: FlacStreamInfo) -> FlacFrame | None:
    """The last whole frame of `tail`, if what stands behind it is no part of another one."""
    for at, frame in _heads(tail, info):
        end = frame_end(tail[at:], frame.head, info.bits)
        if end is not None:
            return None if _may_be_frame(tail[at + end :], info) else frame
    return None


def _heads(tail: bytes, info: FlacStreamInfo) -> Iterator[tuple[int, FlacFrame]]:
    """What may be headers of frames, the last one first."""
    at = tail.rfind(b"\xff")
    while at >= 0:
        frame = read_frame(tail[at : at + FRAME_HEAD_MAX], info.block_size)
        if frame is not None:
            yield at, frame
        at = tail.rfind(b"\xff", 0, at)


def _may_be_frame(rest: bytes, info: FlacStreamInfo) -> bool:
    """Whether a frame begins with `rest`, also where that ends within its header."""
    if len(rest) < FRAME_HEAD_MAX:
        return rest[:1] == b"\xff" and (len(rest) < 2 or rest[1] & 0xFE == 0xF8)
    return read_frame(rest[:FRAME_HEAD_MAX], info.block_size) is not None


def _begin(file: BinaryIO, first: int, info: FlacStreamInfo) -> int:
    """The number of the first sample: not 0 where a stream was joined while it ran."""
    file.seek(first)
    frame = read_frame(file.read(FRAME_HEAD_MAX), info.block_size)
    return 0 if frame is None else frame.end - frame.samples


def _compare(last: FlacFrame, expected: FlacStreamInfo) -> None:
    if last.end < expected.samples:
        text = f"The file is cut off: its header promises {expected.samples} samples, {last.end} are there."
        raise InvalidAudioError("cut-off", text)
    if last.end > expected.samples:
        text = f"The file is damaged: its header speaks of {expected.samples} samples, and there are {last.end}."
        raise InvalidAudioError("corrupt", text)
    if last.rate not in (None, expected.rate):
        text = f"The file is damaged: its header says {expected.rate} Hz, and its sound {last.rate} Hz."
        raise InvalidAudioError("corrupt", text)
