"""MP3 files, and their elder kin of layers 1 and 2: frames, with a header of their number in the first one or without.

Sources: the Xing header as LAME writes it ("MP3 Info Tag revision 1"), and Fraunhofer's VBRI header.
"""

from typing import BinaryIO, NamedTuple

from songline.processors.ingestion.audio import mpeg, raw_tags
from songline.processors.ingestion.audio.extent import Extent
from songline.processors.ingestion.audio.formats import Format
from songline.processors.ingestion.audio.invalid_audio import InvalidAudioError
from songline.processors.ingestion.audio.sound import Sound

# Less than this part of the sound readable is not a blemish any more.
READABLE = 0.9
_VBRI = 36
_XING_FIELDS = ((1, 4), (2, 4), (4, 100), (8, 4))
_DELAYS = 21
_ENCODERS = (b"LAME", b"Lavf", b"Lavc", b"L3.9")


class FrameCount(NamedTuple):
    """What the silent first frame says: how many frames there are, and how many samples the encoder added before and
    behind the sound, which players pass over."""

    frames: int
    before: int = 0
    behind: int = 0


class MpegSound(NamedTuple):
    """The layer of its frames, how long they sound, and what their owner should know."""

    layer: int
    seconds: float
    note: str | None


def read_mp3(file: BinaryIO, extent: Extent) -> Sound:
    """The sound of MPEG frames. Raises InvalidAudioError: cut-off, corrupt, empty."""
    found = measure(file, extent.start, extent.end)
    kind: Format = "mp3" if found.layer == 3 else "mp2"
    return Sound(kind, found.seconds, raw_tags.around(file, extent), found.note)


def measure(file: BinaryIO, start: int, end: int) -> MpegSound:
    """The MPEG frames between `start` and `end`. Raises InvalidAudioError: cut-off, corrupt, empty.

    A file that counts its frames and ends in the middle of one was cut off. Where it ends behind a whole one, its sound
    was trimmed, and it is as long as what is there.
    """
    first = mpeg.first_frame(file, start)
    if first is None:
        raise InvalidAudioError("empty", "The file holds no sound: there is no frame of MPEG audio in it.")
    count = _count(file, first)
    # The frame that holds such a header is silent.
    stream = mpeg.walk(file, first.offset if count is None else first.offset + first.header.length, end)
    note = None if count is None else _missing(count, stream)
    added = 0.0 if count is None else _added(count, note is None) / first.header.rate
    length = end - first.offset
    if stream.skipped > (1 - READABLE) * length:
        raise InvalidAudioError(
            "corrupt", f"The file is damaged: {stream.skipped} of its {length} bytes can't be read as sound."
        )
    return MpegSound(first.header.layer, stream.seconds - (added if added < stream.seconds else 0.0), note)


def _missing(count: FrameCount, stream: mpeg.MpegStream) -> str | None:
    """What to say where frames are missing at the end; raises InvalidAudioError (cut-off)."""
    # Some encoders count the header's own frame too; one that breaks off is missing all the same.
    if stream.frames >= count.frames - (not stream.truncated):
        return None
    if stream.truncated or not stream.frames:
        raise InvalidAudioError(
            "cut-off", f"The file is cut off: its header promises {count.frames} frames, {stream.frames} are there."
        )
    return (
        f"The file's header counts {count.frames} frames of sound, and {stream.frames} whole ones are there: it was "
        "trimmed, and its length is that of what is there."
    )


def _added(count: FrameCount, is_whole: bool) -> int:
    """Samples that are no sound. What was trimmed off the end had those that stood there."""
    return count.before + (count.behind if is_whole else 0)


def _xing(octets: bytes) -> FrameCount:
    """From a Xing header: its flags say which numbers it has; an encoder's name and delays stand behind all of them."""
    if not octets[7] & 1:
        return FrameCount(0)
    frames = int.from_bytes(octets[8:12])
    behind = sum(size for flag, size in _XING_FIELDS if octets[7] & flag) + 8
    delays = int.from_bytes(octets[behind + _DELAYS : behind + _DELAYS + 3])
    if octets[behind : behind + 4] not in _ENCODERS or not frames:
        return FrameCount(frames)
    return FrameCount(frames, delays >> 12, delays & 0xFFF)


def _count(file: BinaryIO, frame: mpeg.MpegFrame) -> FrameCount | None:
    file.seek(frame.offset)
    octets = file.read(min(frame.header.length, 256))
    for name in (b"Xing", b"Info"):
        at = octets.find(name, 4, 48)
        if at >= 0:
            return _xing(octets[at:])
    if octets[_VBRI : _VBRI + 4] == b"VBRI":
        return FrameCount(int.from_bytes(octets[_VBRI + 14 : _VBRI + 18]))
    return None
