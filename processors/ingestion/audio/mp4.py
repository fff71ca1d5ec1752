"""MP4, M4A, 3GP and QuickTime files, whole or in fragments (as from a live encoder, or a web player).

How long the sound is follows from its samples, and from the edit list, where it has one. A header's own duration is not
believed: in a fragmented file it speaks of another time, or of none.

Source: ISO/IEC 14496-12 sections 8.6 (times), 8.7 (where samples are) and 8.8 (fragments).
"""

import struct
from array import array
from typing import BinaryIO, NamedTuple

from msgspec import Struct

from songline.processors.ingestion.audio import raw_tags
from songline.processors.ingestion.audio.extent import Extent
from songline.processors.ingestion.audio.invalid_audio import InvalidAudioError, cut_off
from songline.processors.ingestion.audio.mp4_boxes import Box, boxes, child, content, top_boxes
from songline.processors.ingestion.audio.mp4_tags import read_tags
from songline.processors.ingestion.audio.sound import Sound

_PROTECTED = (b"enca", b"drms", b"drmi", b"aavd")


class Mp4Track(NamedTuple):
    """A track of sound: its number, units of time a second, the units of its samples in `moov`, and of one in a
    fragment that says nothing else; the length of its edit list in seconds, and how many bytes of the file it needs."""

    number: int
    timescale: int
    units: int
    default_units: int
    edited_s: float | None
    needed: int


class _Fragments(Struct):
    units: int = 0
    needed: int = 0


def read_mp4(file: BinaryIO, extent: Extent) -> Sound:
    """The sound of an MP4 file. Raises InvalidAudioError: cut-off, corrupt, not-audio, unsupported."""
    found = top_boxes(file, extent.start, extent.end)
    types = {box.type for box in found}
    moov = next((box for box in found if box.type == b"moov"), None)
    if moov is None or not types & {b"mdat", b"moof"}:
        what = "index" if moov is None else "sound"
        raise InvalidAudioError(
            "cut-off", f"The file is cut off: the part with its {what} is not there. Send it whole."
        )
    track = _track(file, moov)
    fragments = _Fragments()
    for box in found:
        if box.type == b"moof":
            _add_fragment(file, box, track, fragments)
    needed = max(track.needed, fragments.needed)
    if needed > extent.end:
        raise cut_off(needed, extent.end)
    seconds = (track.units + fragments.units) / track.timescale
    # An edit list cuts off what the encoder added at both ends. In fragments it may be written before the end is known.
    if track.edited_s is not None and not fragments.units:
        seconds = min(seconds, track.edited_s)
    return Sound("m4a", seconds, raw_tags.merged(read_tags(file, moov), raw_tags.around(file, extent)))


def _track(file: BinaryIO, moov: Box) -> Mp4Track:
    """The first track of sound."""
    second = _movie_timescale(file, moov)
    for trak in (box for box in boxes(file, moov.content, moov.end) if box.type == b"trak"):
        handler = child(file, trak, b"mdia", b"hdlr")
        if handler is None or content(file, handler)[8:12] != b"soun":
            continue
        table = child(file, trak, b"mdia", b"minf", b"stbl")
        header = child(file, trak, b"mdia", b"mdhd")
        named = child(file, trak, b"tkhd")
        if table is None or header is None or named is None:
            raise InvalidAudioError("corrupt", "The file is damaged: its index of the sound is not whole.")
        _check_codec(file, table)
        number = _versioned(content(file, named), 8)
        units, defaults = _units(file, table), _defaults(file, moov, number)
        edited = _edited(file, trak)
        return Mp4Track(
            number=number,
            timescale=max(1, _versioned(content(file, header), 8)),
            units=units,
            default_units=defaults,
            edited_s=None if edited is None else edited / second,
            needed=_needed(file, table),
        )
    raise InvalidAudioError("not-audio", "The file has no sound track.")


def _movie_timescale(file: BinaryIO, moov: Box) -> int:
    header = child(file, moov, b"mvhd")
    return 1000 if header is None else max(1, _versioned(content(file, header), 8))


def _versioned(octets: bytes, offset: int) -> int:
    """The number behind the two moments of a header, which version 1 gives eight bytes each; `offset` is that of
    version 0 without the first word."""
    at = 4 + offset + (8 if octets[:1] == b"\1" else 0)
    return int.from_bytes(octets[at : at + 4])


