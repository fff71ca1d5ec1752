"""`songline parked`: lists, shows, resubmits and discards parked records."""

import asyncio
import getpass
import os
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any, TypeVar, get_args

import click
import msgspec
from azure.core.exceptions import AzureError
from azure.eventhub.exceptions import EventHubError
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from songline.api_client import visible
from songline.cloud import cosmos
from songline.cloud.settings import SettingError, read_cosmos, read_eventhubs
from songline.options import Age
from songline.processes.environment import load
from songline.processors.runtime.parked_store import ParkedStore
from songline.repair.audit import AuditLog
from songline.repair.parked_bodies import HubAwayError
from songline.repair.parked_records import ParkedRecords, ParkedSelection
from songline.schemas.channels import AUDIT, DATABASE, PARKED
from songline.schemas.envelope import uuid7
from songline.schemas.parked import ParkedEntry, ParkedState
from songline.sending.exits import CommandError, ExitCode
from songline.service_failures import service_failure

T = TypeVar("T")
ANY = "any"


@click.group(
    context_settings={"show_default": True},
    epilog="Exit codes: 0 done; 1 there is no such record, or one could not be sent again; 2 wrong usage or settings; "
    "3 a service can't be reached.",
)
def command() -> None:
    """List, show, resubmit or discard parked records: those that a reader of a hub could not apply and skipped.

    A record is named by its id, HUB:PARTITION:POSITION, which `list` shows. Every change is first recorded in the audit
    log, which `log` shows.
    """


