"""Reading a history into tables, between two moments."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from songline.processors.history.analysis.event_tables import EventRows
from songline.processors.history.analysis.pruning import SecondBounds
from songline.processors.history.archive.history import ArchivedBatch, HubHistory

TABLE_EVENTS = 50_000
"""So many events become rows at a time."""


async def bounded_batches(
    history: HubHistory, partition: str, bounds: SecondBounds
) -> AsyncGenerator[ArchivedBatch, None]:
    """The events of a partition within the bounds. Files that lie before them are not read. Raises what `read` does."""
    since_s = bounds.since_s
    after = -1 if since_s is None else await history.position_before(partition, since_s)
    async with aclosing(history.read(partition, after, bounds.until_s)) as reading:
        async for batch in reading:
            if since_s is None or min(batch.enqueued_s) >= since_s:
                yield batch
                continue
            places = [place for place, second in enumerate(batch.enqueued_s) if second >= since_s]
            if places:
                yield ArchivedBatch(
                    partition,
                    [batch.positions[place] for place in places],
                    [batch.enqueued_s[place] for place in places],
                    [batch.bodies[place] for place in places],
                )


async def event_tables(
    history: HubHistory, bounds: SecondBounds, rows: EventRows
) -> AsyncGenerator[dict[str, Any], None]:
    """The tables of `rows`, part by part. Raises what reading the history raises."""
    for partition in await history.partitions():
        async with aclosing(bounded_batches(history, partition, bounds)) as reading:
            async for tables in batch_tables(reading, rows):
                yield tables


async def batch_tables(batches: AsyncIterator[ArchivedBatch], rows: EventRows) -> AsyncGenerator[dict[str, Any], None]:
    """The tables of `rows` with the events of these batches, part by part. Raises what `batches` raise."""
    waiting = rows.count
    async for batch in batches:
        rows.add(batch.partition, batch.positions, batch.enqueued_s, batch.bodies)
        if rows.count - waiting >= TABLE_EVENTS:
            waiting = rows.count
            yield rows.tables()
    yield rows.tables()
