"""Events as Parquet files, a folder for each UTC day by when the hub took them. A folder appears whole, under its name;
what is there already is not written again, so an export that ended half-way goes on."""

import errno
import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack, ExitStack, aclosing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq

from songline.processors.history.analysis.day_reading import DayReading
from songline.processors.history.analysis.event_tables import SCHEMAS, EventRows
from songline.processors.history.analysis.loading import batch_tables
from songline.processors.history.archive.history import HubHistory

DAY_S = 86_400
_UNFINISHED = ".unfinished"


async def export_days(
    history: HubHistory, folder: Path, today: date, show: Callable[[date, int, int], None]
) -> list[date]:
    """Write the days before `today` that are not in `folder` yet; return these. `show` is called with each day, how
    many events it has, and how many of them keep no contract. Raises OSError and what reading the history raises."""
    first = await _first_day(history)
    if first is None:
        return []
    days = [first + timedelta(days=number) for number in range(max(0, (today - first).days))]
    wanted = [day for day in days if not _is_written(folder, day)]
    for run in _runs(wanted):
        async with AsyncExitStack() as stack:
            readings = await _open_readings(history, run, stack)
            for day in run:
                rows = await _write_day(readings, folder, day)
                show(day, rows.count, rows.invalid)
    return wanted


def _runs(days: Iterable[date]) -> list[list[date]]:
    """The days, which rise, in runs of days that follow each other."""
    runs: list[list[date]] = []
    for day in days:
        if runs and day - runs[-1][-1] == timedelta(days=1):
            runs[-1].append(day)
        else:
            runs.append([day])
    return runs


def _is_written(folder: Path, day: date) -> bool:
    """Whether the folder of a day is there. Raises OSError for something else in its place, or in that of a folder that
    is not finished."""
    written = folder / day.isoformat()
    for path in (written, _unfinished(folder, day)):
        if (path.exists() or path.is_symlink()) and not path.is_dir():
            why = "saw something else than a folder, expected the folder of a day: move it away"
            raise NotADirectoryError(errno.ENOTDIR, why, str(path))
    return written.exists()


def _unfinished(folder: Path, day: date) -> Path:
    return folder / f"{day.isoformat()}{_UNFINISHED}"


def _start(day: date) -> int:
    """The first Unix second of a day."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


async def _open_readings(history: HubHistory, run: Sequence[date], stack: AsyncExitStack) -> list[DayReading]:
    """A reading of each partition, from the first day of a run to the end of its last one."""
    since_s, until_s = _start(run[0]), _start(run[-1]) + DAY_S
    readings = []
    for partition in await history.partitions():
        batches = history.read(partition, await history.position_before(partition, since_s), until_s)
        reading = DayReading(await stack.enter_async_context(aclosing(batches)))
        async for _ in reading.before(since_s):
            # What is of the days before is in the same file.
            pass
        readings.append(reading)
    return readings


async def _write_day(readings: Sequence[DayReading], folder: Path, day: date) -> EventRows:
    rows = EventRows(SCHEMAS)
    unfinished = _unfinished(folder, day)
    # Of an export that was killed.
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    with ExitStack() as stack:
        writers = {
            name: stack.enter_context(pq.ParquetWriter(unfinished / f"{name}.parquet", schema, compression="zstd"))
            for name, schema in SCHEMAS.items()
        }
        for reading in readings:
            async for tables in batch_tables(reading.before(_start(day) + DAY_S), rows):
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