def _selecting(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options that choose records, and pass them as one argument `chosen`."""

    @click.option("--reason", help="Only records that a reader parked for this reason.")
    @click.option("--reader", help="Only records that this reader parked: trending, library or catalog.")
    @click.option("--older-than", type=Age(), help="Only records that were parked at least so long ago: 90s, 30m, 2h.")
    @wraps(function)
    def run(*, reason: str | None, reader: str | None, older_than: timedelta | None, **others: Any) -> None:
        function(chosen=ParkedSelection(reason=reason, reader=reader, older_than=older_than), **others)

    return run


def _changing(function: Callable[..., None]) -> Callable[..., None]:
    """Add the arguments of the commands that change records: ids or options that choose, a note, a name, JSON."""

    @click.argument("ids", nargs=-1)
    @click.option("--all", "everything", is_flag=True, help="All parked records.")
    @click.option("--note", help="The reason, for the audit log.")
    @click.option(
        "--by", default=getpass.getuser, show_default="the current user", help="Your name, for the audit log."
    )
    @click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each record.")
    @_selecting
    @wraps(function)
    def run(*, ids: tuple[str, ...], everything: bool, chosen: ParkedSelection, **others: Any) -> None:
        narrowed = chosen != ParkedSelection()
        if bool(ids) + narrowed + everything != 1:
            raise click.UsageError("Name records by their ids, or by --reason, --reader and --older-than, or --all.")
        function(chosen=msgspec.structs.replace(chosen, ids=ids), **others)

    return run


@command.command("list")
@click.option(
    "--state", type=click.Choice([*get_args(ParkedState), ANY]), default="parked", help="Only records in this state."
)
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each record.")
@_selecting
def list_records(chosen: ParkedSelection, state: str, as_json: bool) -> None:
    """List parked records, oldest first."""
    wanted = None if state == ANY else msgspec.convert(state, ParkedState)
    entries = _run(lambda records, _: records.entries(msgspec.structs.replace(chosen, state=wanted)))
    if as_json:
        for entry in entries:
            click.echo(msgspec.json.encode(entry))
        return
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("id", overflow="fold", min_width=16)
    table.add_column("parked", min_width=19)
    table.add_column("why", overflow="fold")
    for entry in entries:
        why = [f"{name}: {failure.reason}: {failure.detail}" for name, failure in sorted(entry.readers.items())]
        table.add_row(entry.id, f"{entry.parked_at:%Y-%m-%d %H:%M:%S}", Text(visible("; ".join(why))))
    none = "No such record is parked." if chosen != ParkedSelection() else "No record is parked."
    Console().print(table if entries else none if state == "parked" else "There is none.")


@command.command()
@click.argument("parked_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON, the body as base64.")
def show(parked_id: str, as_json: bool) -> None:
    """Show the record ID, with its whole body while the hub has it."""
    if not parked_id:
        # Cosmos DB's client asks for something else than a document then.
        raise click.UsageError("ID: saw '', expected HUB:PARTITION:POSITION, as `songline parked list` shows it")
    found = _run(lambda records, _: records.show(parked_id))
    if found is None:
        raise CommandError(_unknown([parked_id]), ExitCode.REFUSED)
    entry, body, gone = found
    if as_json:
        click.echo(msgspec.json.encode({**msgspec.to_builtins(entry), "body": body, "bodyIsWhole": not gone}))
    else:
        click.echo(msgspec.json.format(msgspec.json.encode(entry), indent=2))
        click.echo(visible(body.decode("utf-8", "backslashreplace")))
    if gone:
        click.echo(f"The body is not whole: {gone}.", err=True)


@command.command()
@_changing
def resubmit(chosen: ParkedSelection, note: str | None, by: str, as_json: bool) -> None:
    """Send records again to the readers that parked them. A record that is sent twice counts once."""

    async def job(records: ParkedRecords, _: AuditLog) -> tuple[list[str], int]:
        entries = await records.entries(chosen)
        refused = 0
        async for entry, why in records.resubmit(entries, note):
            refused += bool(why)
            _print(entry, "refused" if why else "resubmitted", why, as_json)
        return _missing(chosen, entries), refused

    missing, refused = _run(job, by)
    if missing:
        raise CommandError(_unknown(missing), ExitCode.REFUSED)
    if refused:
        raise CommandError(f"{refused} could not be sent again, and stay parked", ExitCode.REFUSED)


@command.command()
@click.option("--yes", is_flag=True, help="Don't ask for confirmation.")
@_changing
def discard(chosen: ParkedSelection, note: str | None, by: str, as_json: bool, yes: bool) -> None:
    """Discard records for good. They stay listed with `--state discarded`."""
    if not yes:
        click.confirm("A discarded record is counted nowhere. Go on?", abort=True)

    async def job(records: ParkedRecords, _: AuditLog) -> list[str]:
        entries = await records.entries(chosen)
        async for entry in records.discard(entries, note):
            _print(entry, "discarded", "", as_json)
        return _missing(chosen, entries)

    if missing := _run(job, by):
        raise CommandError(_unknown(missing), ExitCode.REFUSED)


@command.command()
def log() -> None:
    """Show the audit log of changes, oldest first, a line of JSON each."""
    for line in _run(lambda _, audit: audit.read(PARKED)):
        click.echo(msgspec.json.encode(line))


def _print(entry: ParkedEntry, done: str, why: str, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode({"id": entry.id, "done": done} | ({"why": why} if why else {})))
    else:
        click.echo(f"{done}: {entry.id}" + (f"  {visible(why)}" if why else ""))


def _missing(chosen: ParkedSelection, entries: list[ParkedEntry]) -> list[str]:
    return sorted(set(chosen.ids) - {entry.id for entry in entries})


def _unknown(ids: list[str]) -> str:
    return f"there is no parked record {visible(', '.join(ids))}: `songline parked list` shows those there are"


def _run(job: Callable[[ParkedRecords, AuditLog], Awaitable[T]], by: str = "") -> T:
    """The result of `job`; raises CommandError."""
    try:
        return asyncio.run(_connected(job, by))
    except SettingError as error:
        raise CommandError(str(error), ExitCode.USAGE) from None
    except HubAwayError as error:
        raise CommandError(f"{error}\n`songline doctor` shows details.", ExitCode.UNREACHABLE) from None
    except (AzureError, EventHubError) as error:
        raise service_failure(error, load(os.environ)) from None


async def _connected(job: Callable[[ParkedRecords, AuditLog], Awaitable[T]], by: str) -> T:
    environ = load(os.environ)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(cosmos.opened(read_cosmos(environ)))
        audit = AuditLog(cosmos.container(store, DATABASE, AUDIT))
        parked = ParkedStore(cosmos.container(store, DATABASE, PARKED))
        records = ParkedRecords(parked, read_eventhubs(environ), audit, lambda: datetime.now(UTC), _new_id, by)
        return await job(records, audit)


def _new_id() -> str:
    return uuid7(time.time_ns() // 1_000_000, secrets.randbits(74))
