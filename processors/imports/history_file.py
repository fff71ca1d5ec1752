"""Reads a history: a file of any known format, by itself or packed by gzip, or a zip archive of such files."""

import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO, cast

from songline.processors.imports.plain_file import MAX_UNPACKED_BYTES, plain_file
from songline.processors.imports.recognition import EMPTY, READERS, recognized
from songline.processors.imports.rows import HistoryRow, ReadOptions, UnreadableHistoryError

ZIP_MAGIC = b"PK\x03\x04"
EMPTY_ZIP_MAGIC = b"PK\x05\x06"
MAX_FILES = 10_000
"""Files of an archive beyond which it is no history that a service exports."""

_UNPACKING_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    RuntimeError,
    NotImplementedError,
    # An entry that says to begin before the archive does.
    ValueError,
)

KNOWN = (
    "a ListenBrainz export, Spotify's streaming history, Last.fm scrobbles as CSV or JSON, a Maloja export, a "
    ".scrobbler.log, Pano Scrobbler's JSON lines, YouTube Music's watch history, or events of our own as Avro or lines"
)


def read_history(file: BinaryIO, options: ReadOptions) -> Iterator[tuple[str, HistoryRow]]:
    """The rows of a history, each with the name of its format, in the order of the file. Raises
    UnreadableHistoryError, at the first row or between rows."""
    magic = file.read(4)
    file.seek(0)
    if magic in (ZIP_MAGIC, EMPTY_ZIP_MAGIC):
        yield from _read_archive(file, options)
        return
    file = plain_file(file)
    name = recognized(file)
    if name == EMPTY:
        return
    if name is None:
        seen = "It is empty" if not magic else "It is no history that is known here"
        more = ""
        head = file.read(4_096)
        if b"<plist" in head or b"<!DOCTYPE plist" in head:
            more = " A library of iTunes has counts and no moments, so that it holds no listens."
        raise UnreadableHistoryError(f"{seen}: expected {KNOWN}.{more}")
    for row in READERS[name](file, options):
        yield name, row


def _read_archive(file: BinaryIO, options: ReadOptions) -> Iterator[tuple[str, HistoryRow]]:
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise UnreadableHistoryError(
            f"It is a zip archive that can't be opened ({error}): it may be cut off. Download it again."
        ) from None
    with archive:
        entries = sorted((one for one in archive.infolist() if not one.is_dir()), key=lambda one: one.filename)
        if len(entries) > MAX_FILES:
            raise UnreadableHistoryError(
                f"It is a zip archive of {len(entries)} files: expected at most {MAX_FILES}, as exports have."
            )
        unpacked = known = 0
        for entry in entries:
            try:
                # It gives no more bytes than the entry says that it has.
                with archive.open(entry) as packed:
                    found = plain_file(cast("BinaryIO", packed))
                    name = recognized(found)
                    if name is None:
                        continue
                    known += 1
                    if name == EMPTY:
                        continue
                    unpacked += entry.file_size
                    if unpacked > MAX_UNPACKED_BYTES:
                        raise UnreadableHistoryError(
                            f"It is a zip archive that unpacks to more than {MAX_UNPACKED_BYTES // 1_000_000} MB: "
                            "unpack it, and import its files one by one."
                        )
                    for row in READERS[name](found, options):
                        yield name, row
            except _UNPACKING_ERRORS as error:
                raise UnreadableHistoryError(
                    f"{entry.filename[:200]!r} in the archive can't be unpacked ({error}). Download it again, without "
                    "a password."
                ) from None
        if not known:
            raise UnreadableHistoryError(f"It is a zip archive without a history: expected {KNOWN}.")
