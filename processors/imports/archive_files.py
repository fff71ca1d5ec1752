"""The files of an archive, one after the other: zip, tar, and archives inside those, as people pack exports again."""

import io
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from songline.processors.imports.plain_file import MAX_UNPACKED_BYTES, plain_file
from songline.processors.imports.rows import UnreadableHistoryError

ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
TAR_MAGIC, TAR_PLACE = b"ustar", 257
MAX_FILES = 10_000
"""Files of an archive and of those inside it, beyond which it is no history that a service exports."""
MAX_INNER_BYTES = 64 * 1024 * 1024
"""An archive inside another one is held in memory."""
DEEPEST = 2
"""Archives inside archives are opened so deep."""

_UNPACKING_ERRORS = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    EOFError,
    OSError,
    RuntimeError,
    NotImplementedError,
    # An entry that says to begin before the archive does.
    ValueError,
)


class ArchiveBudget:
    """How much an archive has unpacked, with all that is inside it."""

    def __init__(self) -> None:
        self._files = self._size_bytes = 0

    def add_files(self, count: int) -> None:
        """Count files. Raises UnreadableHistoryError for too many."""
        self._files += count
        if self._files > MAX_FILES:
            raise UnreadableHistoryError(
                f"It is an archive of {self._files} files: expected at most {MAX_FILES}, as exports have."
            )

    def add_bytes(self, size: int) -> None:
        """Count bytes of histories. Raises UnreadableHistoryError for too many."""
        self._size_bytes += size
        if self._size_bytes > MAX_UNPACKED_BYTES:
            raise UnreadableHistoryError(
                f"It is an archive that unpacks to more than {MAX_UNPACKED_BYTES // 1_000_000} MB: unpack it, and "
                "import its files one by one."
            )


def is_archive(file: BinaryIO) -> bool:
    """Whether the file is a zip or tar archive. It is read from its begin afterwards."""
    return _is_zip(head := _head(file)) or _is_tar(head)


def archive_files(file: BinaryIO, budget: ArchiveBudget, deepest: int = DEEPEST) -> Iterator[tuple[str, int, BinaryIO]]:
    """The name of each file in the archive, its size there, and the file, unpacked, until the next one is asked for.
    Raises UnreadableHistoryError."""
    for name, size, packed in _zipped(file, budget) if _is_zip(_head(file)) else _tarred(file, budget):
        with unpacking(name):
            found = plain_file(packed)
            is_inner = is_archive(found)
        if not is_inner:
            yield name, size, found
        elif deepest:
            yield from archive_files(_held(name, found), budget, deepest - 1)


@contextmanager
def unpacking(name: str) -> Iterator[None]:
    """While the file `name` is read: its archive's errors are UnreadableHistoryErrors."""
    try:
        yield
    except _UNPACKING_ERRORS as error:
        raise UnreadableHistoryError(
            f"{name[:200]!r} in the archive can't be unpacked ({error}). Download it again, without a password."
        ) from None


def _zipped(file: BinaryIO, budget: ArchiveBudget) -> Iterator[tuple[str, int, BinaryIO]]:
    try:
        archive = zipfile.ZipFile(file)
    except _UNPACKING_ERRORS as error:
        raise _unopened("zip", error) from None
    with archive:
        entries = sorted((one for one in archive.infolist() if not one.is_dir()), key=lambda one: one.filename)
        budget.add_files(len(entries))
        for entry in entries:
            with unpacking(entry.filename):
                # It gives no more bytes than the entry says that it has.
                packed = archive.open(entry)
            with packed:
                yield entry.filename, entry.file_size, cast("BinaryIO", packed)


def _tarred(file: BinaryIO, budget: ArchiveBudget) -> Iterator[tuple[str, int, BinaryIO]]:
    try:
        archive = tarfile.open(fileobj=file, mode="r:")  # noqa: SIM115  # closed below
    except _UNPACKING_ERRORS as error:
        raise _unopened("tar", error) from None
    with archive:
        while True:
            with unpacking("the next file"):
                entry = archive.next()
            if entry is None:
                return
            budget.add_files(1)
            if entry.isreg() and (packed := archive.extractfile(entry)) is not None:
                with packed:
                    yield entry.name, entry.size, cast("BinaryIO", packed)


def _unopened(kind: str, error: Exception) -> UnreadableHistoryError:
    return UnreadableHistoryError(
        f"It is a {kind} archive that can't be opened ({error}): it may be cut off. Download it again."
    )


def _held(name: str, file: BinaryIO) -> BinaryIO:
    with unpacking(name):
        data = file.read(MAX_INNER_BYTES + 1)
    if len(data) > MAX_INNER_BYTES:
        raise UnreadableHistoryError(
            f"{name[:200]!r} in the archive is an archive of more than {MAX_INNER_BYTES // 1_000_000} MB: unpack the "
            "outer one, and import its files one by one."
        )
    return io.BytesIO(data)


def _head(file: BinaryIO) -> bytes:
    head = file.read(TAR_PLACE + len(TAR_MAGIC))
    file.seek(0)
    return head


def _is_zip(head: bytes) -> bool:
    return head.startswith(ZIP_MAGIC)


def _is_tar(head: bytes) -> bool:
    return head[TAR_PLACE:] == TAR_MAGIC
