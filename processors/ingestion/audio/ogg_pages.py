"""Pages of an Ogg file. Source: RFC 3533 section 6."""

import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from songline.processors.ingestion.audio.invalid_audio import InvalidAudioError, cut_off

PAGE_MAX = 65_307
UNKNOWN = 2**64 - 1
"""The granule position of a page on which no packet ends."""
CONTINUED, FIRST, LAST = 1, 2, 4
_HEAD = 27
_BLOCK = 4 << 20
_MIRRORED = bytes(int(f"{octet:08b}"[::-1], 2) for octet in range(256))


class OggPage(NamedTuple):
    """A page at `offset`, `size` bytes with its head: its flags, granule position, stream and table of segments."""

    offset: int
    size: int
    flags: int
    granule: int
    serial: int
    table: bytes

    @property
    def end(self) -> int:
        return self.offset + self.size

    @property
    def content(self) -> int:
        """Where its segments begin."""
        return self.offset + _HEAD + len(self.table)


def page_at(file: BinaryIO, offset: int) -> OggPage | None:
    """The page whose head stands at `offset`; None where none does, or its head is not whole."""
    file.seek(offset)
    head = file.read(_HEAD + 255)
    if len(head) < _HEAD or head[:5] != b"OggS\0" or head[5] > CONTINUED | FIRST | LAST:
        return None
    table = head[_HEAD : _HEAD + head[26]]
    if len(table) < head[26]:
        return None
    granule, serial = int.from_bytes(head[6:14], "little"), int.from_bytes(head[14:18], "little")
    return OggPage(offset, _HEAD + len(table) + sum(table), head[5], granule, serial, table)


def check_page(file: BinaryIO, page: OggPage) -> None:
    """Raise InvalidAudioError (cut-off, corrupt) unless the page is whole and matches its checksum."""
    file.seek(page.offset)
    octets = file.read(page.size)
    if len(octets) < page.size:
        raise cut_off(page.end, page.offset + len(octets))
    if not _is_sound(octets):
        raise InvalidAudioError("corrupt", "The file is damaged: a part of it does not match its own checksum.")


def first_pages(file: BinaryIO, start: int, end: int) -> Iterator[OggPage]:
    """The pages between `start` and `end` that begin a stream, in their order."""
    at = start
    while at < end:
        file.seek(at)
        block = file.read(max(0, min(_BLOCK + _HEAD, end - at)))
        place = block.find(b"OggS\0")
        while place >= 0:
            if len(block) > place + 5 and block[place + 5] & FIRST:
                page = page_at(file, at + place)
                # The letters may stand anywhere in the sound.
                if page is not None and page.end <= end and _is_whole(file, page):
                    yield page
            place = block.find(b"OggS\0", place + 5)
        at += _BLOCK


def pages_from(file: BinaryIO, start: int, end: int, serial: int) -> Iterator[OggPage]:
    """The pages of the stream `serial` between `start` and `end`, over what is no page."""
    at = start
    while at < end:
        page = page_at(file, at)
        if page is None:
            at = _next(file, at + 1, end)
            continue
        if page.serial == serial:
            yield page
        at = page.end


def last_page(file: BinaryIO, start: int, end: int, serial: int | None) -> OggPage | None:
    """The last page between `start` and `end` whose granule position is known, of the stream `serial`; of any stream,
    and with any position, for None. It need not be whole."""
    window_end = end
    while window_end > start:
        window = max(start, window_end - 2 * PAGE_MAX)
        file.seek(window)
        tail = file.read(max(0, min(end, window_end + 4) - window))
        at = tail.rfind(b"OggS")
        while at >= 0:
            page = page_at(file, window + at)
            if page is not None and (serial is None or (page.serial == serial and page.granule != UNKNOWN)):
                return page
            if page is None and window + at + _HEAD + 255 > end and serial is None:
                raise cut_off(end + 1, end)
            at = tail.rfind(b"OggS", 0, at)
        window_end = window
    return None


def _next(file: BinaryIO, at: int, end: int) -> int:
    while at < end:
        file.seek(at)
        block = file.read(PAGE_MAX)
        place = block.find(b"OggS")
        if place >= 0:
            return at + place
        at += max(1, len(block) - 3)
    return end


def _is_whole(file: BinaryIO, page: OggPage) -> bool:
    file.seek(page.offset)
    return _is_sound(file.read(page.size))


def _is_sound(octets: bytes) -> bool:
    return ogg_crc(octets[:22] + bytes(4) + octets[26:]) == int.from_bytes(octets[22:26], "little")


def ogg_crc(octets: bytes) -> int:
    """Polynomial 0x04C11DB7, from 0, and no bit turned round (RFC 3533 section 6): zlib's, with all of these undone."""
    turned = zlib.crc32(octets.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{turned:032b}"[::-1], 2)
