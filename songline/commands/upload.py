"""`songline upload`: uploads songs from files and folders."""

import asyncio
import getpass
import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import click
import httpx
from msgspec import Struct
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from songline.api_client import visible
from songline.api_connection import ApiConnection, api_options
from songline.cloud.concurrency import gather_or_cancel
from songline.identity.scopes import Scope
from songline.options import FiniteRange
from songline.processes.environment import data_folder
from songline.schemas.commands import Metadata, read_metadata
from songline.schemas.errors import ContractViolationError
from songline.sending.exits import CommandError, ExitCode
from songline.sending.journal import JournalEntry, UploadJournal, readable
from songline.sending.uploading import ENDS, FileSender, UploadError, UploadResponse, songs_in

JOURNAL = "uploads.ndjson"


class _UploadCounts(Struct):
    ready: int = 0
    accepted: int = 0
    failed: int = 0
    waiting: int = 0


@click.command(
    epilog="Exit codes: 0 all accepted, and ready unless --no-wait; 1 some were refused, rejected or are dead; 2 wrong "
    "usage or settings; 3 the API can't be reached, or some are not done yet; 130 interrupted, 143 by SIGTERM."
)
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="FILE|DIR…")
@click.option("--user", default=getpass.getuser, show_default="the current user", help="The uploader.")
@click.option("--title", help="The title, in place of the one in the file's tags; for a single file.")
@click.option("--artist", help="The artist of every file, in place of the one in its tags.")
@click.option("--album", help="The album of every file, in place of the one in its tags.")
@click.option(
    "--genre", help="The genre of every file, in place of the one in its tags; several with a semicolon between them."
)
@click.option("--wait/--no-wait", default=True, show_default=True, help="Whether to wait until they are processed.")
@click.option("--parallel", type=click.IntRange(1, 32), default=4, show_default=True, help="Files at a time.")
@click.option(
    "--patience",
    type=FiniteRange(min=0),
    default=60.0,
    show_default=True,
    help="Seconds to wait for an outcome, or for the API.",
)
@click.option("--anew", is_flag=True, help="Send files again that were sent before; each becomes another song.")
@api_options
def command(
    paths: tuple[Path, ...],
    user: str,
    wait: bool,
    parallel: int,
    patience: float,
    anew: bool,
    api: ApiConnection,
    **tags: str | None,
) -> None:
    """Upload songs: each FILE, and the files in each DIR and below that have the suffix of an audio format.

    A journal in the data folder records the accepted files. They are not sent again after an interruption, or under
    another name. `--anew` sends them again.

    \b
    songline upload song.mp3 --title "Paper Lanterns"
    songline upload ~/Music --user user-7
    """
    for path in paths:
        if not path.is_file() and not path.is_dir():
            raise CommandError(f"{readable(path)} is a pipe or a device, expected a file or a folder", ExitCode.USAGE)
    files = list(dict.fromkeys(file for path in paths for file in songs_in(path)))
    if not files:
        raise CommandError(f"no songs in {', '.join(map(readable, paths))}", ExitCode.USAGE)
    if tags["title"] and len(files) > 1:
        raise click.UsageError(f"--title is for a single file, and there are {len(files)}.")
    try:
        metadata = read_metadata({name: value for name, value in tags.items() if value})
        journal = UploadJournal(data_folder(os.environ) / JOURNAL)
    except ContractViolationError as refused:
        raise click.UsageError(str(refused)) from None
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}", ExitCode.USAGE) from None
    try:
        tally = asyncio.run(_upload(files, api, user, metadata, journal, wait, parallel, patience, anew))
    except KeyboardInterrupt:
        raise CommandError("interrupted: the same command goes on from here", ExitCode.INTERRUPTED) from None
    click.echo(_summary(tally), err=True)
    if tally.failed:
        raise SystemExit(ExitCode.REFUSED)
    if tally.waiting:
        raise SystemExit(ExitCode.UNREACHABLE)


async def _upload(
    files: list[Path],
    api: ApiConnection,
    user: str,
    metadata: Metadata,
    journal: UploadJournal,
    wait: bool,
    parallel: int,
    patience: float,
    anew: bool,
) -> _UploadCounts:
    """Send all files, then wait for all, so that a slow worker doesn't delay sending. Returns the counts."""
    tally = _UploadCounts()
    console = Console(stderr=True)
    columns = TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    timeout = httpx.Timeout(60, connect=5)
    async with api.async_client(timeout, [Scope.SONGS_WRITE], user) as http:
        sender = FileSender(http, user, metadata, journal, patience, anew)
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
            sent = await _side_by_side(parallel, [partial(_send, sender, bars, file, tally) for file in files])
        accepted = [(file, entry) for file, entry in zip(files, sent, strict=True) if entry is not None]
        if wait:
            await _side_by_side(parallel, [partial(_await, sender, file, entry, tally) for file, entry in accepted])
        else:
            for file, entry in accepted:
                tally.accepted += 1
                _say(entry.state, file, entry.ingestion)
    return tally


async def _side_by_side(parallel: int, jobs: list[Callable[[], object]]) -> list[JournalEntry | None]:
    """Run the jobs, at most `parallel` at a time, and return their results. An exception of one cancels all."""
    free = asyncio.Semaphore(parallel)

    async def run(job: Callable[[], object]) -> JournalEntry | None:
        async with free:
            result: JournalEntry | None = await job()  # type: ignore[misc]  # a partial of a coroutine function
            return result

    return await gather_or_cancel(map(run, jobs))


async def _send(sender: FileSender, bars: Progress, file: Path, tally: _UploadCounts) -> JournalEntry | None:
    bar = bars.add_task(visible(readable(Path(file.name))), total=None)
    try:
        return await sender.send(file, lambda sent, size: bars.update(bar, completed=sent, total=size))
    except (UploadError, OSError) as error:
        tally.failed += 1
        _say("refused", file, str(error))
        return None
    finally:
        bars.remove_task(bar)


async def _await(sender: FileSender, file: Path, entry: JournalEntry, tally: _UploadCounts) -> None:
    try:
        answer = await sender.outcome(entry)
    except UploadError as error:
        tally.failed += 1
        _say("failed", file, str(error))
        return
    if answer.removed_at is not None:
        tally.failed += 1
        _say("removed", file, f"it was uploaded before and removed since; --anew uploads it again ({answer.id})")
        return
    if answer.state == "ready":
        tally.ready += 1
    elif answer.state in ENDS:
        tally.failed += 1
    else:
        tally.waiting += 1
    _say(answer.state, file, _outcome(answer))


def _outcome(answer: UploadResponse) -> str:
    said = answer.note if answer.reason is None else answer.reason.text
    return answer.id if said is None else f"{said} ({answer.id})"


def _say(state: str, file: Path, text: str) -> None:
    # A closed pipe doesn't end the upload.
    with suppress(BrokenPipeError):
        click.echo(f"{state:<10} {visible(readable(file))}  {visible(text)}")


def _summary(tally: _UploadCounts) -> str:
    counts = {
        "ready": tally.ready,
        "accepted": tally.accepted,
        "not taken": tally.failed,
        "still on their way": tally.waiting,
    }
    return ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
