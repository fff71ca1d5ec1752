"""A folder as one file: a zip archive of all that is in it, with the same bytes each time."""

import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from songline.sending.exits import CommandError, ExitCode
from songline.sending.journal import readable

MAX_FILES = 10_000
MAX_BYTES = 2_000_000_000
"""More than this is no export that somebody unpacked."""


@contextmanager
def as_file(path: Path) -> Iterator[IO[bytes]]:
    """The open file at `path`, or an archive of the folder there, which no process leaves behind. Raises
    CommandError."""
    with ExitStack() as stack:
        try:
            if not path.is_dir():
                file: IO[bytes] = stack.enter_context(path.open("rb"))
            else:
                file = stack.enter_context(tempfile.TemporaryFile())
                _pack(path, file)
        except OSError as error:
            raise CommandError(f"{readable(path)}: {error.strerror or error}", ExitCode.USAGE) from None
        yield file


def _pack(folder: Path, file: IO[bytes]) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for one in _files_in(folder):
            # Without its time, so that the same folder is the same archive.
            entry = zipfile.ZipInfo(readable(one.relative_to(folder)))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, one.read_bytes())
    file.seek(0)


def _files_in(folder: Path) -> list[Path]:
    files = sorted(one for one in folder.rglob("*") if one.is_file())
    size = sum(one.stat().st_size for one in files)
    if not files or len(files) > MAX_FILES or size > MAX_BYTES:
        seen = f"{len(files):,} files of {size // 1_000_000:,} MB" if files else "no file"
        raise CommandError(
            f"{readable(folder)} is a folder with {seen}, expected 1 to {MAX_FILES:,} of at most "
            f"{MAX_BYTES // 1_000_000:,} MB, as exports have: name the files of the history in it.",
            ExitCode.USAGE,
        )
    return files
