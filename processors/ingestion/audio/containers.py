"""Containers that say how long their parts are: RIFF (WAV), IFF (AIFF), MP4 and Ogg. What isn't there was cut off.

Sources: "Multimedia Programming Interface and Data Specifications 1.0" (RIFF), AIFF 1.3, ISO/IEC 14496-12 section 4.2
(MP4 boxes), RFC 3533 section 6 (Ogg pages).
"""

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Literal, NamedTuple

from songline.processors.ingestion.audio.invalid_audio import InvalidAudioError, cut_off

# WAVE_FORMAT_PCM, IEEE_FLOAT and EXTENSIBLE.
WAV_CODECS = (1, 3, 0xFFFE)
# The AIFF-C codecs that are none.
_PLAIN = (b"NONE", b"sowt", b"twos")
OGG_PAGE_MAX = 65_307
_END_OF_STREAM = 4
_INFO = {b"INAM": "title", b"IART": "artist", b"IPRD": "album", b"IGNR": "genre"}
_INFO_MAX = 1024
# What a recorder writes that did not know yet how long it would record.
_UNKNOWN = (0, 0xFFFFFFFF)


_MIRRORED = bytes(int(f"{octet:08b}"[::-1], 2) for octet in range(256))


class Chunk(NamedTuple):
    name: bytes
    offset: int
    size: int


def chunks(file: BinaryIO, start: int, end: int, order: Literal["little", "big"]) -> Iterator[Chunk]:
    """The chunks of a RIFF or IFF form between `start` and `end`; `offset` is where a chunk's content begins."""
    while start + 8 <= end:
        file.seek(start)
        head = file.read(8)
        if len(head) < 8:
            return
        chunk = Chunk(head[:4], start + 8, int.from_bytes(head[4:], order))
        yield chunk
        start = chunk.offset + chunk.size + chunk.size % 2


