"""Events on disk, in the order in which they were accepted, until the hub has them.

One SQLite file in WAL mode with `synchronous=FULL`: what `append` has returned for outlives the process, the kernel
and the power. Source: https://sqlite.org/wal.html and https://sqlite.org/pragma.html#pragma_synchronous.
"""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from songline.producers.publishing.errors import OutboxFullError, OutboxLockedError
from songline.producers.publishing.outbox_room import OutboxRoom

MAX_EVENTS = 1_000_000
MAX_BYTES = 1 << 30

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY, partition_key TEXT NOT NULL, accepted_at REAL NOT NULL, body BLOB NOT NULL
)
"""


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
        self._last: int
        # It waits for no lock: so a second process of the file is told apart from a slow disk.
        self._database = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            # Exclusive: the lock is the process's for as long as it lives, and goes with it however it ends.
            for pragma in (
                "auto_vacuum=INCREMENTAL",
                "locking_mode=EXCLUSIVE",
                "journal_mode=WAL",
                "synchronous=FULL",
                "secure_delete=ON",  # An event that the hub has is not in the file either.
            ):
                self._database.execute(f"PRAGMA {pragma}")
            self._database.execute("BEGIN IMMEDIATE")
            self._database.execute(_SCHEMA)
            self._database.execute("COMMIT")
            self.events, self.bytes, self._last = self._database.execute(
                "SELECT count(*), coalesce(sum(length(partition_key) + length(body)), 0), coalesce(max(number), 0) "
                "FROM events"
            ).fetchone()
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
        rows = [(self._last + place, *event) for place, event in enumerate(events, 1)]
        try:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany("INSERT INTO events VALUES (?, ?, ?, ?)", rows)
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
        """The next events behind number `after`; raises OSError."""
        try:
            found = self._database.execute(
                "SELECT number, partition_key, accepted_at, body FROM events WHERE number > ? ORDER BY number LIMIT ?",
                (after, limit),
            ).fetchall()
        except sqlite3.Error as error:
            raise OSError(f"outbox {self._path}: saw {error}, expected to read it") from error
        return [StoredEvent(*row) for row in found]

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

    def _first(self) -> float | None:
        """When the oldest event was accepted, in Unix seconds."""
        row = self._database.execute("SELECT accepted_at FROM events ORDER BY number LIMIT 1").fetchone()
        return None if row is None else float(row[0])

    def _roll_back(self) -> None:
        if self._database.in_transaction:
            self._database.execute("ROLLBACK")
