"""Time to live: expired items are invisible at once, and are removed from the disk from time to time."""

import asyncio
import logging
import sqlite3
from collections.abc import Callable

from localcloud.cosmos.catalog import Catalog, Container
from localcloud.cosmos.storage import SqliteSession, Storage
from localcloud.disk import is_full

INTERVAL_S = 5.0
MAX_AT_ONCE = 500

logger = logging.getLogger(__name__)


async def sweep(storage: Storage, catalog: Catalog, now_ms: Callable[[], int]) -> None:
    """Remove expired items until cancelled; a few in each transaction, so that writes are not delayed."""
    while True:
        await asyncio.sleep(INTERVAL_S)
        for database in list(catalog.databases.values()):
            for container in list(database.containers.values()):
                if container.default_ttl is None:
                    continue
                try:
                    await storage.write(remove_expired(container, now_ms() // 1000))
                except sqlite3.Error as error:
                    if is_full(error):  # the store logs that itself, once
                        continue
                    logger.warning("expired items of %s stay for now: %s", container.name_link, error)


def remove_expired(container: Container, now: int) -> Callable[[SqliteSession], int]:
    """Return a job that removes some items that had expired at `now` (seconds) and returns how many."""

    def job(session: SqliteSession) -> int:
        rows = session.connection.execute(
            "SELECT rowid, pk, id FROM items WHERE container = ? AND coalesce(ttl, ?) != -1 "
            "AND ts + coalesce(ttl, ?) <= ? LIMIT ?",
            (container.number, container.default_ttl, container.default_ttl, now, MAX_AT_ONCE),
        ).fetchall()
        for rowid, pk, id_ in rows:
            session.connection.execute("DELETE FROM items WHERE rowid = ?", (rowid,))
            session.connection.execute(
                "DELETE FROM unique_values WHERE container = ? AND pk = ? AND id = ?", (container.number, pk, id_)
            )
        return len(rows)

    return job
