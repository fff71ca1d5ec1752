"""Rows of JSON files: elements of an array, and lines. Each is decoded by itself, so that one bad row is one row."""

import re
from collections.abc import Iterator
from typing import Any, BinaryIO, TypeVar

from msgspec import Raw

from songline.processors.imports.bounded import lines, whole_document
from songline.processors.imports.rows import SkippedRow, UnreadableHistoryError
from songline.schemas.decoding import Decoder
from songline.schemas.errors import PoisonError

T = TypeVar("T")

_elements: Decoder[list[Raw]] = Decoder(list[Raw], "not-a-history")


MENDED_BYTES = 32 * 1024 * 1024
"""A longer document is not read a second time: it takes memory that the reader may not have."""
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
"""An escape in a text of JSON. `half`: half of a character, as programs leave it that cut between two UTF-16 units."""


def elements(data: bytes) -> list[Raw]:
    """The elements of a JSON array, not decoded yet. Raises UnreadableHistoryError."""
    try:
        return lenient(_elements, data)
    except PoisonError as poison:
        raise broken_json(poison) from None


def lenient(decoder: Decoder[T], data: bytes) -> T:
    """What JSON says whose texts may have signs that are none: they spoil no other text. Raises PoisonError."""
    try:
        return decoder.decode(data)
    except PoisonError:
        if len(data) > MENDED_BYTES or (mended := _with_signs(data)) == data:
            raise
    return decoder.decode(mended)


def _with_signs(data: bytes) -> bytes:
    """JSON with the sign of an unknown character in place of bytes that are no UTF-8, and of halves of characters."""
    text = data.decode("utf-8", "replace").encode("utf-8")
    return _ESCAPE.sub(lambda found: found[0] if found["half"] is None else b"\\ufffd", text)


def array_rows(file: BinaryIO, decoder: Decoder[T]) -> Iterator[tuple[str, T | SkippedRow]]:
    """The elements of the array in `file`, each with its place. Raises UnreadableHistoryError."""
    yield from decoded(elements(whole_document(file)), decoder)


def decoded(rows: list[Raw], decoder: Decoder[T]) -> Iterator[tuple[str, T | SkippedRow]]:
    """The decoded rows, each with its place."""
    for number, raw in enumerate(rows, start=1):
        place = f"row {number}"
        try:
            yield place, decoder.decode(bytes(raw))
        except PoisonError:
            yield place, SkippedRow("unreadable", place)


def line_rows(file: BinaryIO, decoder: Decoder[T]) -> Iterator[tuple[str, T | SkippedRow]]:
    """The lines of `file` that are not empty, decoded, each with its place."""
    for number, line in lines(file):
        if line is not None and not line.strip():
            continue
        place = f"line {number}"
        try:
            yield place, SkippedRow("unreadable", place) if line is None else lenient(decoder, line)
        except PoisonError:
            yield place, SkippedRow("unreadable", place)


def begins_array(file: BinaryIO) -> bool:
    """Whether the first sign of `file` that is no space opens an array. The file is read from its begin again."""
    head = file.read(64 * 1024).removeprefix(b"\xef\xbb\xbf").lstrip()
    file.seek(0)
    return head.startswith(b"[")


def broken_json(poison: PoisonError) -> UnreadableHistoryError:
    """What to say of a document that is no JSON, or another one than expected."""
    return UnreadableHistoryError(
        f"It is not the JSON that was expected: {poison.detail}. Export or download it again."
    )


def field(value: Any, *names: str) -> Any:
    """The value under a path of keys; None where there is none."""
    for name in names:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value
