"""Rows of JSON files: elements of an array, and lines. Each is decoded by itself, so that one bad row is one row."""

from collections.abc import Iterator
from typing import Any, BinaryIO, TypeVar

from msgspec import Raw

from songline.processors.imports.bounded import lines, whole_document
from songline.processors.imports.rows import SkippedRow, UnreadableHistoryError
from songline.schemas.decoding import Decoder
from songline.schemas.errors import PoisonError

T = TypeVar("T")

_elements: Decoder[list[Raw]] = Decoder(list[Raw], "not-a-history")


def elements(data: bytes) -> list[Raw]:
    """The elements of a JSON array, not decoded yet. Raises UnreadableHistoryError."""
    try:
        return _elements.decode(data)
    except PoisonError as poison:
        raise broken_json(poison) from None


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
            yield place, SkippedRow("unreadable", place) if line is None else decoder.decode(line)
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
