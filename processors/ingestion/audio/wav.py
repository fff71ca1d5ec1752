"""WAV files: RIFF, its forms for more than 4 GB (RF64, BW64 and Sony's Wave64), and the codecs that stand in them.

Sources: "Multimedia Programming Interface and Data Specifications 1.0", RFC 2361 (codecs), EBU Tech 3306, Sony's
"Wave64".
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from songline.processors.ingestion.audio import raw_tags
from songline.processors.ingestion.audio.chunks import (
    PLACEHOLDERS,
    Chunk,
    Order,
    check_behind,
    chunks,
    missing,
    sound_size,
)
from songline.processors.ingestion.audio.extent import Extent
from songline.processors.ingestion.audio.invalid_audio import InvalidAudioError, cut_off
from songline.processors.ingestion.audio.mp3 import measure
from songline.processors.ingestion.audio.sound import RATES, RawTags, Sound, bad_rate

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_PLAIN = (_PCM, _FLOAT)
_ONE_BYTE = (6, 7)
_MPEG = (0x50, 0x55)
_MS_ADPCM, _IMA_ADPCM, _GSM, _NMS = 0x02, 0x11, 0x31, 0x38
# Codecs of telephones, whose samples have as many bits as the header says.
_BITS = (0x14, 0x40, 0x45, 0x64, 0x65)
_INFO_MAX = 1024
# So many times as long as its bytes a second say, a file can't be.
_SLOWEST = 4
# What an encoder of MP3 adds at most.
_PADDING_S = 0.2
_W64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")
_W64_HEAD = 24


class WavHead(NamedTuple):
    """A `fmt ` chunk: samples a second, about how many bytes a second, bytes of a block, bits of a sample."""

    codec: int
    channels: int
    rate: int
    bytes_s: int
    block: int
    bits: int


def read_wav(file: BinaryIO, extent: Extent) -> Sound:
    """The sound of a WAV file. Raises InvalidAudioError: cut-off, corrupt, unsupported."""
    file.seek(extent.start)
    form = file.read(4)
    order: Order = "big" if form == b"RIFX" else "little"
    parts = list(_wave64(file, extent) if form == b"riff" else _riff(file, extent, form, order))
    found = {part.name: part for part in reversed(parts)}
    sound = found.get(b"data")
    if sound is not None and b"fmt " in found:
        size = sound_size(file, sound, extent.end, order)
        if sound.size and sound.size not in PLACEHOLDERS:
            check_behind(parts, sound, _form_end(file, extent, form, order), extent.end)
        head, meant = _head(file, found[b"fmt "], order), _meant(file, found.get(b"fact"), order)
        seconds = _seconds(file, head, sound.offset, size, meant)
        return Sound("wav", seconds, _tags(file, parts, extent, order))
    promised = _form_end(file, extent, form, order)
    if promised > extent.end:
        raise cut_off(promised, extent.end)
    raise missing("its sound" if b"fmt " in found else "what its sound is like")


def _riff(file: BinaryIO, extent: Extent, form: bytes, order: Order) -> Iterator[Chunk]:
    """The chunks of RIFF, or of RIFX; of RF64, whose lengths stand in a chunk of their own where four bytes are too
    few."""
    sizes: dict[bytes, int] = {}
    start = extent.start + 12
    while start + 8 <= extent.end:
        chunk = next(chunks(file, start, extent.end, order))
        if form in (b"RF64", b"BW64") and chunk.name == b"ds64":
            content = file.read(16)
            sizes[b"data"] = int.from_bytes(content[8:16], "little")
        if chunk.size == 0xFFFFFFFF and sizes.get(chunk.name):
            chunk = chunk._replace(size=sizes[chunk.name])
        yield chunk
        start = chunk.end + chunk.size % 2


def _wave64(file: BinaryIO, extent: Extent) -> Iterator[Chunk]:
    """The chunks of Wave64, under the names that they have in RIFF. Their lengths count their heads."""
    start = extent.start + 40
    while start + _W64_HEAD <= extent.end:
        file.seek(start)
        head = file.read(_W64_HEAD)
        size = int.from_bytes(head[16:], "little")
        if head[4:16] == _W64_TAIL:
            yield Chunk(head[:4], start + _W64_HEAD, max(0, size - _W64_HEAD))
        if size < _W64_HEAD:
            return
        start += -(-size // 8) * 8


def _form_end(file: BinaryIO, extent: Extent, form: bytes, order: Order) -> int:
    """Where the form says that it ends; the end of the file where it does not say it."""
    file.seek(extent.start + 4)
    size = int.from_bytes(file.read(4), order)
    return extent.start + 8 + size if form in (b"RIFF", b"RIFX") and size and size not in PLACEHOLDERS else extent.end


def _head(file: BinaryIO, chunk: Chunk, order: Order) -> WavHead:
    file.seek(chunk.offset)
    octets = file.read(min(chunk.size, 40))
    if len(octets) < 16:
        raise missing("what its sound is like")
    codec, channels, rate, bytes_s, block, bits = struct.unpack(f"{'>' if order == 'big' else '<'}HHLLHH", octets[:16])
    if codec == _EXTENSIBLE and len(octets) >= 26:
        codec = int.from_bytes(octets[24:26], order)
    return WavHead(codec, channels, rate, bytes_s, block, bits)


def _seconds(file: BinaryIO, head: WavHead, offset: int, size: int, meant: int) -> float:
    if head.channels < 1 or head.rate not in RATES:
        raise bad_rate(head.rate, head.channels)
    if head.codec in _PLAIN:
        if head.block != head.channels * -(-head.bits // 8) or not head.block:
            text = f"it says that {head.channels} samples of {head.bits} bits take {head.block} bytes"
            raise InvalidAudioError("corrupt", f"The file is damaged: {text}.")
        return size // head.block / head.rate
    if head.codec in _ONE_BYTE:
        return size // head.channels / head.rate
    if head.codec in _MPEG:
        seconds = measure(file, offset, offset + size).seconds
        meant_s = meant / head.rate
        return meant_s if seconds - _PADDING_S < meant_s < seconds else seconds
    if head.codec in _BITS and head.bits:
        return size * 8 / (head.bits * head.channels) / head.rate
    samples = _block_samples(head)
    if samples > 0:
        return _block_seconds(head, samples, size, meant)
    # Of every other codec, what the header says in other words: a number of samples, or bytes a second.
    about_s = size / head.bytes_s if head.bytes_s else 0.0
    seconds = meant / head.rate or about_s
    if seconds and (not about_s or seconds < _SLOWEST * about_s):
        return seconds
    raise InvalidAudioError(
        "unsupported",
        f"The file is a WAV with codec {head.codec}, and its header does not say how long it is. Save it as FLAC, or "
        "uncompressed.",
    )


def _block_samples(head: WavHead) -> int:
    """The samples of a block of ADPCM, which begins with a whole one, of GSM 06.10 or NMS; 0 for other codecs."""
    if head.codec == _NMS:
        return 160 if head.block else 0
    if head.codec == _MS_ADPCM:
        return (head.block - 7 * head.channels) * 2 // head.channels + 2
    if head.codec == _IMA_ADPCM and head.bits:
        return (head.block - 4 * head.channels) * 8 // (head.bits * head.channels) + 1
    return 320 if head.codec == _GSM and head.block else 0


def _block_seconds(head: WavHead, block_samples: int, size: int, meant: int) -> float:
    """The last block may be filled up: where a `fact` chunk says how many samples are meant, these count. One of ADPCM
    may also be short; of others only a whole one sounds."""
    is_adpcm = head.codec in (_MS_ADPCM, _IMA_ADPCM)
    samples = (-(-size // head.block) if is_adpcm else size // head.block) * block_samples
    return (meant if samples - block_samples < meant < samples else samples) / head.rate


def _meant(file: BinaryIO, fact: Chunk | None, order: Order) -> int:
    """The samples that a `fact` chunk says of; 0 without one."""
    if fact is None:
        return 0
    file.seek(fact.offset)
    return int.from_bytes(file.read(4), order)


def _tags(file: BinaryIO, parts: list[Chunk], extent: Extent, order: Order) -> RawTags:
    """Of a chunk with ID3, else of LIST INFO, else of tags around it all."""
    id3 = [raw_tags.id3_at(file, part.offset) for part in parts if part.name in (b"id3 ", b"ID3 ")]
    info = [
        raw_tags.merged({}, *_info(file, part, min(part.end, extent.end), order))
        for part in parts
        if part.name == b"LIST"
    ]
    return raw_tags.merged({}, *id3, *info, raw_tags.around(file, extent))


def _info(file: BinaryIO, part: Chunk, end: int, order: Order) -> Iterator[RawTags]:
    file.seek(part.offset)
    if file.read(4) != b"INFO":
        return
    for item in chunks(file, part.offset + 4, end, order):
        file.seek(item.offset)
        yield raw_tags.info_text(item.name, file.read(min(item.size, _INFO_MAX)))
