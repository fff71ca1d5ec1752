"""AIFF files and their kind with codecs, AIFF-C. Sources: AIFF 1.3, AIFF-C (draft of 1991)."""

import struct
from typing import BinaryIO

from songline.processors.ingestion.audio import raw_tags
from songline.processors.ingestion.audio.chunks import Chunk, check_behind, chunks, missing, sound_size
from songline.processors.ingestion.audio.extent import Extent
from songline.processors.ingestion.audio.invalid_audio import InvalidAudioError, cut_off
from songline.processors.ingestion.audio.sound import RATES, RawTags, Sound, bad_rate

_PLAIN = (b"NONE", b"sowt", b"twos", b"raw ", b"in24", b"in32", b"fl32", b"FL32", b"fl64", b"FL64", b"23ni", b"42ni")
_ONE_BYTE = (b"alaw", b"ALAW", b"ulaw", b"ULAW")
# Frames of a packet, for each channel: its bytes and samples.
_IMA4 = (34, 64)
_TEXTS = {b"NAME": "title", b"AUTH": "artist"}


def read_aiff(file: BinaryIO, extent: Extent) -> Sound:
    """The sound of an AIFF file. Raises InvalidAudioError: cut-off, corrupt, unsupported."""
    parts = list(chunks(file, extent.start + 12, extent.end, "big"))
    found = {part.name: part for part in reversed(parts)}
    if b"COMM" not in found or b"SSND" not in found:
        _check_form(file, extent)
        raise missing("its sound" if b"COMM" in found else "what its sound is like")
    sound = found[b"SSND"]
    size = sound_size(file, sound, extent.end, "big")
    if sound.size:
        check_behind(parts, sound, _form_end(file, extent), extent.end)
    # Two numbers of four bytes stand before the sound itself.
    seconds = _seconds(file, found[b"COMM"], max(0, size - 8), is_known=size == sound.size)
    return Sound("aiff", seconds, _tags(file, parts, extent))


def _form_end(file: BinaryIO, extent: Extent) -> int:
    """Where the form says that it ends."""
    file.seek(extent.start + 4)
    return extent.start + 8 + int.from_bytes(file.read(4))


def _check_form(file: BinaryIO, extent: Extent) -> None:
    promised = _form_end(file, extent)
    if promised > extent.end:
        raise cut_off(promised, extent.end)


def _seconds(file: BinaryIO, described: Chunk, held: int, *, is_known: bool) -> float:
    file.seek(described.offset)
    common = file.read(min(described.size, 22))
    if len(common) < 18:
        raise missing("what its sound is like")
    channels: int
    frames: int
    bits: int
    channels, frames, bits = struct.unpack(">hLh", common[:8])
    rate = _extended(common[8:18])
    if channels < 1 or not RATES[0] <= rate <= RATES[-1]:
        raise bad_rate(round(rate), channels)
    codec = common[18:22] or b"NONE"
    if codec == b"ima4":
        size, samples = _IMA4[0] * channels, _IMA4[1]
        return (frames if is_known and frames else held // size) * samples / rate
    if codec in _ONE_BYTE:
        block = channels
    elif codec in _PLAIN:
        block = channels * -(-bits // 8)
    else:
        # How much room compressed frames take is their codec's secret.
        return frames / rate
    if block < 1:
        raise InvalidAudioError("corrupt", f"The file is damaged: it says that its samples have {bits} bits.")
    if not is_known or not frames:
        return held // block / rate
    if frames * block > held:
        text = f"The file is damaged: its header speaks of {frames * block} bytes of sound, and there are {held}."
        raise InvalidAudioError("corrupt", text)
    return frames / rate


def _extended(octets: bytes) -> float:
    """A number of 80 bits, as IEEE 754 has it. Only whole exponents of sampling rates come in."""
    exponent, mantissa = int.from_bytes(octets[:2]) & 0x7FFF, int.from_bytes(octets[2:])
    shift = exponent - 16_383 - 63
    return float(mantissa) * 2.0**shift if -200 < shift < 64 else 0.0


def _tags(file: BinaryIO, parts: list[Chunk], extent: Extent) -> RawTags:
    found: list[RawTags] = []
    texts: RawTags = {}
    for part in parts:
        if part.name in (b"ID3 ", b"id3 "):
            found.append(raw_tags.id3_at(file, part.offset))
        elif part.name in _TEXTS:
            file.seek(part.offset)
            texts[_TEXTS[part.name]] = [raw_tags.decoded(file.read(min(part.size, 1024)).rstrip(b"\0"))]
    return raw_tags.merged({}, *found, texts, raw_tags.around(file, extent))
