"""Time to live: expired items are invisible at once, and are removed from the disk from time to time.

No sweep looks at all items. Those with a lifetime of their own have an index by the moment of their end. The others
expire in the order in which they were written, which is that of their log sequence numbers: a sweep begins behind the
last one's and ends where the items still live.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterator
from typing import NamedTuple

from localcloud.cosmos.catalog import Catalog, Container
from localcloud.cosmos.storage import SqliteSession, Storage
from localcloud.disk import is_full

INTERVAL_S = 5.0
MAX_AT_ONCE = 500
"""Items that one transaction removes."""

MAX_LOOKED_AT = 5_000
CLOCK_MARGIN_S = 60
"""Items are written in the order of their times but for so much: a clock may be set back."""

logger = logging.getLogger(__name__)


class Swept(NamedTuple):
    """What a sweep of a container did: how many items it removed, and up to which log sequence number no item is left
    that expires by the container's lifetime."""

    removed: int
    lsn: int


async def sweep(storage: Storage, catalog: Catalog, now_ms: Callable[[], int]) -> None:
    """Remove expired items until cancelled; a few in each transaction, so that writes are not delayed."""
    swept: dict[int, int] = {}
    while True:
        await asyncio.sleep(INTERVAL_S)
        for database in list(catalog.databases.values()):
            for container in list(database.containers.values()):
                if container.default_ttl is None:
                    continue
                job = remove_expired(container, now_ms() // 1000, swept.get(container.number, -1))
                try:
                    swept[container.number] = (await storage.write(job)).lsn
                except sqlite3.Error as error:
                    if is_full(error):  # the store logs that itself, once
                        continue
                    logger.warning("expired items of %s stay for now: %s", container.name_link, error)


def remove_expired(container: Container, now: int, after: int) -> Callable[[SqliteSession], Swept]:
    """Return a job that removes some items that had expired at `now` (seconds).

    `after` is the log sequence number that the last sweep of the container came to, -1 before the first.
    """

    def job(session: SqliteSession) -> Swept:
        execute = session.connection.execute
        gone: list[tuple[int, str, str]] = execute(
            "SELECT rowid, pk, id FROM items WHERE container = ? AND ttl > 0 AND ts + ttl <= ? LIMIT ?",
            (container.number, now, MAX_AT_ONCE),
        ).fetchall()
        lsn = after
        if container.default_ttl is not None and container.default_ttl > 0:
            end = now - container.default_ttl
            is_settled = True
            for at, ts, ttl, row in _from(session, container, after):
                if ts > end + CLOCK_MARGIN_S or len(gone) >= MAX_AT_ONCE:
                    break
                if ttl is None and ts <= end:
                    gone.append(row)
                is_settled = is_settled and ts <= end - CLOCK_MARGIN_S
                lsn = at if is_settled else lsn
        for rowid, pk, id_ in gone:
            execute("DELETE FROM items WHERE rowid = ?", (rowid,))
            execute("DELETE FROM unique_values WHERE container = ? AND pk = ? AND id = ?", (container.number, pk, id_))
        return Swept(len(gone), lsn)

    return job


def _from(
    session: SqliteSession, container: Container, after: int
) -> Iterator[tuple[int, int, int | None, tuple[int, str, str]]]:
    """The items behind `after`, in the order of their writing: number, time, own lifetime, and what names them."""
    rows = session.connection.execute(
        "SELECT lsn, ts, ttl, rowid, pk, id FROM items WHERE container = ? AND lsn > ? ORDER BY lsn LIMIT ?",
        (container.number, after, MAX_LOOKED_AT),
    )
    return ((lsn, ts, ttl, (rowid, pk, id_)) for lsn, ts, ttl, rowid, pk, id_ in rows)
