"""Tags of MP4 files, as iTunes writes them, and of QuickTime. Source: "QuickTime File Format", Metadata."""

from collections.abc import Iterator
from typing import BinaryIO

from songline.processors.ingestion.audio.invalid_audio import InvalidAudioError
from songline.processors.ingestion.audio.mp4_boxes import Box, boxes, child
from songline.processors.ingestion.audio.raw_tags import VALUE_MAX, VALUES_MAX, decoded, genre_of
from songline.processors.ingestion.audio.sound import RawTags

_NAMES = {
    b"\xa9nam": "title",
    b"\xa9ART": "artist",
    b"aART": "album_artist",
    b"\xa9alb": "album",
    b"\xa9gen": "genre",
}
_UTF16 = 2


def read_tags(file: BinaryIO, moov: Box) -> RawTags:
    """What the tags in `moov` say; nothing where they are broken."""
    found: RawTags = {}
    try:
        for name, value in _pairs(file, moov):
            values = found.setdefault(name, [])
            if len(values) < VALUES_MAX:
                values.append(value)
    except InvalidAudioError:
        pass
    return found


def _pairs(file: BinaryIO, moov: Box) -> Iterator[tuple[str, str]]:
    about = child(file, moov, b"udta")
    if about is None:
        return
    meta = child(file, about, b"meta")
    if meta is None:
        yield from _quicktime(file, about)
        return
    # A box with a version, but in QuickTime.
    file.seek(meta.content + 4)
    start = meta.content + (0 if file.read(4) == b"hdlr" else 4)
    items = next((box for box in boxes(file, start, meta.end) if box.type == b"ilst"), None)
    if items is None:
        return
    for item in boxes(file, items.content, items.end):
        if item.type == b"----":
            yield from _freeform(file, item)
        elif item.type in _NAMES or item.type == b"gnre":
            yield from _values(file, item)


def _values(file: BinaryIO, item: Box) -> Iterator[tuple[str, str]]:
    for kind, value in _data(file, item):
        if item.type == b"gnre":
            name = genre_of(int.from_bytes(value[:2]) - 1)
            if name is not None:
                yield "genre", name
        else:
            yield _NAMES[item.type], value.decode("utf-16-be", "replace") if kind == _UTF16 else decoded(value)


def _freeform(file: BinaryIO, item: Box) -> Iterator[tuple[str, str]]:
    named = child(file, item, b"name")
    if named is None:
        return
    file.seek(named.content + 4)
    if file.read(max(0, min(named.end - named.content - 4, 64))).upper() == b"ARTISTS":
        for _, value in _data(file, item):
            yield "artists", decoded(value)


def _data(file: BinaryIO, item: Box) -> Iterator[tuple[int, bytes]]:
    """The type and bytes of each value of an item."""
    for box in boxes(file, item.content, item.end):
        if box.type == b"data":
            file.seek(box.content)
            octets = file.read(max(0, min(box.end - box.content, 8 + VALUE_MAX)))
            yield int.from_bytes(octets[1:4]), octets[8:]


def _quicktime(file: BinaryIO, about: Box) -> Iterator[tuple[str, str]]:
    """Texts behind their length and language."""
    for box in boxes(file, about.content, about.end):
        if box.type in _NAMES and box.type != b"aART":
            file.seek(box.content)
            octets = file.read(max(0, min(box.end - box.content, VALUE_MAX)))
            size = int.from_bytes(octets[:2])
            yield _NAMES[box.type], decoded(octets[4 : 4 + size])
