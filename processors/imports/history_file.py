"""Reads a history: a file of any known format, by itself or packed by gzip, or an archive of such files."""

from collections.abc import Iterator
from typing import BinaryIO

from songline.processors.imports.archive_files import ArchiveBudget, archive_files, is_archive, unpacking
from songline.processors.imports.plain_file import plain_file, raise_fault
from songline.processors.imports.recognition import EMPTY, READERS, recognized
from songline.processors.imports.rows import HistoryRow, ReadOptions, UnreadableHistoryError

KNOWN = (
    "a ListenBrainz export, Spotify's streaming history, Last.fm scrobbles as CSV or JSON, a Maloja export, a "
    ".scrobbler.log, Pano Scrobbler's JSON lines, YouTube Music's watch history, or events of our own as Avro or lines"
)
PACKED = (
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\xfd7zXZ\0", "an xz file"),
    (b"BZh", "a bzip2 file"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file"),
)


def read_history(file: BinaryIO, options: ReadOptions) -> Iterator[tuple[str, HistoryRow]]:
    """The rows of a history, each with the name of its format, in the order of the file. Raises
    UnreadableHistoryError, at the first row or between rows."""
    file = plain_file(file)
    if is_archive(file):
        yield from _read_archive(file, options)
        return
    name = recognized(file)
    if name is None:
        head = file.read(4_096)
        raise_fault(file)
        raise UnreadableHistoryError(_unknown(head))
    for row in _rows(file, name, options):
        yield name, row


def _rows(file: BinaryIO, name: str, options: ReadOptions) -> Iterator[HistoryRow]:
    """The rows of a file of a known format. Where it can't be unpacked to its end, that is why it ends early."""
    if name == EMPTY:
        return
    try:
        yield from READERS[name](file, options)
    except UnreadableHistoryError:
        raise_fault(file)
        raise
    raise_fault(file)


def _unknown(head: bytes) -> str:
    """What to say of a file that begins with `head` and is no history."""
    packed = next((kind for magic, kind in PACKED if head.startswith(magic)), None)
    if packed is not None:
        return f"It is {packed}: unpack it, and import what is in it."
    seen = "It is no history that is known here" if head.strip() else "It is empty"
    more = ""
    if b"<plist" in head or b"<!DOCTYPE plist" in head:
        more = " A library of iTunes has counts and no moments, so that it holds no listens."
    return f"{seen}: expected {KNOWN}.{more}"


def _read_archive(file: BinaryIO, options: ReadOptions) -> Iterator[tuple[str, HistoryRow]]:
    budget, is_known = ArchiveBudget(), False
    for path, size, found in archive_files(file, budget):
        with unpacking(path):
            name = recognized(found)
            if name is None:
                continue
            is_known = True
            budget.add_bytes(size)
            for row in _rows(found, name, options):
                yield name, row
    raise_fault(file)
    if not is_known:
        raise UnreadableHistoryError(f"It is an archive without a history: expected {KNOWN}.")
