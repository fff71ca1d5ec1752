"""Containers with a plain header before all sound: AU, CAF, DSF, DSDIFF, TTA and Monkey's Audio.

Sources: Sun's "Audio file format", Apple's "Core Audio Format Specification 1.0", Sony's "DSF File Format 1.01",
Philips' "DSDIFF 1.5", the TTA1 description, and Monkey's Audio's `MACLib.h`.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO

from songline.processors.ingestion.audio import raw_tags
from songline.processors.ingestion.audio.chunks import Chunk, missing
from songline.processors.ingestion.audio.extent import Extent
from songline.processors.ingestion.audio.invalid_audio import InvalidAudioError, cut_off
from songline.processors.ingestion.audio.sound import RATES, RawTags, Sound, bad_rate

# Bits of a sample by encoding.
_AU_BITS = {1: 8, 2: 8, 3: 16, 4: 24, 5: 32, 6: 32, 7: 64, 23: 4, 24: 8, 25: 3, 26: 5, 27: 8}
_UNKNOWN_32, _UNKNOWN_64 = 0xFFFFFFFF, 2**64 - 1
_TTA_HEAD = 22
_CAF_CHUNKS = frozenset(
    (
        *(b"desc", b"data", b"pakt", b"chan", b"kuki", b"ldat", b"strg", b"mark", b"regn", b"inst", b"midi", b"ovvw"),
        *(b"peak", b"edct", b"info", b"umid", b"uuid", b"free"),
    )
)
_TEXT_MAX = 1 << 20


def read_au(file: BinaryIO, extent: Extent) -> Sound:
    """The sound of an AU file. Raises InvalidAudioError: cut-off, corrupt, unsupported."""
    offset, size, encoding, rate, channels = struct.unpack(">5L", _head(file, extent, 24)[4:])
    if encoding not in _AU_BITS:
        raise InvalidAudioError("unsupported", f"The file is an AU with encoding {encoding}. Save it as FLAC or WAV.")
    _check(rate, channels)
    held = extent.end - extent.start - offset
    # A writer that died leaves 0.
    is_known = size not in (0, _UNKNOWN_32)
    if is_known and size > held:
        raise cut_off(extent.start + offset + size, extent.end)
    length = size if is_known else held
    return Sound("au", max(0, length) * 8 // (_AU_BITS[encoding] * channels) / rate, raw_tags.around(file, extent))


def read_caf(file: BinaryIO, extent: Extent) -> Sound:
    """The sound of a CAF file. Raises InvalidAudioError: cut-off, corrupt."""
    found: dict[bytes, Chunk] = {}
    for chunk in _wide_chunks(file, extent.start + 8, extent.end):
        if chunk.size == _UNKNOWN_64 and chunk.name == b"data":
            chunk = chunk._replace(size=extent.end - chunk.offset)
        if b"data" in found and chunk.name not in _CAF_CHUNKS:
            # Whatever stands behind the last chunk.
            break
        if chunk.end > extent.end:
            raise cut_off(chunk.end, extent.end)
        found.setdefault(chunk.name, chunk)
    if b"desc" not in found or b"data" not in found:
        raise missing("its sound" if b"desc" in found else "what its sound is like")
    file.seek(found[b"desc"].offset)
    rate, _, _, packet_bytes, packet_frames, channels, _ = struct.unpack(">d4s5L", file.read(32))
    _check(rate, channels)
    if packet_bytes and packet_frames:
        # Four bytes before the sound count its edits.
        frames = (found[b"data"].size - 4) // packet_bytes * packet_frames
    elif b"pakt" in found:
        file.seek(found[b"pakt"].offset + 8)
        frames = int.from_bytes(file.read(8))
    else:
        raise missing("the lengths of its packets")
    return Sound(
        "caf", frames / rate, raw_tags.merged(_caf_info(file, found.get(b"info")), raw_tags.around(file, extent))
    )


def _caf_info(file: BinaryIO, info: Chunk | None) -> RawTags:
    if info is None:
        return {}
    file.seek(info.offset + 4)
    texts = [raw_tags.decoded(text) for text in file.read(min(info.size, _TEXT_MAX)).split(b"\0")]
    return raw_tags.named(zip(texts[::2], texts[1::2], strict=False))


def read_dsf(file: BinaryIO, extent: Extent) -> Sound:
    """The sound of a DSF file. Raises InvalidAudioError: cut-off, corrupt."""
    head = _head(file, extent, 92)
    size, tag = struct.unpack("<QQ", head[12:28])
    channels, rate, _, samples = struct.unpack("<LLLQ", head[52:72])
    _check(rate, channels)
    if extent.start + size > extent.length:
        raise cut_off(extent.start + size, extent.length)
    if not samples:
        # Its writer could not go back: the chunk of the sound counts, whose head has twelve bytes.
        samples = max(0, int.from_bytes(head[84:92], "little") - 12) * 8 // channels
    return Sound("dsf", samples / rate, raw_tags.id3_at(file, extent.start + tag) if tag else {})


def read_dff(file: BinaryIO, extent: Extent) -> Sound:
    """The sound of a DSDIFF file, compressed (DST) or not. Raises InvalidAudioError: cut-off, corrupt."""
    found: dict[bytes, Chunk] = {}
    for chunk in _wide_chunks(file, extent.start + 16, extent.end, 2):
        if chunk.end > extent.end:
            raise cut_off(chunk.end, extent.end)
        found.setdefault(chunk.name, chunk)
    sound = found.get(b"DSD ") or found.get(b"DST ")
    if b"PROP" not in found or sound is None:
        raise missing("its sound" if b"PROP" in found else "what its sound is like")
    inside = {part.name: part for part in _wide_chunks(file, found[b"PROP"].offset + 4, found[b"PROP"].end, 2)}
    rate = _number(file, inside.get(b"FS  "), 0, 4)
    channels = _number(file, inside.get(b"CHNL"), 0, 2)
    _check(rate, channels)
    tag = found.get(b"ID3 ")
    tags = raw_tags.id3_at(file, tag.offset) if tag is not None else {}
    if sound.name == b"DSD ":
        return Sound("dff", sound.size * 8 // channels / rate, tags)
    frames = next((part for part in _wide_chunks(file, sound.offset, sound.end, 2) if part.name == b"FRTE"), None)
    return Sound("dff", _number(file, frames, 0, 4) / (_number(file, frames, 4, 2) or 75), tags)


def read_tta(file: BinaryIO, extent: Extent) -> Sound:
    """The sound of a True Audio file. Raises InvalidAudioError: cut-off, corrupt."""
    channels, _, rate, samples = struct.unpack("<HHLL", _head(file, extent, _TTA_HEAD)[6:18])
    _check(rate, channels)
    frames = -(-samples // (256 * rate // 245))
    table = file.read(4 * frames + 4)
    needed = extent.start + _TTA_HEAD + 4 * frames + 4
    if len(table) == 4 * frames + 4:
        needed += sum(struct.unpack(f"<{frames}L", table[:-4]))
    if needed > extent.end:
        raise cut_off(needed, extent.end)
    return Sound("tta", samples / rate, raw_tags.around(file, extent))


def read_ape(file: BinaryIO, extent: Extent) -> Sound:
    """The sound of a Monkey's Audio file. Raises InvalidAudioError: cut-off, corrupt."""
    head = _head(file, extent, 76)
    version = int.from_bytes(head[4:6], "little")
    if version >= 3980:
        descriptor, header, table, wave, low, high, end = struct.unpack("<7L", head[8:36])
        file.seek(extent.start + descriptor)
        _, _, block, last, frames, _, channels, rate = struct.unpack("<HHLLLHHL", file.read(24))
        needed = descriptor + header + table + wave + (high << 32 | low) + end
    else:
        level, _, channels, rate, wave, end, frames, last = struct.unpack("<HHHLLLLL", head[6:32])
        block = (
            73_728 * (4 if version >= 3950 else 1) if version >= 3900 or (version >= 3800 and level == 4000) else 9_216
        )
        needed = 32 + wave + end
    _check(rate, channels)
    if extent.start + needed > extent.end:
        raise cut_off(extent.start + needed, extent.end)
    return Sound("ape", ((frames - 1) * block + last) / rate if frames else 0.0, raw_tags.around(file, extent))


def _head(file: BinaryIO, extent: Extent, size: int) -> bytes:
    file.seek(extent.start)
    head = file.read(size)
    if len(head) < size:
        raise cut_off(extent.start + size, extent.length)
    return head


def _check(rate: float, channels: int) -> None:
    if channels < 1 or not RATES[0] <= rate <= RATES[-1]:
        raise bad_rate(round(rate), channels)


def _wide_chunks(file: BinaryIO, start: int, end: int, even: int = 1) -> Iterator[Chunk]:
    """Chunks whose lengths have eight bytes; each is filled up to a multiple of `even` bytes."""
    while start + 12 <= end:
        file.seek(start)
        head = file.read(12)
        chunk = Chunk(head[:4], start + 12, int.from_bytes(head[4:]))
        yield chunk
        start = chunk.end + -chunk.size % even


def _number(file: BinaryIO, chunk: Chunk | None, offset: int, size: int) -> int:
    if chunk is None:
        return 0
    file.seek(chunk.offset + offset)
    return int.from_bytes(file.read(size))