def _check_codec(file: BinaryIO, table: Box) -> None:
    described = child(file, table, b"stsd")
    kind = content(file, described)[12:16] if described is not None else b""
    if kind in _PROTECTED:
        raise InvalidAudioError(
            "unsupported",
            "The file is copy-protected (DRM): only its shop's own player can play it. Bring it without protection, as "
            "most shops offer it today.",
        )


def _units(file: BinaryIO, table: Box) -> int:
    """The units of time of all samples that `moov` tells of."""
    times = child(file, table, b"stts")
    if times is None:
        return 0
    octets = content(file, times)
    count = min(int.from_bytes(octets[4:8]), (len(octets) - 8) // 8)
    numbers = _numbers(octets[8 : 8 + 8 * count])
    return sum(samples * units for samples, units in zip(numbers[::2], numbers[1::2], strict=True))


def _needed(file: BinaryIO, table: Box) -> int:
    """Up to which byte the file must go for the last chunk's first sample to be there."""
    needed = 0
    for name, size in ((b"stco", 4), (b"co64", 8)):
        offsets = child(file, table, name)
        if offsets is None:
            continue
        octets = content(file, offsets)
        count = min(int.from_bytes(octets[4:8]), (len(octets) - 8) // size)
        values = _numbers(octets[8 : 8 + size * count], "Q" if size == 8 else "I")
        needed = max(needed, max(values, default=-1) + 1)
    return needed


def _numbers(octets: bytes, kind: str = "I") -> "array[int]":
    numbers = array(kind, octets)
    numbers.byteswap()
    return numbers


def _edited(file: BinaryIO, trak: Box) -> int | None:
    """The units of the movie's time that the edit list plays; None without one, or where it says 0 (all there is)."""
    edits = child(file, trak, b"edts", b"elst")
    if edits is None:
        return None
    octets = content(file, edits)
    form = ">Qqhh" if octets[:1] == b"\1" else ">Iihh"
    size = struct.calcsize(form)
    count = min(int.from_bytes(octets[4:8]), (len(octets) - 8) // size)
    found = [struct.unpack_from(form, octets, 8 + size * number) for number in range(count)]
    played = sum(units for units, start, _, _ in found if start >= 0)
    return played or None


def _defaults(file: BinaryIO, moov: Box, number: int) -> int:
    """The units of a sample in a fragment that does not say it itself (`trex`)."""
    extends = child(file, moov, b"mvex")
    if extends is None:
        return 0
    for box in boxes(file, extends.content, extends.end):
        octets = content(file, box) if box.type == b"trex" else b""
        if octets and int.from_bytes(octets[4:8]) == number:
            return int.from_bytes(octets[12:16])
    return 0


def _add_fragment(file: BinaryIO, moof: Box, track: Mp4Track, found: _Fragments) -> None:
    for traf in (box for box in boxes(file, moof.content, moof.end) if box.type == b"traf"):
        head = child(file, traf, b"tfhd")
        if head is None:
            continue
        octets = content(file, head)
        if int.from_bytes(octets[4:8]) != track.number:
            continue
        default = _fragment_default(octets, track.default_units)
        for run in (box for box in boxes(file, traf.content, traf.end) if box.type == b"trun"):
            found.units += _run_units(content(file, run), default)


def _fragment_default(tfhd: bytes, default: int) -> int:
    flags = int.from_bytes(tfhd[1:4])
    if not flags & 0x8:
        return default
    at = 8 + (8 if flags & 0x1 else 0) + (4 if flags & 0x2 else 0)
    return int.from_bytes(tfhd[at : at + 4])


def _run_units(trun: bytes, default: int) -> int:
    flags, count = int.from_bytes(trun[1:4]), int.from_bytes(trun[4:8])
    at = 8 + (4 if flags & 0x1 else 0) + (4 if flags & 0x4 else 0)
    width = sum(1 for flag in (0x100, 0x200, 0x400, 0x800) if flags & flag)
    if not flags & 0x100:
        return count * default
    count = min(count, (len(trun) - at) // (4 * width))
    return sum(_numbers(trun[at : at + 4 * width * count])[::width])
