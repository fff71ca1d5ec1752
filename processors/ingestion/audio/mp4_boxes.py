"""Boxes of MP4 and QuickTime files. Source: ISO/IEC 14496-12 section 4.2."""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from songline.processors.ingestion.audio.invalid_audio import InvalidAudioError, cut_off

CONTENT_MAX = 64 << 20
_TOP = frozenset(
    (
        *(b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"moof", b"mfra", b"sidx", b"ssix", b"styp", b"uuid"),
        *(b"meta", b"pnot", b"pdin", b"udta", b"emsg", b"prft", b"junk", b"PICT"),
    )
)
"""The types that stand in no other box."""


class Box(NamedTuple):
    """A box: its type, where its content begins, and where it ends."""

    type: bytes
    content: int
    end: int


def boxes(file: BinaryIO, start: int, end: int) -> Iterator[Box]:
    """The boxes between `start` and `end`. Raises InvalidAudioError (corrupt) where one is longer than its parent."""
    at = start
    while at + 8 <= end:
        box = box_at(file, at, end)
        if box.end > end:
            raise InvalidAudioError(
                "corrupt", f"The file is damaged: a part at byte {at} is longer than what it is in."
            )
        yield box
        at = box.end


def top_boxes(file: BinaryIO, start: int, end: int) -> list[Box]:
    """The boxes of a file. What stands behind the last one and is none is left out, as players do.

    Raises InvalidAudioError (cut-off) where a box is not whole.
    """
    found: list[Box] = []
    at = start
    while at < end:
        file.seek(at)
        head = file.read(8)
        has_index = any(box.type in (b"moov", b"moof") for box in found)
        # A box that is cut within its head begins with the upper byte of its length, which is 0.
        is_box = head[4:8] in _TOP if len(head) == 8 else head[:1] == b"\0"
        if not head.strip(b"\0") or (has_index and not is_box and _is_last(found)):
            break
        if len(head) < 8:
            raise cut_off(at + 8, end)
        box = box_at(file, at, end)
        if box.end > end:
            raise cut_off(box.end, end)
        found.append(box)
        at = box.end
    return found


def box_at(file: BinaryIO, at: int, end: int) -> Box:
    """The box at `at`, which may end behind `end`; raises InvalidAudioError (corrupt)."""
    file.seek(at)
    head = file.read(16)
    size, content = int.from_bytes(head[:4]), at + 8
    if size == 1:
        size, content = int.from_bytes(head[8:16]), at + 16
    elif size == 0:
        size = end - at
    if size < content - at:
        raise InvalidAudioError("corrupt", f"The file is damaged: a part of {size} bytes at byte {at} can't be.")
    return Box(head[4:8], content, at + size)


def child(file: BinaryIO, box: Box | None, *path: bytes) -> Box | None:
    """The first box that stands under `box` by these types; None where none does."""
    for name in path:
        if box is None:
            return None
        box = next((inner for inner in boxes(file, box.content, box.end) if inner.type == name), None)
    return box


def content(file: BinaryIO, box: Box) -> bytes:
    """What is in the box; raises InvalidAudioError (corrupt) where it is longer than a table can be."""
    size = box.end - box.content
    if size > CONTENT_MAX:
        raise InvalidAudioError("corrupt", f"The file is damaged: a table of {size} bytes can't be.")
    file.seek(box.content)
    return file.read(size)


def _is_last(found: list[Box]) -> bool:
    """Whether a file may end behind these boxes: none is missing that others tell of."""
    types = [box.type for box in found]
    return b"mdat" in types and (b"moof" not in types or types[::-1].index(b"mdat") < types[::-1].index(b"moof"))
