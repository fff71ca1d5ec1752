"""Events on disk, in the order in which they were accepted, until the hub has them.

One SQLite file in WAL mode with `synchronous=FULL`: what `append` has returned for outlives the process, the kernel
and the power. Source: https://sqlite.org/wal.html and https://sqlite.org/pragma.html#pragma_synchronous.

SQLite notices no bit that has changed in what it keeps, so each event has a checksum. One that is not what was
accepted is never sent: it could be another listener's by now. It is set aside in the file, and those behind it go on.
The log of a process that was killed is checked before SQLite reads it (`outbox_log`).
"""

import logging
import sqlite3
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from songline.producers.publishing.errors import OutboxFullError, OutboxLockedError
from songline.producers.publishing.outbox_log import damage_in
from songline.producers.publishing.outbox_room import OutboxRoom

logger = logging.getLogger(__name__)

MAX_EVENTS = 1_000_000
MAX_BYTES = 1 << 30
CHECKED_BYTES = 256 << 20
"""A larger file is opened without SQLite's own check, which takes seconds for each 100 MB."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY, partition_key TEXT NOT NULL, accepted_at REAL NOT NULL, body BLOB NOT NULL,
    checksum INTEGER
)
"""
_DAMAGED = "CREATE TABLE IF NOT EXISTS damaged (number, partition_key, accepted_at, body, checksum)"


class StoredEvent(Struct, frozen=True):
    """An event on disk. `accepted_at` is in Unix seconds."""

    number: int
    partition_key: str
    accepted_at: float
    body: bytes


