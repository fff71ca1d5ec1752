"""Streams of nothing but frames: AAC (ADTS), Dolby Digital (AC-3, E-AC-3) and AMR. Nothing says how many there are,
so a file is as long as its whole frames.

Source: RFC 4867 section 5 (AMR); those of the others stand in `frame_headers`.
"""

from typing import BinaryIO

from songline.processors.ingestion.audio import raw_tags
from songline.processors.ingestion.audio.extent import Extent
from songline.processors.ingestion.audio.formats import Format
from songline.processors.ingestion.audio.frame_headers import (
    HEAD,
    ReadFrame,
    SoundFrame,
    ac3_frame,
    adts_frame,
    is_chain,
)
from songline.processors.ingestion.audio.invalid_audio import InvalidAudioError, cut_off
from songline.processors.ingestion.audio.sound import Sound

READABLE = 0.9
_SEARCH = 64 * 1024
_AMR_BYTES = (12, 13, 15, 17, 19, 20, 26, 31, 5, None, None, None, None, None, None, 0)
_AMR_WIDE_BYTES = (17, 23, 32, 36, 40, 46, 50, 58, 60, 5, None, None, None, None, 0, 0)


def read_adts(file: BinaryIO, extent: Extent) -> Sound:
    """The sound of a stream of AAC. Raises InvalidAudioError: corrupt, empty."""
    return _read(file, extent, "aac", extent.start, adts_frame)


def read_ac3(file: BinaryIO, extent: Extent) -> Sound:
    """The sound of a stream of Dolby Digital. Raises InvalidAudioError: corrupt, empty."""
    return _read(file, extent, "ac3", extent.start, ac3_frame)


def read_amr(file: BinaryIO, extent: Extent) -> Sound:
    """The sound of an AMR file. Raises InvalidAudioError: corrupt, empty."""
    file.seek(extent.start)
    is_wide = file.read(9) == b"#!AMR-WB\n"
    table, rate = (_AMR_WIDE_BYTES, 16_000) if is_wide else (_AMR_BYTES, 8_000)

    def frame(head: bytes) -> SoundFrame | None:
        size = table[head[0] >> 3 & 15] if head and not head[0] & 0x83 else None
        return None if size is None else SoundFrame(1 + size, rate // 50, rate)

    return _read(file, extent, "amr", extent.start + (9 if is_wide else 6), frame)


def _read(file: BinaryIO, extent: Extent, kind: Format, start: int, frame: ReadFrame) -> Sound:
    seconds, skipped, at = 0.0, 0, start
    while at < extent.end:
        file.seek(at)
        found = frame(file.read(HEAD))
        if found is None:
            onward = _next(file, at + 1, extent.end, frame)
            skipped += onward - at
            at = onward
            continue
        if at + found.length > extent.end:
            if not seconds:
                raise cut_off(at + found.length, extent.end)
            break
        seconds += found.samples / found.rate
        at += found.length
    if skipped > (1 - READABLE) * (extent.end - start):
        raise InvalidAudioError(
            "corrupt", f"The file is damaged: {skipped} of its {extent.end - start} bytes can't be read as sound."
        )
    return Sound(kind, seconds, raw_tags.around(file, extent))


def _next(file: BinaryIO, at: int, end: int, frame: ReadFrame) -> int:
    """Where the next frame that others follow begins; `end` where none does nearby."""
    for place in range(at, min(at + _SEARCH, end)):
        if is_chain(file, place, end, frame):
            return place
    return end
