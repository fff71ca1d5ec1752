"""Bounded reads of foreign files: lines and documents of a limited size, whatever the file holds."""

from collections.abc import Iterator
from typing import BinaryIO

from songline.processors.imports.rows import UnreadableHistoryError

HEAD_BYTES = 256 * 1024
"""So much of a file says what it is: an element of any format is shorter, and so is a page's head."""
MAX_LINE_BYTES = 1024 * 1024
MAX_DOCUMENT_BYTES = 96 * 1024 * 1024
BOM = b"\xef\xbb\xbf"


def lines(file: BinaryIO, limit_bytes: int = MAX_LINE_BYTES) -> Iterator[tuple[int, bytes | None]]:
    """The lines with their numbers, without their ends; None for one that is longer than the limit."""
    number = 0
    while line := file.readline(limit_bytes + 2):
        number += 1
        text: bytes | None = line.removeprefix(BOM).rstrip(b"\r\n") if number == 1 else line.rstrip(b"\r\n")
        if not line.endswith(b"\n") and len(line) > limit_bytes:
            text = None
            while (rest := file.readline(limit_bytes)) and not rest.endswith(b"\n"):
                pass
        yield number, text


def text_of(line: bytes) -> str:
    """The text of a line: UTF-8, or Windows-1252 where it is no UTF-8, as programs for tables and old players write."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("cp1252", "replace")


def whole_document(file: BinaryIO, limit_bytes: int = MAX_DOCUMENT_BYTES) -> bytes:
    """All that the file holds. Raises UnreadableHistoryError for more than the limit."""
    data = file.read(limit_bytes + 1)
    if len(data) > limit_bytes:
        raise UnreadableHistoryError(
            f"It is one JSON document of more than {limit_bytes // 1_000_000} MB: expected one that is smaller. "
            "Export it in parts, or as JSON lines."
        )
    return data.removeprefix(BOM)
