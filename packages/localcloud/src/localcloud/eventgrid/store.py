"""Subscriptions, and events that wait for them, in one SQLite file: what a publisher was told is taken stays taken."""

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from localcloud.database_seal import DamagedDatabaseError, open_seal, seal
from localcloud.eventgrid.delivery import Attempt, EventDelivery
from localcloud.eventgrid.subscription import Subscription
from localcloud.row_checksum import add_column, is_corrupt, row_checksum

_TABLES = """
CREATE TABLE IF NOT EXISTS subscriptions (
    name TEXT PRIMARY KEY, document BLOB NOT NULL, callback TEXT NOT NULL, crc INTEGER
);
CREATE TABLE IF NOT EXISTS waiting (
    number INTEGER PRIMARY KEY AUTOINCREMENT, subscription TEXT NOT NULL, body BLOB NOT NULL, published_s REAL NOT NULL,
    attempts INTEGER NOT NULL, next_s REAL NOT NULL, last BLOB, crc INTEGER
);
CREATE INDEX IF NOT EXISTS due ON waiting (subscription, next_s, number);
"""
_SUMMED = {"subscriptions": "name, document, callback", "waiting": "subscription, body, published_s"}
"""Columns whose values stay as they came, by table: `crc` is their checksum."""


class WaitingEvent(msgspec.Struct, frozen=True):
    """An event of one subscription: its number in the file, its JSON, how its delivery stands, and the last attempt."""

    number: int
    body: bytes
    delivery: EventDelivery
    last: Attempt | None


class EventGridStore:
    """The file, between enter and exit. Methods are short and synchronous; they raise `sqlite3.Error`."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __enter__(self) -> Self:
        """Raises DamagedDatabaseError, and OSError or sqlite3.Error where the file can't be used."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        open_seal(self._file)
        self._database = sqlite3.connect(self._file, isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        try:
            self._database.executescript(_TABLES)
            for table in _SUMMED:
                add_column(self._database, table)
            self._check_rows()
        except BaseException:
            self._database.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()
        seal(self._file)

    def _check_rows(self) -> None:
        """Compare what stays as it came with its checksum. Raises DamagedDatabaseError."""
        try:
            for table, columns in _SUMMED.items():
                for *values, crc in self._database.execute(f"SELECT {columns}, crc FROM {table}"):  # noqa: S608 - ours
                    if crc is not None and crc != row_checksum(values):
                        raise DamagedDatabaseError(
                            self._file, f"a row of {values[0]!r} in {table} is not what was written"
                        )
        except sqlite3.Error as error:
            if is_corrupt(error):
                raise DamagedDatabaseError(self._file, str(error)) from None
            raise

    def subscriptions(self) -> list[Subscription]:
        rows = self._database.execute("SELECT document FROM subscriptions ORDER BY name")
        return [msgspec.json.decode(document, type=Subscription) for (document,) in rows]

    def put_subscription(self, subscription: Subscription, callback: str) -> None:
        """Keep it, in place of one of its name; `callback` is the secret by which its webhook may agree later."""
        row = subscription.name, msgspec.json.encode(subscription), callback
        self._database.execute("INSERT OR REPLACE INTO subscriptions VALUES (?, ?, ?, ?)", (*row, row_checksum(row)))

    def by_callback(self, callback: str) -> Subscription | None:
        row = self._database.execute("SELECT document FROM subscriptions WHERE callback = ?", (callback,)).fetchone()
        return None if row is None else msgspec.json.decode(row[0], type=Subscription)

    def delete_subscription(self, name: str) -> bool:
        """Delete it with all that waits for it; return whether there was one."""
        with _Transaction(self._database):
            self._database.execute("DELETE FROM waiting WHERE subscription = ?", (name,))
            return self._database.execute("DELETE FROM subscriptions WHERE name = ?", (name,)).rowcount > 0

    def publish(self, events: Iterable[tuple[str, bytes]], now_s: float) -> None:
        """Keep each event for its subscription, all of them or none."""
        with _Transaction(self._database):
            self._database.executemany(
                "INSERT INTO waiting (subscription, body, published_s, crc, next_s, attempts)"
                " VALUES (?, ?, ?, ?, ?, 0)",
                ((name, body, now_s, row_checksum((name, body, now_s)), now_s) for name, body in events),
            )

    def due(self, subscription: str, now_s: float, count: int) -> list[WaitingEvent]:
        """The events whose moment has come, the oldest moment first."""
        rows = self._database.execute(
            "SELECT number, body, published_s, attempts, next_s, last FROM waiting"
            " WHERE subscription = ? AND next_s <= ? ORDER BY next_s, number LIMIT ?",
            (subscription, now_s, count),
        )
        return [
            WaitingEvent(
                number,
                body,
                EventDelivery(published_s, attempts, next_s),
                last and msgspec.json.decode(last, type=Attempt),
            )
            for number, body, published_s, attempts, next_s, last in rows
        ]

    def next_moment_s(self, subscription: str) -> float | None:
        """When the next event is due; None where none waits."""
        row = self._database.execute("SELECT min(next_s) FROM waiting WHERE subscription = ?", (subscription,))
        moment: float | None = row.fetchone()[0]
        return moment

    def count(self, subscription: str) -> int:
        """How many events wait."""
        row = self._database.execute("SELECT count(*) FROM waiting WHERE subscription = ?", (subscription,))
        return int(row.fetchone()[0])

    def postpone(self, number: int, delivery: EventDelivery, last: Attempt) -> None:
        self._database.execute(
            "UPDATE waiting SET attempts = ?, next_s = ?, last = ? WHERE number = ?",
            (delivery.attempts, delivery.next_s, msgspec.json.encode(last), number),
        )

    def remove(self, number: int) -> None:
        self._database.execute("DELETE FROM waiting WHERE number = ?", (number,))


class _Transaction:
    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def __enter__(self) -> None:
        self._database.execute("BEGIN IMMEDIATE")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.execute("COMMIT" if kind is None else "ROLLBACK")
