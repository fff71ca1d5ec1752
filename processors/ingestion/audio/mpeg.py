"""MPEG audio, frame by frame: the only way to know how much of an MP3 there really is.

Source: ISO/IEC 11172-3 section 2.4.1.3 (frame header), ID3v2.4 section 3.1, and the Xing header as LAME writes it.
"""

from functools import lru_cache
from typing import BinaryIO, NamedTuple

from songline.processors.ingestion.audio.invalid_audio import InvalidAudioError

SEARCH = 64 * 1024
CHAIN = 3
# Less than this part of the sound readable is not a blemish any more.
READABLE = 0.9

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


def after_id3(file: BinaryIO) -> int:
    """Where the ID3v2 tags at the beginning end; 0 without one."""
    end = 0
    while True:
        file.seek(end)
        tag = file.read(10)
        if len(tag) < 10 or tag[:3] != b"ID3" or max(tag[6:10]) > 0x7F:
            return end
        size = tag[6] << 21 | tag[7] << 14 | tag[8] << 7 | tag[9]
        end += size + (20 if tag[5] & 0x10 else 10)


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
    layer = None
    for count in range(CHAIN):
        file.seek(offset)
        octets = file.read(4)
        found = header(octets)
        if found is None or layer not in (None, found.layer):
            # One whole frame and then the end, or a tag, is an MP3 too, if a very short one.
            return count > 0 and (len(octets) < 4 or octets[:3] == b"TAG" or octets == b"APET")
        layer = found.layer
        offset += found.length
    return True


def walk(file: BinaryIO, start: int) -> MpegStream:
    """All frames from `start`, over what is no frame between them, to the end of the file or the tags there."""
    end = _before_tags(file)
    frames = samples = skipped = 0
    rate = 1
    at = start
    while at < end:
        file.seek(at)
        found = header(file.read(4))
        if found is None:
            resumed = first_frame(file, at + 1)
            onward = min(resumed.offset if resumed else end, end)
            skipped += onward - at
            at = onward
            continue
        if at + found.length > end:
            return MpegStream(frames, samples / rate, skipped, truncated=True)
        frames, samples, rate = frames + 1, samples + found.samples, found.rate
        at += found.length
    return MpegStream(frames, samples / rate, skipped, truncated=False)


def duration(file: BinaryIO, start: int) -> float:
    """Seconds of sound from the first frame at `start`; raises InvalidAudioError (cut-off, corrupt, empty).

    A file whose Xing header counts its frames must have them all. Without one, a file that ends early is only shorter.
    """
    promised = _promised_frames(file, start)
    # The frame that holds such a header is silent.
    stream = walk(file, start if promised is None else start + _header_at(file, start).length)
    # Some encoders count the header's own frame too; one that breaks off is missing all the same.
    if promised is not None and stream.frames < promised - (not stream.truncated):
        raise InvalidAudioError(
            "cut-off", f"The file is cut off: its header promises {promised} frames, {stream.frames} are there."
        )
    length = file.seek(0, 2) - start
    if stream.skipped > (1 - READABLE) * length:
        raise InvalidAudioError(
            "corrupt", f"The file is damaged: {stream.skipped} of its {length} bytes can't be read as sound."
        )
    return stream.seconds


def _before_tags(file: BinaryIO) -> int:
    """Where the sound ends: before an ID3v1 tag, and an APEv2 tag before that."""
    end = file.seek(0, 2)
    if end >= 128:
        file.seek(end - 128)
        if file.read(3) == b"TAG":
            end -= 128
    if end >= 32:
        file.seek(end - 32)
        footer = file.read(32)
        if footer.startswith(b"APETAGEX"):
            size = int.from_bytes(footer[12:16], "little") + (32 if footer[23] & 0x80 else 0)
            end -= min(size, end)
    return end


def _header_at(file: BinaryIO, offset: int) -> MpegHeader:
    file.seek(offset)
    found = header(file.read(4))
    assert found is not None
    return found


def _promised_frames(file: BinaryIO, start: int) -> int | None:
    file.seek(start)
    frame = file.read(192)
    for name in (b"Xing", b"Info"):
        at = frame.find(name, 4, 48)
        if at >= 0 and frame[at + 7] & 1:
            return int.from_bytes(frame[at + 8 : at + 12])
    return None
