"""A history as the readers take it: unpacked where it is a gzip file, in UTF-8 where it is in UTF-16 or UTF-32, and
with line ends that all know."""

import gzip
import io
import re
import zlib
from typing import BinaryIO, cast

from songline.processors.imports.bounded import MAX_DOCUMENT_BYTES
from songline.processors.imports.rows import UnreadableHistoryError

GZIP_MAGIC = b"\x1f\x8b"
MAX_UNPACKED_BYTES = 2_000_000_000
"""Bytes of a gzip file, or of all files of an archive, beyond which it is no history that a service exports."""
MAX_WIDE_BYTES = MAX_DOCUMENT_BYTES // 2
HEAD_BYTES = 4_096

_OLD_LINES = re.compile(rb"[^\0-\x08\n\x0b-\x0c\x0e-\x1f]*\r[^\0-\x08\n\x0b-\x0c\x0e-\x1f]*")
"""Text whose lines end by a carriage return alone, and nothing that is no text."""
_ASCII_BYTES = 32
_UNPACKING_ERRORS = (OSError, EOFError, zlib.error)
_WIDE_MARKS = (
    (b"\xff\xfe\0\0", "utf-32-le"),
    (b"\0\0\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_WIDE_ZEROS: dict[tuple[bool, ...], str] = {
    (True, False, True, False): "utf-16-le",
    (False, True, False, True): "utf-16-be",
    (True, False, False, False): "utf-32-le",
    (False, False, False, True): "utf-32-be",
}


def plain_file(file: BinaryIO) -> BinaryIO:
    """The file, or what stands in it, from its begin on. One that can't be unpacked to its end ends early, and
    `raise_fault` says so. Raises UnreadableHistoryError, and so does the result."""
    head = _head(file)
    if head.startswith(GZIP_MAGIC):
        file = cast("BinaryIO", io.BufferedReader(_Unpacked(file)))
        head = _head(file)
    encoding = _wide_encoding(head)
    has_old_ends = encoding is None and _OLD_LINES.fullmatch(head) is not None
    if encoding is None and not has_old_ends:
        return file
    data = file.read(MAX_WIDE_BYTES + 1)
    raise_fault(file)
    if len(data) > MAX_WIDE_BYTES:
        seen = "lines that end as on old Macs" if encoding is None else f"text in {encoding.upper()}"
        raise UnreadableHistoryError(
            f"It has {seen}, and more than {MAX_WIDE_BYTES // 1_000_000} MB: save it as UTF-8 with usual line ends."
        )
    if encoding is not None:
        data = data.decode(encoding, "replace").removeprefix("\ufeff").encode("utf-8", "replace")
    return io.BytesIO(data.replace(b"\r", b"\n") if b"\n" not in data else data)


def raise_fault(file: BinaryIO) -> None:
    """Raise UnreadableHistoryError where a `plain_file` that was read to its end could not be unpacked further."""
    raw = getattr(file, "raw", None)
    if isinstance(raw, _Unpacked) and raw.fault is not None:
        raise raw.fault


def _head(file: BinaryIO) -> bytes:
    head = file.read(HEAD_BYTES)
    file.seek(0)
    return head


def _wide_encoding(head: bytes) -> str | None:
    """The encoding of text whose characters have two or four bytes: by its mark, or by the zeros beside the first
    characters, which all formats have in ASCII."""
    marked = next((name for mark, name in _WIDE_MARKS if head.startswith(mark)), None)
    if marked is not None:
        return marked
    begin = head[: min(len(head), _ASCII_BYTES) // 4 * 4]
    zeros = {tuple(byte != 0 for byte in begin[at : at + 4]) for at in range(0, len(begin), 4)}
    return _WIDE_ZEROS.get(zeros.pop()) if len(zeros) == 1 else None


class _Unpacked(io.RawIOBase):
    """What a gzip file holds, up to MAX_UNPACKED_BYTES. It can go back to its begin. What stands before damage can be
    read: the file ends there, with a `fault`."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = gzip.GzipFile(fileobj=file, mode="rb")
        self.fault: UnreadableHistoryError | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.fault = None
        try:
            return self._file.seek(offset, whence)
        except _UNPACKING_ERRORS as error:
            self.fault = _broken(error)
            return self._file.tell()

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        try:
            piece = self._file.read1(len(view))
        except _UNPACKING_ERRORS as error:
            self.fault = _broken(error)
            return 0
        if self._file.tell() > MAX_UNPACKED_BYTES:
            raise UnreadableHistoryError(
                f"It is a gzip file that unpacks to more than {MAX_UNPACKED_BYTES // 1_000_000} MB: import it in parts."
            )
        view[: len(piece)] = piece
        return len(piece)


def _broken(error: Exception) -> UnreadableHistoryError:
    return UnreadableHistoryError(
        f"It is a gzip file that can't be unpacked ({error}): it may be cut off. Download it again."
    )
