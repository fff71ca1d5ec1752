"""Elements of EBML, which Matroska is made of. Source: RFC 8794 sections 4 to 7."""

import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from songline.processors.ingestion.audio.invalid_audio import cut_off

_VALUE_MAX = 1 << 16


class Element(NamedTuple):
    """An element: its id, where its content begins and ends; `end` is None for one of unknown size."""

    id: int
    content: int
    end: int | None


def elements(file: BinaryIO, start: int, end: int) -> Iterator[Element]:
    """The elements between `start` and `end`, up to what is none. The last may end behind `end`."""
    at = start
    while at < end:
        element = element_at(file, at, end)
        if element is None:
            return
        yield element
        at = end if element.end is None else element.end


def inside(file: BinaryIO, parent: Element) -> Iterator[Element]:
    """The elements in `parent`; none where its size is unknown."""
    return elements(file, parent.content, parent.content if parent.end is None else parent.end)


def child_content(file: BinaryIO, parent: Element, wanted: int) -> bytes:
    """What is in the first element `wanted` in `parent`; nothing where it is not there."""
    found = next((element for element in inside(file, parent) if element.id == wanted), None)
    return b"" if found is None else content_of(file, found)


def text_in(file: BinaryIO, parent: Element, wanted: int) -> str:
    """The text in the first element `wanted` in `parent`, without the zeros at its end."""
    return child_content(file, parent, wanted).rstrip(b"\0").decode(errors="replace")


def content_of(file: BinaryIO, element: Element) -> bytes:
    """What is in the element, 64 KiB at most; nothing where its size is unknown."""
    file.seek(element.content)
    return file.read(max(0, min((element.end or element.content) - element.content, _VALUE_MAX)))


def element_at(file: BinaryIO, at: int, end: int) -> Element | None:
    """The element at `at`; None where none is. It may end behind `end`."""
    file.seek(at)
    head = file.read(12)
    name, size_at = varint(head, keep_marker=True)
    size, length = varint(head[size_at:], keep_marker=False)
    if not size_at or not length:
        if 0 < end - at < 12 and name:
            raise cut_off(end + 1, end)
        return None
    content = at + size_at + length
    unknown = size == (1 << 7 * length) - 1
    return Element(name, content, None if unknown else content + size)


def varint(octets: bytes, *, keep_marker: bool) -> tuple[int, int]:
    """A number of EBML and its length in bytes; (0, 0) where it is none, or not whole."""
    length = 9 - octets[0].bit_length() if octets else 0
    if not 1 <= length <= 8 or len(octets) < length:
        return 0, 0
    value = int.from_bytes(octets[:length])
    return (value if keep_marker else value & (1 << 7 * length) - 1), length


def number_of(octets: bytes) -> int:
    """The whole number in the content of an element."""
    return int.from_bytes(octets)


def decimal_of(octets: bytes) -> float:
    """A number with a fraction, of four or eight bytes; 0 for others, and for what is none."""
    if len(octets) not in (4, 8):
        return 0.0
    value: float = struct.unpack(">f" if len(octets) == 4 else ">d", octets)[0]
    return value if 0 < value < float("inf") else 0.0