def check_wav(file: BinaryIO) -> None:
    """Raises InvalidAudioError: cut-off, corrupt, unsupported."""
    found = _check_form(file, "little", b"fmt ", b"data")
    file.seek(found[b"fmt "].offset)
    codec, channels, _, _, block, bits = struct.unpack("<HHLLHH", file.read(16))
    if codec in WAV_CODECS and block != channels * -(-bits // 8):
        text = f"The file is damaged: it says that {channels} samples of {bits} bits take {block} bytes."
        raise InvalidAudioError("corrupt", text)


def check_aiff(file: BinaryIO) -> None:
    """Raises InvalidAudioError: cut-off, corrupt, unsupported."""
    found = _check_form(file, "big", b"COMM", b"SSND")
    file.seek(found[b"COMM"].offset)
    common = file.read(22)
    if file.seek(8) == 8 and file.read(4) == b"AIFC" and common[18:22] not in _PLAIN:
        # How much room compressed frames take is their codec's secret.
        return
    channels, frames, bits = struct.unpack(">hLh", common[:8])
    needed = frames * channels * -(-bits // 8)
    # Two numbers of four bytes stand before the sound itself.
    held = found[b"SSND"].size - 8
    if needed > held:
        text = f"The file is damaged: its header speaks of {needed} bytes of sound, and there are {held}."
        raise InvalidAudioError("corrupt", text)


def _check_form(file: BinaryIO, order: Literal["little", "big"], described: bytes, sound: bytes) -> dict[bytes, Chunk]:
    """The parts of the form, by name."""
    length = file.seek(0, 2)
    file.seek(4)
    size = int.from_bytes(file.read(4), order)
    # Not by the form's own size alone: some writers get that wrong, and the parts right.
    found = list(chunks(file, 12, min(length, max(size + 8, 12)) if size not in _UNKNOWN else length, order))
    sizes = {chunk.name: chunk.size for chunk in found}
    if sizes.get(sound) == 0xFFFFFFFF:
        raise InvalidAudioError(
            "unsupported", "The file's header does not say how long it is: it was recorded and never finished."
        )
    for chunk in found:
        if chunk.offset + chunk.size > length:
            raise cut_off(chunk.offset + chunk.size, length)
    if described in sizes and sound in sizes:
        return {chunk.name: chunk for chunk in found}
    if size + 8 > length:
        raise cut_off(size + 8, length)
    raise InvalidAudioError("corrupt", "The file is damaged: the part that should hold its sound is not there.")


def wav_info(file: BinaryIO) -> dict[str, str]:
    """Title, artist, album and genre from the LIST INFO chunk of a WAV file, as far as they are there."""
    found: dict[str, str] = {}
    length = file.seek(0, 2)
    for chunk in chunks(file, 12, length, "little"):
        file.seek(chunk.offset)
        if chunk.name != b"LIST" or file.read(4) != b"INFO":
            continue
        for item in chunks(file, chunk.offset + 4, min(chunk.offset + chunk.size, length), "little"):
            if item.name in _INFO:
                file.seek(item.offset)
                raw = file.read(min(item.size, _INFO_MAX)).partition(b"\0")[0]
                found[_INFO[item.name]] = raw.decode(errors="replace")
    return found


def check_mp4(file: BinaryIO) -> None:
    """Raise InvalidAudioError (cut-off) unless all boxes are whole, with the index (`moov`) and the sound (`mdat`)."""
    length = file.seek(0, 2)
    at = 0
    seen = set()
    while at < length:
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            raise cut_off(at + 8, length)
        size = int.from_bytes(head[:4])
        seen.add(head[4:8])
        if size == 1:
            size = int.from_bytes(head[8:16])
        elif size == 0:
            size = length - at
        if at + size > length:
            raise cut_off(at + size, length)
        if size < 8:
            raise InvalidAudioError("corrupt", f"The file is damaged: a part of {size} bytes at byte {at} can't be.")
        at += size
    for box, what in ((b"moov", "index"), (b"mdat", "sound")):
        if box not in seen:
            raise InvalidAudioError(
                "cut-off", f"The file is cut off: the part with its {what} is not there. Send it whole."
            )


def check_ogg(file: BinaryIO) -> None:
    """Raises InvalidAudioError (cut-off) unless the last page is whole and says that it is the last."""
    length = file.seek(0, 2)
    window = max(0, length - 2 * OGG_PAGE_MAX)
    file.seek(window)
    tail = file.read()
    at = tail.rfind(b"OggS")
    while at >= 0:
        page = tail[at : at + 27]
        table = tail[at + 27 : at + 27 + (page[26] if len(page) == 27 else 0)]
        whole = len(page) == 27 and len(table) == page[26]
        if not whole or (page[4] == 0 and page[5] <= 7):
            end = window + at + 27 + len(table) + sum(table)
            if not whole or end > length:
                raise cut_off(max(end, length + 1), length)
            if not page[5] & _END_OF_STREAM:
                raise InvalidAudioError(
                    "cut-off", "The file is cut off: its last page does not say that it is the last. Send it whole."
                )
            # The one that says how long it is, and the one that says what it is.
            _check_page(tail[at : end - window])
            _check_page(_first_page(file))
            return
        at = tail.rfind(b"OggS", 0, at)
    raise InvalidAudioError("corrupt", "The file is damaged: it begins as Ogg and does not end so.")


def _first_page(file: BinaryIO) -> bytes:
    file.seek(0)
    page = file.read(OGG_PAGE_MAX)
    table = page[27 : 27 + page[26]]
    return page[: 27 + len(table) + sum(table)]


def _check_page(page: bytes) -> None:
    if ogg_crc(page[:22] + bytes(4) + page[26:]) != int.from_bytes(page[22:26], "little"):
        raise InvalidAudioError("corrupt", "The file is damaged: a part of it does not match its own checksum.")


def ogg_crc(octets: bytes) -> int:
    """Polynomial 0x04C11DB7, from 0, and no bit turned round (RFC 3533 section 6): zlib's, with all of these undone."""
    turned = zlib.crc32(octets.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{turned:032b}"[::-1], 2)
