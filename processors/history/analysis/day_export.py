"""Events as Parquet files, a folder for each UTC day by when the hub took them. A folder appears whole, under its name;
what is there already is not written again, so an export that ended half-way goes on."""

import shutil
from collections.abc import Callable
from contextlib import ExitStack, aclosing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq

from songline.processors.history.analysis.event_tables import SCHEMAS, EventRows
from songline.processors.history.analysis.loading import event_tables
from songline.processors.history.analysis.pruning import SecondBounds
from songline.processors.history.archive.history import HubHistory

DAY_S = 86_400
_UNFINISHED = ".unfinished"


async def export_days(
    history: HubHistory, folder: Path, today: date, show: Callable[[date, int, int], None]
) -> list[date]:
    """Write the days before `today` that are not in `folder` yet; return these. `show` is called with each day, how
    many events it has, and how many of them keep no contract. Raises OSError and what reading the history raises."""
    first = await _first_day(history)
    written = []
    if first is None:
        return []
    for number in range(max(0, (today - first).days)):
        day = first + timedelta(days=number)
        if not (folder / day.isoformat()).exists():
            rows = await _write_day(history, folder, day)
            show(day, rows.count, rows.invalid)
            written.append(day)
    return written


async def _write_day(history: HubHistory, folder: Path, day: date) -> EventRows:
    start = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
    rows = EventRows(SCHEMAS)
    unfinished = folder / f"{day.isoformat()}{_UNFINISHED}"
    # Of an export that was killed.
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    with ExitStack() as stack:
        writers = {
            name: stack.enter_context(pq.ParquetWriter(unfinished / f"{name}.parquet", schema, compression="zstd"))
            for name, schema in SCHEMAS.items()
        }
        async with aclosing(event_tables(history, SecondBounds(start, start + DAY_S), rows)) as parts:
            async for tables in parts:
                for name, table in tables.items():
                    writers[name].write_table(table)
    unfinished.rename(folder / day.isoformat())
    return rows


async def _first_day(history: HubHistory) -> date | None:
    """The day of the first event that there is."""
    seconds = []
    for partition in await history.partitions():
        async with aclosing(history.read(partition)) as reading:
            async for batch in reading:
                seconds.append(batch.enqueued_s[0])
                break
    return datetime.fromtimestamp(min(seconds), UTC).date() if seconds else None
