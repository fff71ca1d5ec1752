"""The change feed: the latest versions of items, in the order of their writes."""

from localcloud.cosmos import charges
from localcloud.cosmos.catalog import Container
from localcloud.cosmos.damage import checked_body
from localcloud.cosmos.extent import Extent
from localcloud.cosmos.scan import exclude_expired
from localcloud.cosmos.storage import SqliteSession

MAX_PAGE_BYTES = 4 * 1024 * 1024


def read_changes(
    session: SqliteSession, container: Container, extent: Extent, *, after_lsn: int, since: int, limit: int, now: int
) -> tuple[list[bytes], int, float]:
    """The latest versions of items written after a log sequence number and not before a time, oldest first.

    Returns the documents, each with `_lsn`, the sequence number to go on after, and the charge in request units.
    """
    clauses = ["container = ?", "lsn > ?", "epk >= ?", "epk < ?", "ts >= ?"]
    values: list[object] = [container.number, after_lsn, extent.low, extent.high, since]
    if extent.pk is not None:
        clauses.append("pk = ?")
        values.append(extent.pk)
    exclude_expired(container, now, clauses, values)
    upto = last_lsn(session)
    where = " AND ".join(clauses)
    statement = f"SELECT lsn, id, body, crc FROM items WHERE {where} ORDER BY lsn LIMIT ?"  # noqa: S608 - clauses of ours
    rows = session.connection.execute(statement, (*values, limit + 1)).fetchall()
    found: list[bytes] = []
    size = 0
    last = after_lsn
    for lsn, id_, written, crc in rows[:limit]:
        body = checked_body(session, id_, written, crc)
        if found and size + len(body) > MAX_PAGE_BYTES:
            break
        found.append(body[:-1] + f',"_lsn":{lsn}}}'.encode())
        size += len(body)
        last = lsn
    if len(found) == len(rows):
        last = max(last, upto)
    return found, last, charges.feed(size)


def last_lsn(session: SqliteSession) -> int:
    """The number of the last write that is on disk."""
    (lsn,) = session.connection.execute("SELECT value FROM counters WHERE name = 'lsn'").fetchone()
    return int(lsn)
