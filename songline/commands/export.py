"""`songline export`: writes all that is held about a listener, or the events of everybody by day."""

import asyncio
import os
from datetime import UTC, date, datetime
from pathlib import Path

import click
from azure.core.exceptions import AzureError
from azure.eventhub.exceptions import EventHubError

from songline.cloud import cosmos
from songline.cloud.settings import SettingError, read_cosmos
from songline.erasing import EXIT_CODES, checked_listener, run_erasing
from songline.options import DataFolder
from songline.processes.environment import load
from songline.processes.private_data import owner_only
from songline.processors.history.analysis.day_export import export_days
from songline.processors.history.archive.errors import HistoryError, HubUnreadableError
from songline.processors.history.archive.opening import open_history
from songline.processors.history.erasure.listenbrainz_export import export_listenbrainz
from songline.processors.history.erasure.listener_export import MANIFEST, ExportManifest, export_listener
from songline.processors.history.erasure.opening import open_parts
from songline.processors.history.erasure.places.captured_files import DAMAGED
from songline.processors.history.erasure.places.library_shelves import LibraryShelves
from songline.schemas.channels import DATABASE
from songline.sending.exits import CommandError, ExitCode
from songline.service_failures import service_failure


@click.command(epilog=EXIT_CODES)
@click.argument("user_id", metavar="[USER]", required=False)
@click.option("-o", "--output", "folder", type=DataFolder(), required=True, help="The folder; it is made.")
@click.option("--events", is_flag=True, help="Write all events of the days before today instead, as Parquet.")
@click.option(
    "--listenbrainz", is_flag=True, help="Write the listens of USER as ListenBrainz exports them, an archive, instead."
)
@click.option("--skip", is_flag=True, help="With --events: pass over what is missing or damaged, and say what.")
def command(user_id: str | None, folder: Path, events: bool, listenbrainz: bool, skip: bool) -> None:
    """Write all that is held about the listener USER, from every place, as JSON lines and as Parquet.

    The manifest, with counts, is written last: without it the export is not whole.

    With --events, each UTC day becomes a folder with a file for each event type. Days that are there are not written
    again.

    With --listenbrainz, the folder gets listenbrainz_USER.zip, which services that import ListenBrainz's export read.
    """
    if events and listenbrainz:
        raise click.UsageError("say --events or --listenbrainz: one of the two is exported")
    if events == (user_id is not None):
        raise click.UsageError("name a USER, or say --events: one of the two is exported")
    # On a shared machine what listeners do is nobody else's.
    with owner_only():
        if user_id is None:
            _export_events(folder, skip=skip)
            return
        checked_listener(user_id)
        if listenbrainz:
            file = folder / f"listenbrainz_{user_id}.zip"
            count = run_erasing(lambda: _export_listens(user_id, file))
            click.echo(f"{count:,} listens are in {file}")
        else:
            _export_held(user_id, folder)


def _export_held(user_id: str, folder: Path) -> None:
    async def work() -> ExportManifest:
        async with open_parts(load(os.environ), lambda: datetime.now(UTC)) as parts:
            return await export_listener(parts.places, user_id, folder, datetime.now(UTC), _show)

    manifest = run_erasing(work)
    records = sum(sum(one.values()) for one in manifest.counts.values())
    click.echo(f"{records:,} records are in {folder}; {folder / MANIFEST} has the counts")
    if damaged := sum(one.get(DAMAGED, 0) for one in manifest.counts.values()):
        click.echo(f"{damaged:,} files of the archive can't be read: {folder / 'archive.jsonl'} names them", err=True)


async def _export_listens(user_id: str, file: Path) -> int:
    async with cosmos.opened(read_cosmos(load(os.environ))) as account:
        database = account.get_database_client(DATABASE)
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return await export_listenbrainz(database, LibraryShelves(database), user_id, file)


def _show(place: str, count: int) -> None:
    click.echo(f"{place}: {count:,}", err=True)


def _export_events(folder: Path, *, skip: bool) -> None:
    async def work() -> None:
        async with open_history(load(os.environ), skip=skip) as history:
            days = await export_days(history, folder, datetime.now(UTC).date(), _show_day)
        for what in (*history.skipped.holes, *history.skipped.damages):
            click.echo(f"passed over: {what}", err=True)
        more = "" if days else ": there is none before today, in UTC, that is not there"
        click.echo(f"{len(days):,} days were written to {folder}{more}")

    try:
        asyncio.run(work())
    except (AzureError, EventHubError) as error:
        raise service_failure(error, load(os.environ)) from None
    except HubUnreadableError as error:
        raise CommandError(str(error), ExitCode.UNREACHABLE) from None
    except (SettingError, HistoryError) as error:
        raise click.UsageError(str(error)) from None
    except OSError as error:
        raise CommandError(f"{error.filename or folder}: {error.strerror or error}", ExitCode.OUTPUT) from None


def _show_day(day: date, events: int, invalid: int) -> None:
    left_out = f", of which {invalid:,} keep no contract and are left out" if invalid else ""
    click.echo(f"{day.isoformat()}: {events:,} events{left_out}", err=True)
