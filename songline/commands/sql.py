"""`songline sql`: asks the archive in SQL."""

import asyncio
import re
import sys
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime

import click
from azure.core.exceptions import AzureError
from azure.eventhub.exceptions import EventHubError
from rich.console import Console

from songline.cloud.extras import missing_extra
from songline.cloud.settings import SettingError
from songline.options import AskedMoment
from songline.processes import environment
from songline.sending.exits import CommandError, ExitCode
from songline.service_failures import service_failure

try:
    from songline.processors.history.analysis import answers
    from songline.processors.history.analysis.database import EventDatabase, QueryError, UnwritableDatabaseError
    from songline.processors.history.analysis.event_tables import SCHEMAS, EventRows
    from songline.processors.history.analysis.loading import event_tables
    from songline.processors.history.analysis.pruning import SecondBounds, bounds_of
    from songline.processors.history.archive.errors import HistoryError, HubUnreadableError
    from songline.processors.history.archive.opening import open_history
    from songline.processors.runtime.scratch_folder import scratch_folder
except ModuleNotFoundError as error:
    raise missing_extra("songline sql", error.name or "", "history") from None


@click.command(context_settings={"show_default": True})
@click.argument("statement", metavar="SELECT")
@click.option(
    "--since", type=AskedMoment(takes_day=True), help="Only events that the hub took at this moment or later."
)
@click.option("--until", type=AskedMoment(takes_day=True), help="Only events that the hub took before this moment.")
@click.option("--format", "form", type=click.Choice(answers.FORMS), default="table", help="How the answer is written.")
@click.option("--skip", is_flag=True, help="Pass over what is missing or damaged in the archive, and say what.")
@click.option("--tail/--no-tail", default=True, help="Read what the hub has beyond the archive, too.")
def command(statement: str, since: datetime | None, until: datetime | None, form: str, skip: bool, tail: bool) -> None:
    """Ask the archive: one SELECT over `events` and a view of each event type, such as `played`.

    `describe played` shows the columns. Moments are in UTC. Bounds on `enqueued_at`, by options or as `where
    enqueued_at >= '2026-11-22'`, save reading the files before and after.
    """
    # DuckDB raises a TypeError for what is no text; `songline` tells this one.
    statement.encode()
    bounds, environ = SecondBounds(_second(since), _second(until)), environment.load()
    try:
        with scratch_folder("songline-sql-") as folder, closing(EventDatabase(folder)) as database:
            database.check(statement)
            bounds = bounds.within(bounds_of(database.parsed(statement), database.moment))
            names = [name for name in SCHEMAS if re.search(rf"\b{name}\b", statement, re.IGNORECASE)]
            if names:
                asyncio.run(_fill(database, environ, bounds, names, skip=skip, tail=tail))
            answers.write(database.query(statement), form, sys.stdout)
    except (AzureError, EventHubError) as error:
        raise service_failure(error, environ) from None
    except HubUnreadableError as error:
        raise CommandError(str(error), ExitCode.UNREACHABLE) from None
    except (QueryError, SettingError, HistoryError) as error:
        raise click.UsageError(str(error)) from None
    except UnwritableDatabaseError as error:
        message = f"the copy of the events can't be written: {error}. TMPDIR names a folder with more room."
        raise CommandError(message, ExitCode.OUTPUT) from None


async def _fill(
    database: EventDatabase,
    environ: Mapping[str, str],
    bounds: SecondBounds,
    names: list[str],
    *,
    skip: bool,
    tail: bool,
) -> None:
    rows = EventRows(names)
    console = Console(stderr=True)
    async with open_history(environ, skip=skip, with_tail=tail) as history:
        with console.status("reading the archive") as status:
            async for tables in event_tables(history, bounds, rows):
                database.add(tables)
                status.update(f"reading the archive: {rows.count:,} events")
    if rows.invalid:
        left_out = f"{rows.invalid:,} of {rows.count:,} events keep no contract and are left out"
        console.print(left_out, highlight=False, soft_wrap=True)
    for what in (*history.skipped.holes, *history.skipped.damages):
        console.print(f"passed over: {what}", markup=False, highlight=False, soft_wrap=True)


def _second(moment: datetime | None) -> int | None:
    """The first whole second that is not before the moment: events have whole seconds."""
    return None if moment is None else -int(-moment.astimezone(UTC).timestamp() // 1)
