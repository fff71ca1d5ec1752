"""The SQLite database: one thread that writes with group commit, one for point reads, a few for scans.

A write is acknowledged after its transaction is on disk (`synchronous=FULL` in WAL mode). Requests that arrive while a
commit is under way share the next one, so the cost of `fsync` is spread over them.
"""

import asyncio
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from localcloud.cosmos.errors import CosmosError
from localcloud.database_seal import open_seal, seal
from localcloud.disk import Refusals, is_full
from localcloud.row_checksum import add_column, is_corrupt

T = TypeVar("T")
Job = Callable[["SqliteSession"], object]
QueuedJob = tuple[Job, "asyncio.Future[object]", bool]
Outcome = tuple["asyncio.Future[object]", object, BaseException | None]

SCANNERS = 2

WRITER_CACHE_BYTES, READER_CACHE_BYTES, SCANNER_CACHE_BYTES = 16 << 20, 8 << 20, 4 << 20
"""The most of the database that each connection keeps in memory: 32 MB in all. What is not there is in the system's
cache of files."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT OR IGNORE INTO counters VALUES ('lsn', 0);
CREATE TABLE IF NOT EXISTS databases (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, etag TEXT NOT NULL, ts INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS containers (
    number INTEGER PRIMARY KEY AUTOINCREMENT, database INTEGER NOT NULL, id TEXT NOT NULL, ranges INTEGER NOT NULL,
    resource BLOB NOT NULL, etag TEXT NOT NULL, ts INTEGER NOT NULL, UNIQUE (database, id)
);
CREATE TABLE IF NOT EXISTS offers (
    number INTEGER PRIMARY KEY AUTOINCREMENT, resource TEXT NOT NULL UNIQUE, content BLOB NOT NULL,
    etag TEXT NOT NULL, ts INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS items (
    container INTEGER NOT NULL, epk TEXT NOT NULL, pk TEXT NOT NULL, id TEXT NOT NULL, number INTEGER NOT NULL,
    lsn INTEGER NOT NULL, etag TEXT NOT NULL, ts INTEGER NOT NULL, ttl INTEGER, body BLOB NOT NULL, crc INTEGER
);
CREATE UNIQUE INDEX IF NOT EXISTS items_by_key ON items (container, epk, pk, id);
CREATE UNIQUE INDEX IF NOT EXISTS items_by_lsn ON items (container, lsn);
CREATE INDEX IF NOT EXISTS items_by_end ON items (container, ts + ttl) WHERE ttl > 0;
CREATE TABLE IF NOT EXISTS unique_values (
    container INTEGER NOT NULL, pk TEXT NOT NULL, constraint_number INTEGER NOT NULL, value TEXT NOT NULL,
    id TEXT NOT NULL, PRIMARY KEY (container, pk, constraint_number, value)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS unique_values_by_item ON unique_values (container, pk, id);
"""

logger = logging.getLogger(__name__)


class DamagedStoreError(CosmosError):
    """SQLite found that the file is not what it wrote."""


class SqliteSession:
    """A connection and, for the writer, the log sequence number: one counter for all writes of the account."""

    def __init__(self, path: Path, cache_bytes: int) -> None:
        self.path = path
        # One thread uses it at a time; another one may close it.
        self.connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30.0)
        self.connection.execute("PRAGMA journal_mode=WAL")
        self.connection.execute("PRAGMA synchronous=FULL")
        # What is deleted is overwritten: a document that is gone is not in the file either.
        self.connection.execute("PRAGMA secure_delete=ON")
        self.connection.execute(f"PRAGMA cache_size=-{cache_bytes // 1024}")
        self.lsn = 0

    def prepare(self) -> None:
        """Create what is missing and read the counter."""
        self.connection.executescript(SCHEMA)
        add_column(self.connection, "items")
        (self.lsn,) = self.connection.execute("SELECT value FROM counters WHERE name = 'lsn'").fetchone()

    def next_lsn(self) -> int:
        self.lsn += 1
        return self.lsn


