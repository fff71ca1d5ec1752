"""The durable state of the broker: SQLite, written by one thread that commits together what has come meanwhile.

A commit is on disk when it returns (`synchronous=FULL`), and only then are its changes acknowledged. Bodies of 64 KiB
and more are files of their own, synced before the row that names them; a file that no row names is removed.
"""

import asyncio
import os
import queue
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
from crc32c import crc32c

from localcloud.database_seal import DamagedDatabaseError, open_seal, seal
from localcloud.disk import Refusals, reason
from localcloud.row_checksum import add_column, is_corrupt, row_checksum
from localcloud.servicebus.changes import (
    Change,
    EntityDeleted,
    EntityStored,
    LockGrant,
    MessageDeleted,
    MessageIdAdded,
    MessageIdsExpired,
    MessageInserted,
    MessageState,
    MessageUpdated,
    QueuedMessage,
    SequenceAdvanced,
    SessionStateSet,
)
from localcloud.servicebus.entity import EntityDocument
from localcloud.servicebus.errors import DamagedBodyError
from localcloud.servicebus.message import BodyFile, MessageContent, pack_annotations, unpack_annotations

BLOB_BYTES: Final = 65_536

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS entities (path TEXT PRIMARY KEY, document BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS messages (
    queue TEXT NOT NULL, sequence INTEGER NOT NULL, annotations BLOB NOT NULL, bare BLOB NOT NULL, body BLOB,
    blob TEXT, blob_size INTEGER, message_id TEXT NOT NULL, session_id TEXT, ttl_ms INTEGER, due_ms INTEGER,
    enqueued_ms INTEGER NOT NULL, expires_ms INTEGER, state INTEGER NOT NULL, delivery_count INTEGER NOT NULL,
    lock_token BLOB, lock_until_ms INTEGER, source TEXT, enqueued_sequence INTEGER, hops INTEGER NOT NULL,
    crc INTEGER, UNIQUE (queue, sequence));
CREATE TABLE IF NOT EXISTS sessions (queue TEXT, session_id TEXT, state BLOB, PRIMARY KEY (queue, session_id))
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS remembered (
    entity TEXT, message_id TEXT, until_ms INTEGER NOT NULL, PRIMARY KEY (entity, message_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS numbers (queue TEXT PRIMARY KEY, next_sequence INTEGER NOT NULL) WITHOUT ROWID;
"""
_INSERT: Final = "INSERT INTO messages VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
_BARE, _STATE, _SOURCE = 3, 13, 17
"""Places in a row: what is between state and source changes while a message waits."""
_NUMBER: Final = (
    "INSERT INTO numbers VALUES (?, ?) ON CONFLICT (queue) DO UPDATE"
    " SET next_sequence = max(next_sequence, excluded.next_sequence)"
)


class StoreError(Exception):
    """A commit failed: its changes are not on disk. The text is the reason that SQLite gives."""


class StoredNamespace(NamedTuple):
    """All that the store holds; messages by queue in their order."""

    documents: list[EntityDocument]
    messages: list[tuple[str, QueuedMessage]]
    sessions: list[tuple[str, str, bytes]]
    remembered: list[tuple[str, str, int]]
    numbers: dict[str, int]


class _Commit(NamedTuple):
    changes: Sequence[Change]
    blobs: Sequence[str]
    epoch: int
    done: "asyncio.Future[None]"


class MessageStore:
    """The store in `folder`. Between `start` and `close`, a thread of its own writes."""

    def __init__(self, folder: Path) -> None:
        """Raises DamagedDatabaseError, and OSError or sqlite3.Error when the folder can't be used."""
        self._blobs = folder / "bodies"
        self._blobs.mkdir(parents=True, exist_ok=True)
        self._file = folder / "messages.sqlite"
        open_seal(self._file)
        self._database = sqlite3.connect(self._file, isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        # What is deleted is overwritten: a message that is gone is not in the file either.
        self._database.execute("PRAGMA secure_delete=ON")
        self._database.executescript(SCHEMA)
        add_column(self._database, "messages")
        self._references: Counter[str] = Counter()
        self._jobs: queue.SimpleQueue[_Commit | None] = queue.SimpleQueue()
        self._epoch = 0
        self._failed = False
        self._refusals = Refusals("Service Bus")
        self._thread: threading.Thread | None = None

    # Reading, before the thread starts and after a failure

    def load(self) -> StoredNamespace:
        """What is on disk. Changes that were handed in before, and are not there, never will be.

        Raises DamagedDatabaseError; nothing is written then.
        """
        self._epoch += 1
        try:
            stored = self._stored()
        except sqlite3.Error as error:
            if is_corrupt(error):
                raise DamagedDatabaseError(self._file, str(error)) from None
            raise
        self._failed = False
        self._references = Counter(
            message.content.body.name for _, message in stored.messages if isinstance(message.content.body, BodyFile)
        )
        for file in self._blobs.iterdir():
            if file.name not in self._references:
                file.unlink()
        return stored

    def _stored(self) -> StoredNamespace:
        rows = self._database.execute("SELECT * FROM messages ORDER BY queue, sequence")
        return StoredNamespace(
            documents=[
                msgspec.json.decode(document, type=EntityDocument)
                for (document,) in self._database.execute("SELECT document FROM entities ORDER BY path")
            ],
            messages=[(row[0], _kept(self._checked(row))) for row in rows],
            sessions=self._database.execute("SELECT * FROM sessions").fetchall(),
            remembered=self._database.execute("SELECT * FROM remembered ORDER BY until_ms").fetchall(),
            numbers=dict(self._database.execute("SELECT * FROM numbers").fetchall()),
        )

    def _checked(self, row: tuple[Any, ...]) -> tuple[Any, ...]:
        """The row of a message without its checksum. Raises DamagedDatabaseError."""
        *values, crc = row
        if crc is not None and crc != _checksum(values):
            fault = f"the message {row[1]} of {row[0]!r} is not what was written"
            raise DamagedDatabaseError(self._file, fault)
        return tuple(values)

    # Bodies

    def write_blob(self, name: str, body: bytes) -> BodyFile:
        """Put a body on disk, synced, under `name` and its checksum; blocking."""
        name = f"{name}.{crc32c(body):08x}"
        path = self._blobs / name
        try:
            with path.open("xb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            path.unlink(missing_ok=True)  # what a full disk needs most is room
            self._refusals.refused(error, "a body")
            raise
        folder = os.open(self._blobs, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return BodyFile(name, len(body))

    def read_blob(self, blob: BodyFile) -> bytes:
        """Blocking. Raises FileNotFoundError when the message has gone meanwhile, DamagedBodyError."""
        path = self._blobs / blob.name
        body = path.read_bytes()
        # Those of earlier versions have no checksum.
        if len(body) != blob.size or path.suffix not in ("", f".{crc32c(body):08x}"):
            raise DamagedBodyError(str(path))
        return body

    # Writing

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._write, name="servicebus-store", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Everything handed in before is on disk."""
        if self._thread is not None:
            self._jobs.put(None)
            await asyncio.to_thread(self._thread.join)
        self._database.close()
        await asyncio.to_thread(seal, self._file)

    def commit(self, changes: Sequence[Change], blobs: Sequence[str] = ()) -> "asyncio.Future[None]":
        """Done when `changes`, and all that were handed in earlier, are on disk; fails with StoreError.

        Of the bodies `blobs`, those are removed that no message refers to after this.
        """
        done = self._loop.create_future()
        self._jobs.put(_Commit(changes, blobs, self._epoch, done))
        return done

    def _write(self) -> None:
        more = True
        while more:
            jobs = list(self._next_jobs())
            more = None not in jobs
            self._write_together([job for job in jobs if job is not None])

    def _next_jobs(self) -> Iterator[_Commit | None]:
        yield self._jobs.get()
        while not self._jobs.empty():
            yield self._jobs.get()

    def _write_together(self, jobs: list[_Commit]) -> None:
        failure: StoreError | None = None
        current = [] if self._failed else [job for job in jobs if job.epoch == self._epoch]
        try:
            self._commit_together(current)
        except (sqlite3.Error, OSError) as error:
            # Later changes build on those that failed: they fail too, until the broker has been read anew.
            self._failed = True
            failure = StoreError(reason(error))
            self._refusals.refused(error, "a change")
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
        else:
            if any(job.changes for job in current):
                self._refusals.accepted()
        known = {job.done for job in current}
        stale = StoreError("an earlier change could not be written")
        outcomes = [(job.done, failure if job.done in known else stale) for job in jobs]
        if outcomes:
            self._loop.call_soon_threadsafe(_resolve, outcomes)

    def _commit_together(self, jobs: Sequence[_Commit]) -> None:
        gone = {name for job in jobs for name in job.blobs}
        if any(job.changes for job in jobs):
            self._database.execute("BEGIN IMMEDIATE")
            numbers: dict[str, int] = {}
            for job in jobs:
                for change in job.changes:
                    gone |= self._apply(change, numbers)
            self._database.executemany(_NUMBER, numbers.items())
            self._database.execute("COMMIT")
        for name in gone:
            if self._references[name] <= 0:
                del self._references[name]
                (self._blobs / name).unlink(missing_ok=True)

    def _apply(self, change: Change, numbers: dict[str, int]) -> set[str]:
        """Write one change; returns the bodies that may have lost their last message."""
        execute = self._database.execute
        match change:
            case MessageInserted(path, message):
                execute(_INSERT, _row(path, message))
                numbers[path] = max(numbers.get(path, 0), message.sequence + 1)
                if isinstance(message.content.body, BodyFile):
                    self._references[message.content.body.name] += 1
            case MessageUpdated(path, message, rewritten):
                self._update(path, message, rewritten)
            case MessageDeleted(path, message):
                execute("DELETE FROM messages WHERE queue = ? AND sequence = ?", (path, message.sequence))
                if isinstance(message.content.body, BodyFile):
                    self._references[message.content.body.name] -= 1
                    return {message.content.body.name}
            case SessionStateSet(path, session_id, None):
                execute("DELETE FROM sessions WHERE queue = ? AND session_id = ?", (path, session_id))
            case SessionStateSet(path, session_id, state):
                execute("INSERT OR REPLACE INTO sessions VALUES (?, ?, ?)", (path, session_id, state))
            case MessageIdAdded(entity, message_id, until_ms):
                execute("INSERT OR REPLACE INTO remembered VALUES (?, ?, ?)", (entity, message_id, until_ms))
            case MessageIdsExpired(entity, now_ms):
                execute("DELETE FROM remembered WHERE entity = ? AND until_ms <= ?", (entity, now_ms))
            case SequenceAdvanced(path, next_sequence):
                numbers[path] = max(numbers.get(path, 0), next_sequence)
            case EntityStored(path, document):
                execute("INSERT OR REPLACE INTO entities VALUES (?, ?)", (path, document))
            case EntityDeleted(path, queues):
                return self._forget(path, queues, numbers)
        return set()

    def _update(self, path: str, message: QueuedMessage, rewritten: bool) -> None:
        token, until = (message.lock.token.bytes, message.lock.until_ms) if message.lock else (None, None)
        self._database.execute(
            "UPDATE messages SET state = ?, delivery_count = ?, lock_token = ?, lock_until_ms = ?"
            " WHERE queue = ? AND sequence = ?",
            (int(message.state), message.delivery_count, token, until, path, message.sequence),
        )
        if rewritten:
            self._rewrite(path, message.sequence, message.content.bare)

    def _rewrite(self, path: str, sequence: int, bare: bytes) -> None:
        where = "WHERE queue = ? AND sequence = ?"
        row = self._database.execute(f"SELECT * FROM messages {where}", (path, sequence)).fetchone()  # noqa: S608 - ours
        if row is None:
            return
        *values, crc = row
        if crc in (None, _checksum(values)):
            values[_BARE] = bare
            crc = _checksum(values)
        # Else it is damaged already, and is named when it is read.
        self._database.execute(f"UPDATE messages SET bare = ?, crc = ? {where}", (bare, crc, path, sequence))  # noqa: S608 - ours

    def _forget(self, path: str, queues: Sequence[str], numbers: dict[str, int]) -> set[str]:
        gone: set[str] = set()
        self._database.execute("DELETE FROM entities WHERE path = ?", (path,))
        self._database.execute("DELETE FROM remembered WHERE entity = ?", (path,))
        for name in queues:
            numbers.pop(name, None)
            found = self._database.execute("SELECT blob FROM messages WHERE queue = ? AND blob IS NOT NULL", (name,))
            for (blob,) in found.fetchall():
                self._references[blob] -= 1
                gone.add(blob)
            for table in ("messages", "sessions", "numbers"):
                self._database.execute(f"DELETE FROM {table} WHERE queue = ?", (name,))  # noqa: S608 - names of ours
        return gone


def _resolve(outcomes: Sequence[tuple["asyncio.Future[None]", StoreError | None]]) -> None:
    for done, failure in outcomes:
        if done.cancelled():
            continue
        if failure is None:
            done.set_result(None)
        else:
            done.set_exception(failure)


def _checksum(values: Sequence[object]) -> int:
    """The checksum of a message's row, of all that stays as it was inserted."""
    return row_checksum([*values[:_STATE], *values[_SOURCE:]])


def _row(path: str, message: QueuedMessage) -> tuple[object, ...]:
    content, lock = message.content, message.lock
    blob = content.body if isinstance(content.body, BodyFile) else None
    values = (
        path,
        message.sequence,
        pack_annotations(content),
        content.bare,
        None if blob else content.body,
        blob.name if blob else None,
        blob.size if blob else None,
        content.message_id,
        content.session_id,
        content.ttl_ms,
        content.due_ms,
        message.enqueued_ms,
        message.expires_ms,
        int(message.state),
        message.delivery_count,
        lock.token.bytes if lock else None,
        lock.until_ms if lock else None,
        message.source,
        message.enqueued_sequence,
        message.hops,
    )
    return (*values, _checksum(values))


def _kept(row: Sequence[Any]) -> QueuedMessage:
    (_, sequence, packed, bare, body, blob, size, message_id, session_id, ttl, due, *rest) = row
    enqueued, expires, state, count, token, until, source, enqueued_sequence, hops = rest
    annotations, delivery, priority = unpack_annotations(packed)
    content = MessageContent(
        annotations=annotations,
        bare=bare,
        body=BodyFile(blob, size) if blob else body,
        message_id=message_id,
        session_id=session_id,
        ttl_ms=ttl,
        due_ms=due,
        delivery=delivery,
        priority=priority,
    )
    lock = LockGrant(UUID(bytes=token), until) if token else None
    return QueuedMessage(
        sequence, content, enqueued, expires, MessageState(state), count, lock, source, enqueued_sequence, hops
    )
