"""Subscriptions, and events that wait for them, in one SQLite file: what a publisher was told is taken stays taken."""

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from localcloud.eventgrid.delivery import Attempt, EventDelivery
from localcloud.eventgrid.subscription import Subscription

_TABLES = """
CREATE TABLE IF NOT EXISTS subscriptions (name TEXT PRIMARY KEY, document BLOB NOT NULL, callback TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS waiting (
    number INTEGER PRIMARY KEY AUTOINCREMENT, subscription TEXT NOT NULL, body BLOB NOT NULL, published_s REAL NOT NULL,
    attempts INTEGER NOT NULL, next_s REAL NOT NULL, last BLOB
);
CREATE INDEX IF NOT EXISTS due ON waiting (subscription, next_s, number);
"""


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
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(self._file, isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.executescript(_TABLES)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def subscriptions(self) -> list[Subscription]:
        rows = self._database.execute("SELECT document FROM subscriptions ORDER BY name")
        return [msgspec.json.decode(document, type=Subscription) for (document,) in rows]

    def put_subscription(self, subscription: Subscription, callback: str) -> None:
        """Keep it, in place of one of its name; `callback` is the secret by which its webhook may agree later."""
        document = msgspec.json.encode(subscription)
        self._database.execute(
            "INSERT OR REPLACE INTO subscriptions VALUES (?, ?, ?)", (subscription.name, document, callback)
        )

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
                "INSERT INTO waiting (subscription, body, published_s, attempts, next_s) VALUES (?, ?, ?, 0, ?)",
                ((name, body, now_s, now_s) for name, body in events),
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
