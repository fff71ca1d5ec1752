"""Where the sound of a file begins and ends: tags and zeros stand around it, and players pass over them.

Sources: ID3v2.4 sections 3.1 (header) and 3.4 (footer), ID3v1, Lyrics3 v1 and v2, APEv1 and APEv2.
"""

from typing import BinaryIO, Literal, NamedTuple

BLOCK = 1 << 20
_ID3V1 = 128
_ID3V1_EXTENDED = 227
_FRAME = 10
_ZEROS = 8
_APE_FOOTER = 32
_LYRICS_MAX = 5_100


class TrailingTag(NamedTuple):
    """A tag behind the sound: its first byte and the one behind its last."""

    kind: Literal["id3v1", "id3v2", "ape", "lyrics"]
    start: int
    end: int


class Extent(NamedTuple):
    """The sound's first byte and the one behind its last, without what stands around it; the file's `length`; and the
    tags behind the sound, the last one first."""

    start: int
    end: int
    length: int
    behind: tuple[TrailingTag, ...] = ()


def find_extent(file: BinaryIO) -> Extent:
    """Where tags and zeros before the sound end, and tags behind it begin. Zeros at the end count as sound, unless a
    tag stands before them."""
    length = file.seek(0, 2)
    start = _after_tags(file, 0)
    end, behind = length, list[TrailingTag]()
    while True:
        # An APEv2 tag ends with eight zeros of its own.
        filled = min(end, before_zeros(file, start, end) + _ZEROS)
        tag = _tag_before(file, start, end) or _tag_before(file, start, filled)
        if tag is None:
            return Extent(start, end, length, tuple(behind))
        behind.append(tag)
        end = tag.start


def _after_tags(file: BinaryIO, at: int) -> int:
    while True:
        at = after_id3(file, at)
        file.seek(at)
        # An MP4 begins with up to four zeros.
        if file.read(_ZEROS) != bytes(_ZEROS):
            return at
        at = after_zeros(file, at)


def after_id3(file: BinaryIO, at: int) -> int:
    """Where the ID3v2 tags at `at` end; `at` where there is none."""
    while True:
        file.seek(at)
        tag = file.read(_FRAME)
        size = id3_size(tag)
        if size is None:
            return at
        at += size


def id3_size(head: bytes) -> int | None:
    """The bytes of the ID3v2 tag that begins with `head`, its footer included; None where none does."""
    if len(head) < _FRAME or head[:3] != b"ID3" or max(head[6:10]) > 0x7F:
        return None
    return _syncsafe(head[6:10]) + (2 * _FRAME if head[5] & 0x10 else _FRAME)


def after_zeros(file: BinaryIO, at: int) -> int:
    """The first byte at or behind `at` that is not zero; the file's length where there is none."""
    file.seek(at)
    while block := file.read(BLOCK):
        rest = block.lstrip(b"\0")
        if rest:
            return at + len(block) - len(rest)
        at += len(block)
    return at


def before_zeros(file: BinaryIO, start: int, end: int) -> int:
    """The end of what stands between `start` and `end` without the zeros at its end."""
    while end > start:
        first = max(start, end - BLOCK)
        file.seek(first)
        rest = file.read(max(0, end - first)).rstrip(b"\0")
        if rest:
            return first + len(rest)
        end = first
    return end


def _tag_before(file: BinaryIO, start: int, end: int) -> TrailingTag | None:
    """The tag that ends at `end` and begins at `start` or behind; None where there is none."""
    first = max(start, end - _ID3V1 - _ID3V1_EXTENDED)
    file.seek(first)
    tail = file.read(max(0, end - first))
    footer = tail[-_APE_FOOTER:]
    kind: Literal["id3v1", "id3v2", "ape", "lyrics"] = "lyrics"
    size = 0
    if len(tail) >= _ID3V1 and tail[-_ID3V1:].startswith(b"TAG"):
        extended = len(tail) == _ID3V1 + _ID3V1_EXTENDED and tail.startswith(b"TAG+")
        kind, size = "id3v1", _ID3V1 + (_ID3V1_EXTENDED if extended else 0)
    elif len(footer) == _APE_FOOTER and footer.startswith(b"APETAGEX"):
        kind, size = "ape", int.from_bytes(footer[12:16], "little") + (_APE_FOOTER if footer[23] & 0x80 else 0)
    elif len(tail) >= _FRAME and tail[-_FRAME:].startswith(b"3DI") and max(tail[-4:]) <= 0x7F:
        kind, size = "id3v2", _syncsafe(tail[-4:]) + 2 * _FRAME
    elif tail.endswith(b"LYRICS200") and tail[-15:-9].isdigit():
        size = int(tail[-15:-9]) + 15
    elif tail.endswith(b"LYRICSEND"):
        file.seek(max(start, end - _LYRICS_MAX))
        lyrics = file.read(max(0, min(_LYRICS_MAX, end - start)))
        at = lyrics.rfind(b"LYRICSBEGIN")
        size = len(lyrics) - at if at >= 0 else 0
    return TrailingTag(kind, end - size, end) if 0 < size <= end - start else None


def _syncsafe(octets: bytes) -> int:
    return octets[0] << 21 | octets[1] << 14 | octets[2] << 7 | octets[3]