class Outbox(OutboxRoom):
    """The events in the file at `path`, which is made where there is none. One process at a time has it.

    Bounded by `max_events` and `max_bytes` (of keys and bodies). `reserve` is for any thread, at no cost; everything
    that touches the disk is for one thread at a time. Raises OutboxLockedError, and OSError where the file can't be
    had.
    """

    def __init__(self, path: Path, *, max_events: int = MAX_EVENTS, max_bytes: int = MAX_BYTES) -> None:
        super().__init__(str(path), max_events, max_bytes)
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        # What listeners did is for its owner alone; SQLite gives its other files the rights of this one.
        path.touch(mode=0o600)
        if (damage := damage_in(path)) is not None:
            raise OSError(
                f"outbox {path}: saw that {damage}, expected what was synced: restore {path.name}-wal, or delete "
                f"{path.name}-shm to go on without what stands behind it"
            )
        self._last: int
        # It waits for no lock: so a second process of the file is told apart from a slow disk.
        self._database = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        # What is no text any more is seen by its checksum.
        self._database.text_factory = lambda text: text.decode(errors="surrogateescape")
        try:
            for pragma in (
                "auto_vacuum=INCREMENTAL",
                "journal_mode=WAL",
                # A read, before the lock: it makes the log's index a file, by which a killed log is checked.
                "user_version",
                # Exclusive: the lock is the process's for as long as it lives, and goes with it however it ends.
                "locking_mode=EXCLUSIVE",
                "synchronous=FULL",
                "secure_delete=ON",  # An event that the hub has is not in the file either.
            ):
                self._database.execute(f"PRAGMA {pragma}")
            self._database.execute("BEGIN IMMEDIATE")
            self._database.execute(_SCHEMA)
            self._database.execute(_DAMAGED)
            columns = self._database.execute("SELECT name FROM pragma_table_info('events')").fetchall()
            if ("checksum",) not in columns:
                # A file of an earlier version. Its events have no checksum.
                self._database.execute("ALTER TABLE events ADD COLUMN checksum INTEGER")
            self._database.execute("COMMIT")
            self._check_structure()
            self.events, self.bytes, self._last = self._database.execute(
                "SELECT count(*), coalesce(sum(length(partition_key) + length(body)), 0), coalesce(max(number), 0) "
                "FROM events"
            ).fetchone()
            (self.damaged,) = self._database.execute("SELECT count(*) FROM damaged").fetchone()
            self.oldest = self._first()
        except sqlite3.Error as error:
            self._database.close()
            if "locked" in str(error):
                raise OutboxLockedError(
                    f"outbox {path}: saw that another process has it, expected it to be free: "
                    "end that process, or give this one an outbox of its own"
                ) from None
            raise OSError(f"outbox {path}: saw {error}, expected an SQLite database or none: move it away") from error

    def append(self, events: Sequence[tuple[str, float, bytes]]) -> int:
        """Put (partition key, Unix seconds, body) on disk, in one transaction; there must be room reserved for them.

        Returns the number of the last one; raises OutboxFullError where the disk doesn't take them, and none is there
        then.
        """
        rows = [_with_checksum(self._last + place, *event) for place, event in enumerate(events, 1)]
        try:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?)", rows)
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise OutboxFullError(
                f"outbox {self._path}: saw {error}, expected room for {len(rows)} events: make room on the disk"
            ) from error
        self._last += len(rows)
        if self.oldest is None:
            self.oldest = rows[0][2]
        return self._last

    def read(self, after: int, limit: int) -> list[StoredEvent]:
        """The next events behind number `after`, without those that are damaged; raises OSError."""
        try:
            while True:
                found = self._database.execute(
                    "SELECT number, partition_key, accepted_at, body, checksum FROM events WHERE number > ? "
                    "ORDER BY number LIMIT ?",
                    (after, limit),
                ).fetchall()
                damaged = [row for row in found if not _is_whole(row)]
                if not damaged:
                    return [StoredEvent(*row[:4]) for row in found]
                for number, _, accepted_at, *_ in damaged:
                    self._set_aside(number, accepted_at)
        except sqlite3.Error as error:
            self._roll_back()
            raise OSError(f"outbox {self._path}: saw {error}, expected to read it") from error

    def delete(self, through: int) -> None:
        """Forget the events up to and with number `through`: the hub has them; raises OSError."""
        try:
            self._database.execute("BEGIN IMMEDIATE")
            events, size = self._database.execute(
                "SELECT count(*), coalesce(sum(length(partition_key) + length(body)), 0) FROM events WHERE number <= ?",
                (through,),
            ).fetchone()
            self._database.execute("DELETE FROM events WHERE number <= ?", (through,))
            self._database.execute("COMMIT")
            self.oldest = self._first()
        except sqlite3.Error as error:
            self._roll_back()
            raise OSError(f"outbox {self._path}: saw {error}, expected to write it") from error
        self.events -= events
        self.bytes -= size

    def shrink(self) -> None:
        """Give the disk back what is no longer used; raises OSError."""
        try:
            self._database.execute("PRAGMA incremental_vacuum").fetchall()
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error as error:
            raise OSError(f"outbox {self._path}: saw {error}, expected to write it") from error

    def close(self) -> None:
        self._database.close()

    def _set_aside(self, number: int, accepted_at: object) -> None:
        """Put an event that is not what was accepted out of the way of the others."""
        self._database.execute("BEGIN IMMEDIATE")
        (size,) = self._database.execute(
            "SELECT coalesce(sum(length(partition_key) + length(body)), 0) FROM events WHERE number = ?", (number,)
        ).fetchone()
        self._database.execute("INSERT INTO damaged SELECT * FROM events WHERE number = ?", (number,))
        if self._database.execute("DELETE FROM events WHERE number = ?", (number,)).rowcount != 1:
            raise sqlite3.DatabaseError(f"that event {number} is not where it belongs")
        self._database.execute("COMMIT")
        self.events -= 1
        self.bytes -= size
        self.damaged += 1
        self.oldest = self._first()
        logger.error(
            "outbox %s is damaged: event %d, accepted at %s, is not what was written, and is not sent. It stays in the "
            "table `damaged` of the file",
            self._path,
            number,
            accepted_at,
        )

    def _check_structure(self) -> None:
        """Raises sqlite3.DatabaseError where the file's structure is damaged."""
        if self._path.stat().st_size <= CHECKED_BYTES:
            (answer,) = self._database.execute("PRAGMA integrity_check(1)").fetchone()
            if answer != "ok":
                raise sqlite3.DatabaseError(" ".join(answer.split()))

    def _first(self) -> float | None:
        """When the oldest event was accepted, in Unix seconds."""
        row = self._database.execute("SELECT accepted_at FROM events ORDER BY number LIMIT 1").fetchone()
        return None if row is None else float(row[0])

    def _roll_back(self) -> None:
        if self._database.in_transaction:
            self._database.execute("ROLLBACK")


def _with_checksum(number: int, key: str, accepted_at: float, body: bytes) -> tuple[int, str, float, bytes, int]:
    """The row of an event."""
    head = f"{number} {accepted_at!r} {key}".encode(errors="surrogateescape")
    return number, key, accepted_at, body, zlib.crc32(body, zlib.crc32(head))


def _is_whole(row: tuple[Any, ...]) -> bool:
    """Whether a row is what was written; one of an earlier version has no checksum."""
    number, key, accepted_at, body, checksum = row
    if not (isinstance(key, str) and isinstance(accepted_at, float) and isinstance(body, bytes)):
        return False
    return checksum is None or checksum == _with_checksum(number, key, accepted_at, body)[4]