class JobThread:
    """A thread that runs jobs in their order; it takes all queued jobs at once."""

    def __init__(self, session: SqliteSession, name: str, *, transactional: bool) -> None:
        self._refusals = Refusals("Cosmos DB")
        self._session = session
        self._transactional = transactional
        self._queue: queue.SimpleQueue[list[QueuedJob] | None] = queue.SimpleQueue()
        self._gathered: list[QueuedJob] = []
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def run(self, job: Callable[[SqliteSession], T], *, undo: bool = True) -> T:
        """Run the job in the thread; for a writer, return when its transaction is on disk.

        With `undo` the writes of a job that raises are rolled back.
        """
        future: asyncio.Future[object] = self._loop.create_future()
        if not self._gathered:
            # The jobs of one turn of the loop wake the thread once, because waking it is expensive.
            self._loop.call_soon(self._hand_over)
        self._gathered.append((job, future, undo))
        return await future  # type: ignore[return-value]  # what the job returned

    def _hand_over(self) -> None:
        if self._gathered:
            self._queue.put(self._gathered)
            self._gathered = []

    async def close(self) -> None:
        """Finish the queued jobs, then end the thread and its connection."""
        self._hand_over()
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        self._session.connection.close()

    def _run(self) -> None:
        while True:
            given = [self._queue.get()]
            while not self._queue.empty():
                given.append(self._queue.get_nowait())
            group = [job for jobs in given if jobs is not None for job in jobs]
            if group:
                outcomes = (
                    self._transaction(group)
                    if self._transactional
                    else [self._attempt(job, future) for job, future, _ in group]
                )
                self._loop.call_soon_threadsafe(_complete, outcomes)
            if None in given:
                return

    def _transaction(self, group: list[QueuedJob]) -> list[Outcome]:
        session, execute = self._session, self._session.connection.execute
        lsn = session.lsn
        try:
            execute("BEGIN IMMEDIATE")
            outcomes = [
                self._savepoint(job, future) if undo else self._attempt(job, future) for job, future, undo in group
            ]
            for _, _, failed in outcomes:
                if failed is not None and is_full(failed):
                    raise failed  # neither its writes nor those of its transaction may be committed
            if session.lsn != lsn:
                execute("UPDATE counters SET value = ? WHERE name = 'lsn'", (session.lsn,))
            execute("COMMIT")
        except sqlite3.Error as error:
            if is_full(error):
                self._refusals.refused(error, "a transaction")
            else:
                logger.exception("a transaction failed")
            if session.connection.in_transaction:
                execute("ROLLBACK")
            session.lsn = lsn
            return [(future, None, error) for _, future, _ in group]
        self._refusals.accepted()
        return outcomes

    def _savepoint(self, job: Job, future: "asyncio.Future[object]") -> Outcome:
        execute = self._session.connection.execute
        execute("SAVEPOINT job")
        outcome = self._attempt(job, future)
        if outcome[2] is not None:
            execute("ROLLBACK TO job")
        execute("RELEASE job")
        return outcome

    def _attempt(self, job: Job, future: "asyncio.Future[object]") -> Outcome:
        try:
            return future, job(self._session), None
        except Exception as error:  # noqa: BLE001 - the caller that waits for the job gets it
            return future, None, _named(self._session, error)


def _named(session: SqliteSession, error: Exception) -> Exception:
    """The error; of a file that is damaged one that names it."""
    if not is_corrupt(error):
        return error
    damaged = DamagedStoreError(f"{session.path} is damaged: {error}. Restore the file.")
    logger.error("%s", damaged)
    return damaged


def _complete(outcomes: list[Outcome]) -> None:
    for future, result, error in outcomes:
        if future.done():
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)


class Storage:
    """The database file in `folder` and the threads that use it. Create it inside the event loop that will wait."""

    def __init__(self, folder: Path) -> None:
        """Raises DamagedDatabaseError and OSError."""
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "cosmos.sqlite"
        open_seal(self._path)
        session = SqliteSession(self._path, WRITER_CACHE_BYTES)
        session.prepare()
        self._writer = JobThread(session, "cosmos-writer", transactional=True)
        self._reader = JobThread(SqliteSession(self._path, READER_CACHE_BYTES), "cosmos-reader", transactional=False)
        self._scanners = ThreadPoolExecutor(SCANNERS, "cosmos-scanner")
        self._idle: queue.SimpleQueue[SqliteSession] = queue.SimpleQueue()
        for _ in range(SCANNERS):
            self._idle.put(SqliteSession(self._path, SCANNER_CACHE_BYTES))

    async def write(self, job: Callable[[SqliteSession], T], *, undo: bool = True) -> T:
        """Run a job in a transaction; it is on disk on return.

        A job that raises only before its first write needs no `undo`, which saves the two statements of a savepoint.
        """
        return await self._writer.run(job, undo=undo)

    async def read(self, job: Callable[[SqliteSession], T]) -> T:
        """Run a short read."""
        return await self._reader.run(job)

    async def scan(self, job: Callable[[SqliteSession], T]) -> T:
        """Run a read that may take long."""
        return await asyncio.get_running_loop().run_in_executor(self._scanners, self._scan, job)

    def _scan(self, job: Callable[[SqliteSession], T]) -> T:
        session = self._idle.get()
        try:
            return job(session)
        except sqlite3.Error as error:
            raise _named(session, error) from None
        finally:
            self._idle.put(session)

    async def close(self) -> None:
        await self._reader.close()
        await asyncio.to_thread(self._scanners.shutdown)
        while not self._idle.empty():
            self._idle.get().connection.close()
        await self._writer.close()
        await asyncio.to_thread(seal, self._path)
