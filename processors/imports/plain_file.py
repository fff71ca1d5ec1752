"""A history as the readers take it: unpacked where it is a gzip file, and in UTF-8 where it is in UTF-16."""

import gzip
import io
import zlib
from typing import BinaryIO, cast

from songline.processors.imports.bounded import MAX_DOCUMENT_BYTES
from songline.processors.imports.rows import UnreadableHistoryError

GZIP_MAGIC = b"\x1f\x8b"
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
MAX_UNPACKED_BYTES = 2_000_000_000
"""Bytes of a gzip file, or of all files of an archive, beyond which it is no history that a service exports."""
MAX_UTF_16_BYTES = MAX_DOCUMENT_BYTES // 2


def plain_file(file: BinaryIO) -> BinaryIO:
    """The file, or what stands in it, from its begin on. Raises UnreadableHistoryError, and so does the result."""
    head = _head(file)
    if head.startswith(GZIP_MAGIC):
        file = cast("BinaryIO", io.BufferedReader(_Unpacked(file)))
        head = _head(file)
    if not head.startswith(UTF_16):
        return file
    data = file.read(MAX_UTF_16_BYTES + 1)
    if len(data) > MAX_UTF_16_BYTES:
        raise UnreadableHistoryError(
            f"It is text in UTF-16 of more than {MAX_UTF_16_BYTES // 1_000_000} MB: save it as UTF-8."
        )
    return io.BytesIO(data.decode("utf-16", "replace").encode("utf-8", "replace"))


def _head(file: BinaryIO) -> bytes:
    head = file.read(2)
    file.seek(0)
    return head


class _Unpacked(io.RawIOBase):
    """What a gzip file holds, up to MAX_UNPACKED_BYTES. It can go back to its begin."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = gzip.GzipFile(fileobj=file, mode="rb")
        self._size_bytes = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if (offset, whence) == (0, io.SEEK_SET):
            self._size_bytes = 0
        return self._file.seek(offset, whence)

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        try:
            piece = self._file.read1(len(view))
        except (OSError, EOFError, zlib.error) as error:
            raise UnreadableHistoryError(
                f"It is a gzip file that can't be unpacked ({error}): it may be cut off. Download it again."
            ) from None
        self._size_bytes += len(piece)
        if self._size_bytes > MAX_UNPACKED_BYTES:
            raise UnreadableHistoryError(
                f"It is a gzip file that unpacks to more than {MAX_UNPACKED_BYTES // 1_000_000} MB: import it in parts."
            )
        view[: len(piece)] = piece
        return len(piece)
