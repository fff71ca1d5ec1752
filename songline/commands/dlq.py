"""`songline dlq`: lists, shows, resubmits and discards the dead letters of `song-commands`."""

import asyncio
import getpass
import os
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import TypeVar

import click
import msgspec
from azure.core.exceptions import AzureError
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from songline.api_client import visible
from songline.cloud import blobs, cosmos, servicebus
from songline.cloud.settings import (
    SettingError,
    names_blobs,
    read_blobs,
    read_cosmos,
    read_servicebus,
)
from songline.processes.environment import load
from songline.processors.ingestion.audio_store import AudioStore
from songline.processors.ingestion.ingestion_store import IngestionStore
from songline.repair.audit import AuditLog
from songline.repair.dead_letters import DeadLetter, DeadLetters, NoBlobsError
from songline.schemas.channels import AUDIT, DATABASE, INGESTIONS, SONG_COMMANDS
from songline.schemas.envelope import uuid7
from songline.sending.exits import CommandError, ExitCode
from songline.service_failures import service_failure

T = TypeVar("T")


@click.group(
    context_settings={"show_default": True},
    epilog="Exit codes: 0 done; 1 there is no such dead letter, or one can't be sent again; 2 wrong usage or settings; "
    "3 a service can't be reached.",
)
def command() -> None:
    """List, show, resubmit or discard dead letters: commands that could not be processed.

    A dead letter is named by its sequence number, which `list` shows. Every change is first recorded in the audit log,
    which `log` shows.
    """


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each.")
def list_dead_letters(as_json: bool) -> None:
    """List the dead letters, oldest first."""
    dead_letters = _run(lambda queue, _: queue.read())
    if as_json:
        for letter in dead_letters:
            click.echo(msgspec.json.encode(letter))
        return
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("number", "sent", "tries", "reason", "what", "why"):
        table.add_column(name, overflow="fold")
    for letter in dead_letters:
        sent = "" if letter.sent_at is None else f"{letter.sent_at:%Y-%m-%d %H:%M:%S}"
        what = letter.file_name or letter.song_id or letter.command_id or letter.message_id or ""
        cells = (str(letter.number), sent, str(letter.tries), letter.reason or "", what, letter.description or "")
        table.add_row(*(Text(visible(cell)) for cell in cells))
    Console().print(table if dead_letters else "No command has died.")


@command.command()
@click.argument("number", type=int)
def show(number: int) -> None:
    """Show the dead letter NUMBER as JSON."""
    for letter in _run(lambda queue, _: queue.read()):
        if letter.number == number:
            click.echo(msgspec.json.format(msgspec.json.encode(letter), indent=2))
            return
    raise CommandError(f"there is no dead letter {number}: `songline dlq list` shows those there are", ExitCode.REFUSED)


@command.command()
@click.argument("numbers", nargs=-1, type=int)
@click.option("--all", "everything", is_flag=True, help="All dead letters.")
@click.option("--note", help="The reason, for the audit log.")
@click.option("--by", default=getpass.getuser, show_default="the current user", help="Your name, for the audit log.")
def resubmit(numbers: tuple[int, ...], everything: bool, note: str | None, by: str) -> None:
    """Send the dead letters NUMBERS again. Their delivery counts start at 0."""
    _change("sent again", numbers, everything, by, lambda queue, chosen: queue.resubmit(chosen, note))


@command.command()
@click.argument("numbers", nargs=-1, type=int)
@click.option("--all", "everything", is_flag=True, help="All dead letters.")
@click.option("--note", help="The reason, for the audit log and for the uploader.")
@click.option("--by", default=getpass.getuser, show_default="the current user", help="Your name, for the audit log.")
@click.option("--yes", is_flag=True, help="Don't ask for confirmation.")
def discard(numbers: tuple[int, ...], everything: bool, note: str | None, by: str, yes: bool) -> None:
    """Discard the dead letters NUMBERS for good. Their uploads stay `dead`, and their staged files are deleted."""
    if not yes:
        click.confirm("A discarded command can't be restored. Go on?", abort=True)
    _change("discarded", numbers, everything, by, lambda queue, chosen: queue.discard(chosen, note))


@command.command()
def log() -> None:
    """Show the audit log of changes, oldest first, a line of JSON each."""
    for line in _run(lambda _, audit: audit.read(SONG_COMMANDS)):
        click.echo(msgspec.json.encode(line))


def _change(
    done: str,
    numbers: tuple[int, ...],
    everything: bool,
    by: str,
    change: Callable[[DeadLetters, set[int]], AsyncIterator[tuple[DeadLetter, str]]],
) -> None:
    if bool(numbers) == everything:
        raise click.UsageError("Name dead letters by their numbers, or all of them with --all.")

    async def run(queue: DeadLetters, _: AuditLog) -> tuple[set[int], int]:
        chosen = {letter.number for letter in await queue.read()} if everything else set(numbers)
        missing = set(chosen)
        refused = 0
        async for letter, why in change(queue, chosen):
            missing.discard(letter.number)
            refused += bool(why)
            details = why or letter.file_name or letter.command_id or ""
            click.echo(f"{'refused' if why else done}: {letter.number}  {visible(details)}")
        return missing, refused

    missing, refused = _run(run, by)
    if refused:
        raise CommandError(f"refused: {refused}, each for the reason in its line", ExitCode.REFUSED)
    if missing:
        raise CommandError(f"there is no dead letter {', '.join(map(str, sorted(missing)))}", ExitCode.REFUSED)


def _run(job: Callable[[DeadLetters, AuditLog], Awaitable[T]], by: str = "") -> T:
    """The result of `job`; raises CommandError."""
    try:
        return asyncio.run(_connected(job, by))
    except (SettingError, NoBlobsError) as error:
        raise CommandError(str(error), ExitCode.USAGE) from None
    except AzureError as error:
        raise service_failure(error, load(os.environ)) from None


async def _connected(job: Callable[[DeadLetters, AuditLog], Awaitable[T]], by: str) -> T:
    environ = load(os.environ)
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(servicebus.client(read_servicebus(environ)))
        store = await stack.enter_async_context(cosmos.opened(read_cosmos(environ)))
        audio: AudioStore | None = None
        if names_blobs(environ):
            audio = AudioStore(await stack.enter_async_context(blobs.client(read_blobs(environ))))
        audit = AuditLog(cosmos.container(store, DATABASE, AUDIT))
        ingestions = IngestionStore(cosmos.container(store, DATABASE, INGESTIONS))
        return await job(DeadLetters(bus, ingestions, audio, audit, _now, _new_id, by), audit)


def _now() -> datetime:
    return datetime.now(UTC)


def _new_id() -> str:
    return uuid7(time.time_ns() // 1_000_000, secrets.randbits(74))
