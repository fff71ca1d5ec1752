"""Checksums of a SQLite file, by which a bit that has changed is noticed: SQLite itself has none of its pages.

A database is sealed when it is closed: the checksum of each block goes into a file beside it, which is removed before
the next write. At the next opening every block is compared. A database that was not closed, since its process was
killed or the power went, has no seal: SQLite's own check of tables and indexes is all that there is then.
"""

import os
import sqlite3
from array import array
from contextlib import closing, suppress
from pathlib import Path
from struct import Struct

from crc32c import crc32c

from localcloud.log.segment_files import sync_folder
from localcloud.write_ahead_log import damage_in

BLOCK_BYTES = 65_536
CHECKED_BYTES = 256 << 20
"""A larger file without a seal is opened without SQLite's check, which takes seconds for each 100 MB."""
_HEAD = Struct(">8sIq")  # magic, CRC-32C of what follows, bytes of the database
_MAGIC = b"LCSEAL01"


class DamagedDatabaseError(Exception):
    """A database file no longer holds what was written to it. The message names the file and the place."""

    def __init__(self, database: Path, fault: str) -> None:
        super().__init__(
            f"{database} is damaged: {fault}. Restore the file, or move the folder {database.parent} away to begin "
            f"anew. If the file was changed on purpose, delete {_seal_file(database)}."
        )


def open_seal(database: Path) -> None:
    """Check the file, which nobody has opened, and remove its seal. Raises DamagedDatabaseError and OSError."""
    if not database.exists():
        return
    expected = _read(_seal_file(database))
    if _wal(database) and (damage := damage_in(_wal_file(database))) is not None:
        raise DamagedDatabaseError(database, f"{_wal_file(database).name}: {damage}")
    if expected is None or _wal(database):
        _check_structure(database)
    else:
        _compare(database, *expected)
    if _seal_file(database).exists():
        _seal_file(database).unlink()
        sync_folder(database.parent)


def seal(database: Path) -> None:
    """Seal the file, which nobody has open any more. Raises nothing: without a seal it is checked in another way."""
    with suppress(OSError):
        if _wal(database):
            return
        body = _checksums(database).tobytes()
        head = _HEAD.pack(_MAGIC, 0, database.stat().st_size)
        head = _HEAD.pack(_MAGIC, crc32c(head[12:] + body), database.stat().st_size)
        # Not synced: a seal of which a loss of power has left a part is none.
        _seal_file(database).write_bytes(head + body)


def _seal_file(database: Path) -> Path:
    return database.with_name(f"{database.name}-seal")


def _wal(database: Path) -> bool:
    """Whether there are writes that are not in the file itself yet: it was not closed."""
    wal = _wal_file(database)
    return wal.exists() and wal.stat().st_size > 0


def _wal_file(database: Path) -> Path:
    return database.with_name(f"{database.name}-wal")


def _read(file: Path) -> tuple[int, "array[int]"] | None:
    """Size and checksums; None where there is no seal, or a part of one."""
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return None
    if len(data) < _HEAD.size:
        return None
    magic, crc, size_bytes = _HEAD.unpack_from(data)
    if magic != _MAGIC or crc != crc32c(data[12:]):
        return None
    return size_bytes, array("I", data[_HEAD.size :])


def _compare(database: Path, size_bytes: int, checksums: "array[int]") -> None:
    found = database.stat().st_size
    if found != size_bytes:
        raise DamagedDatabaseError(database, f"it has {found} bytes, and had {size_bytes} when it was closed")
    for number, (one, other) in enumerate(zip(checksums, _checksums(database), strict=True)):
        if one != other:
            at = number * BLOCK_BYTES
            end = min(at + BLOCK_BYTES, found)
            raise DamagedDatabaseError(database, f"bytes {at} to {end} are not what was written")


def _checksums(database: Path) -> "array[int]":
    found = array("I")
    with database.open("rb", buffering=0) as file:
        while block := os.read(file.fileno(), BLOCK_BYTES):
            found.append(crc32c(block))
    return found


def _check_structure(database: Path) -> None:
    if database.stat().st_size > CHECKED_BYTES:
        return
    try:
        with closing(sqlite3.connect(database)) as connection:
            (answer,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        raise DamagedDatabaseError(database, str(error)) from None
    if answer != "ok":
        raise DamagedDatabaseError(database, " ".join(answer.split()))
