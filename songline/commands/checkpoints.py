"""`songline checkpoints`: shows and resets the workers' checkpoints."""

import asyncio
import getpass
import os
import secrets
import time
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, TypeVar

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
from songline.cloud.settings import SettingError, read_cosmos
from songline.processes.environment import load
from songline.repair.audit import AuditEntry, AuditLog
from songline.repair.checkpoints import PROJECTIONS, PartitionCheckpoint, opened
from songline.schemas.channels import AUDIT, DATABASE
from songline.schemas.envelope import uuid7
from songline.schemas.projections import DamagedVersionError
from songline.sending.exits import CommandError, ExitCode
from songline.service_failures import service_failure

T = TypeVar("T")

WORKER = click.argument("worker", type=click.Choice(sorted(PROJECTIONS)))


@click.group(
    context_settings={"show_default": True},
    epilog="Exit codes: 0 done; 1 refused; 2 wrong usage or settings; 3 a service can't be reached.",
)
def command() -> None:
    """Show or reset the checkpoints of the workers in `music-events`."""


@command.command()
@WORKER
@click.option("--json", "as_json", is_flag=True, help="A partition a line, as JSON.")
def show(worker: str, as_json: bool) -> None:
    """Show WORKER's recorded position in each partition, and the events that the hub holds."""
    found = _run(_read(worker))
    if as_json:
        for one in found:
            click.echo(msgspec.json.encode(one))
        return
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("partition", "applied", "checkpoint", "hub holds", "resets", "lost", "state"):
        table.add_column(name, overflow="fold")
    for one in found:
        holds = "nothing" if one.last < one.first else f"{one.first} to {one.last}"
        cells = (one.partition, _number(one.position), _number(one.checkpoint), holds, str(one.resets), str(one.lost))
        table.add_row(*cells, Text(visible(one.mismatch or "ok")))
    Console().print(table)


@command.command()
@WORKER
@click.option("--partition", "partitions", multiple=True, help="Reset this partition in any state.")
@click.option("--all", "everything", is_flag=True, help="Reset every partition in any state.")
@click.option("--note", help="The reason, for the audit log.")
@click.option("--by", default=getpass.getuser, show_default="the current user", help="Your name, for the audit log.")
def reset(worker: str, partitions: tuple[str, ...], everything: bool, note: str | None, by: str) -> None:
    """Make WORKER read again from the first event that the hub holds.

    Without options, this resets the partitions that can't go on: the hub was created again, ends before the applied
    position, or has deleted events that were not applied. An event that is applied already is not counted again. A
    running worker restarts reading by itself.
    """
    if partitions and everything:
        raise click.UsageError("Name partitions, or all of them with --all.")
    found = {one.partition: one for one in _run(_read(worker))}
    if unknown := set(partitions) - found.keys():
        raise CommandError(f"the hub has no partition {', '.join(sorted(unknown))}", ExitCode.REFUSED)
    chosen = list(partitions) or [one.partition for one in found.values() if everything or one.mismatch]
    if not chosen:
        click.echo("Every partition can go on: nothing was reset. `--partition` or `--all` resets it nevertheless.")
        return
    for partition in chosen:
        click.echo(_run(_reset(worker, found[partition], note, by)))


async def _read(worker: str) -> list[PartitionCheckpoint]:
    async with opened(PROJECTIONS[worker], load(os.environ)) as checkpoints:
        return await checkpoints.read()


async def _reset(worker: str, before: PartitionCheckpoint, note: str | None, by: str) -> str:
    environ = load(os.environ)
    partition = before.partition
    async with opened(PROJECTIONS[worker], environ) as checkpoints, cosmos.client(read_cosmos(environ)) as store:
        line = AuditEntry(
            id=uuid7(time.time_ns() // 1_000_000, secrets.randbits(74)),
            subject=f"checkpoints {worker}",
            at=datetime.now(UTC),
            by=by,
            action="reset",
            number=int(partition),
            died_of=before.mismatch,
            note=note,
        )
        await AuditLog(cosmos.container(store, DATABASE, AUDIT)).write(line)
        after = await checkpoints.reset(partition)
    if after is None:
        raise CommandError(
            f"partition {partition}: another reset came first; `show` shows its state now", ExitCode.REFUSED
        )
    lost = f"; {after.lost} events are lost in all" if after.lost else ""
    return f"partition {partition}: {worker} reads again from {after.position + 1}{lost}"


def _run(job: Coroutine[Any, Any, T]) -> T:
    """The result of `job`; raises CommandError."""
    try:
        return asyncio.run(job)
    except (SettingError, DamagedVersionError) as error:
        raise CommandError(str(error), ExitCode.USAGE) from None
    except (AzureError, EventHubError) as error:
        raise service_failure(error, load(os.environ)) from None


def _number(number: int | None) -> str:
    return "-" if number is None else str(number)
