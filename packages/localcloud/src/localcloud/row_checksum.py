"""Checksums of rows: a changed bit of a database that is open, or that was killed, is noticed when the row is read.

The checksums of a closed file (`database_seal`) say nothing of those: what has changed while it was open is sealed with
the rest.
"""

import sqlite3
from collections.abc import Sequence

import msgspec
from crc32c import crc32c

COLUMN = "crc"
"""The column of a table that has it; NULL in rows of earlier versions, which are not checked."""

_encode = msgspec.msgpack.Encoder().encode


def row_checksum(values: Sequence[object]) -> int:
    """The CRC-32C of the values of a row: texts, numbers, bytes and None."""
    return crc32c(_encode(values))


def add_column(connection: sqlite3.Connection, table: str) -> None:
    """Add the column to a table of an earlier version."""
    columns = {name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")}
    if COLUMN not in columns:
        connection.execute(f"ALTER TABLE {table} ADD COLUMN {COLUMN} INTEGER")


def is_corrupt(error: BaseException) -> bool:
    """Whether SQLite, or its module, found that a file is not what was written."""
    codes = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
    if not isinstance(error, sqlite3.Error):
        return False
    # The lowest byte is the error, and those above say which kind of it. The module has no code for a text of bytes
    # that are no UTF-8: it writes none.
    code = getattr(error, "sqlite_errorcode", None) or 0
    return code & 0xFF in codes or str(error).startswith("Could not decode to UTF-8")
