"""Request units: what an operation costs, for the header `x-ms-request-charge`.

A model, calibrated on the published figures ("Request Units in Azure Cosmos DB" and "Optimize the cost of reads and
writes"): a point read costs 1 RU for 1 KB and 10 for 100 KB; the insert of a 1 KB item costs about 5.5 RU without
indexing and 1 RU more for each indexed value; 100 KB cost about ten times as much; a replace costs twice the insert.
Sizes are bytes of the JSON text.
"""

KB = 1024.0

READ_BASE, READ_PER_KB = 1.0, 9.0 / 99.0
WRITE_BASE, WRITE_PER_KB, PER_INDEXED_VALUE = 5.5, 49.5 / 99.0, 1.0
QUERY_BASE, PER_MATCH, PER_SCANNED, PER_KB_SCANNED, PER_KB_RETURNED = 2.25, 0.03, 0.02, 0.01, 0.05
METADATA_READ, METADATA_WRITE = 1.0, 4.95
FEED_BASE = 1.0


def _beyond_first_kb(size: int) -> float:
    return max(0.0, size / KB - 1.0)


def read(size: int) -> float:
    """A point read of an item of `size` bytes; 0 for an item that is not there."""
    return round(READ_BASE + READ_PER_KB * _beyond_first_kb(size), 2)


def insert(size: int, indexed_values: int) -> float:
    """A create of an item of `size` bytes of which `indexed_values` are indexed."""
    return round(
        WRITE_BASE + WRITE_PER_KB * _beyond_first_kb(size) + PER_INDEXED_VALUE * indexed_values,
        2,
    )


def replace(size: int, indexed_values: int) -> float:
    """A replace, or an upsert or patch that finds the item."""
    return round(2 * insert(size, indexed_values), 2)


def delete(size: int, indexed_values: int) -> float:
    return insert(size, indexed_values)


def query(*, scanned: int, scanned_bytes: int, returned: int, returned_bytes: int) -> float:
    """One page of a query: documents (and bytes) that were read, and rows (and bytes) that were returned."""
    return round(
        QUERY_BASE
        + PER_SCANNED * scanned
        + PER_KB_SCANNED * scanned_bytes / KB
        + PER_MATCH * returned
        + PER_KB_RETURNED * returned_bytes / KB,
        2,
    )


def feed(returned_bytes: int) -> float:
    """One page of a plain feed or of the change feed."""
    return round(FEED_BASE + READ_PER_KB * _beyond_first_kb(returned_bytes), 2)
