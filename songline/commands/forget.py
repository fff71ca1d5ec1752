"""`songline forget`: asks for the erasure of a listener, takes it back, and shows how far it is."""

import getpass
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

import click
import msgspec

from songline.api_client import visible
from songline.erasing import EXIT_CODES, checked_erasure, checked_listener, run_erasing
from songline.options import Age
from songline.processes.environment import load
from songline.processors.history.erasure.erasure_store import NoErasureError
from songline.processors.history.erasure.job import count_held
from songline.processors.history.erasure.opening import open_erasures, open_parts
from songline.processors.history.erasure.requests import request_erasure, undo_erasure
from songline.schemas.erasures import LONGEST_UNDO_WINDOW, Erasure, SongsChoice, answer_of

LOOK_S = 1.0
BEGINS = f"After how long it begins: 0s, 30m, 24h, 7d; {LONGEST_UNDO_WINDOW.days}d at most."


@click.command(epilog=EXIT_CODES, context_settings={"show_default": True})
@click.argument("words", metavar="USER | list | show ID", nargs=-1)
@click.option("--listener", metavar="USER", help="The listener, where the id is `list` or `show`.")
@click.option("--dry-run", is_flag=True, help="Only count what is held, in every place.")
@click.option("--songs", type=click.Choice(["remove", "keep"]), help="What becomes of their songs; kept, nobody's.")
@click.option("--undo-window", type=Age(LONGEST_UNDO_WINDOW), default="24h", help=BEGINS)
@click.option("--undo", "undo", metavar="ID", help="Take the erasure ID back, which has not begun.")
@click.option("--yes", is_flag=True, help="Don't ask for confirmation.")
@click.option("--wait", "waits", is_flag=True, help="Show each step until it is done.")
@click.option("--by", default=getpass.getuser, show_default="the current user", help="Your name, for the receipt.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON for each erasure.")
def command(
    words: tuple[str, ...],
    listener: str | None,
    dry_run: bool,
    songs: SongsChoice | None,
    undo_window: timedelta,
    undo: str | None,
    yes: bool,
    waits: bool,
    by: str,
    as_json: bool,
) -> None:
    """Erase the listener USER everywhere: libraries, songs, uploads, records, the archive.

    It begins after the undo window, and the ingestion worker carries it out. `list` shows all erasures, `show ID` one:
    how far it is, and at last the receipt. `songline export USER` writes what is held first.
    """
    match words, listener, undo:
        case (), None, str():
            taken_back = checked_erasure(undo)
            _print(run_erasing(lambda: _undone(taken_back)), as_json)
        case ("list",), None, None:
            for erasure in run_erasing(_all):
                _print(erasure, as_json, short=True)
        case ("show", erasure_id), None, None:
            shown = checked_erasure(erasure_id)
            erasure = run_erasing(lambda: _read(shown))
            _follow(erasure, as_json) if waits else _print(erasure, as_json)
        case ((user_id,), None, None) | ((), str(user_id), None):
            checked_listener(user_id)
            if dry_run:
                _count(user_id, as_json)
                return
            if songs is None:
                raise click.UsageError("Say what becomes of their songs: --songs remove, or --songs keep.")
            if not yes:
                window = f"in {undo_window}" if undo_window else "at once"
                click.confirm(f"{visible(user_id)} is erased {window}, for good. Go on?", abort=True)
            choice = songs
            erasure = run_erasing(lambda: _requested(user_id, choice, undo_window, by))
            _follow(erasure, as_json) if waits else _print(erasure, as_json)
        case _:
            raise click.UsageError("Name one listener, or `list`, or `show ID`, or --undo ID.")


async def _requested(user_id: str, songs: SongsChoice, window: timedelta, by: str) -> Erasure:
    async with open_erasures(load(os.environ)) as store:
        return await request_erasure(store, user_id, songs, window, by, datetime.now(UTC), secrets.token_hex)


async def _undone(erasure_id: str) -> Erasure:
    async with open_erasures(load(os.environ)) as store:
        return await undo_erasure(store, erasure_id, datetime.now(UTC))


async def _all() -> list[Erasure]:
    async with open_erasures(load(os.environ)) as store:
        return await store.all()


async def _read(erasure_id: str) -> Erasure:
    async with open_erasures(load(os.environ)) as store:
        found = await store.read(erasure_id)
        if found is None:
            raise NoErasureError(f"there is no erasure {visible(erasure_id[:100])}")
        return found


def _count(user_id: str, as_json: bool) -> None:
    async def work() -> dict[str, dict[str, int]]:
        async with open_parts(load(os.environ), lambda: datetime.now(UTC)) as parts:
            return {place.name: await count_held([place], user_id) for place in parts.places}

    counts = run_erasing(work)
    if as_json:
        click.echo(msgspec.json.encode(counts))
        return
    for place, kinds in counts.items():
        click.echo(f"{place:<11} {_listed(kinds) or 'nothing'}")


def _follow(erasure: Erasure, as_json: bool) -> None:
    """Show the erasure, then each step as it is done, until there are no more."""
    shown: list[str] = []
    while True:
        lines = list(_lines(erasure))
        if not as_json:
            known = set(shown)
            # The line of the step that is being done is another one each time.
            for line in lines:
                if line not in known:
                    click.echo(line)
            shown = lines
        if not erasure.is_open:
            break
        time.sleep(LOOK_S)
        erasure_id = erasure.id
        erasure = run_erasing(lambda: _read(erasure_id))  # noqa: B023 - called at once
    if as_json:
        _print(erasure, as_json)


def _print(erasure: Erasure, as_json: bool, *, short: bool = False) -> None:
    if as_json:
        click.echo(msgspec.json.encode(answer_of(erasure)))
    elif short:
        click.echo(f"{erasure.id}  {erasure.state:<8} {_moment(erasure.requested_at)}")
    else:
        click.echo("\n".join(_lines(erasure)))


def _lines(erasure: Erasure) -> Iterator[str]:
    yield f"erasure {erasure.id}, asked for by {visible(erasure.by)} at {_moment(erasure.requested_at)}"
    songs = "are removed" if erasure.songs == "remove" else "stay and become nobody's"
    yield f"songs       {songs}"
    if erasure.state == "waiting":
        yield f"waiting     begins at {_moment(erasure.due_at)}; songline forget --undo {erasure.id}"
    for step in erasure.steps:
        yield f"{step.name:<11} {_moment(step.done_at)}  {_listed(step.counts) or step.note or 'nothing'}"
    if erasure.progress is not None:
        waits = f"waits: {erasure.progress.waits_for}" if erasure.progress.waits_for else "goes on"
        yield f"{erasure.progress.name:<11} {_listed(erasure.progress.counts)} {waits}".rstrip()
    if erasure.undone_at is not None:
        yield f"undone      {_moment(erasure.undone_at)}"
    if erasure.done_at is not None:
        yield f"done        {_moment(erasure.done_at)}"
        if erasure.tail_until is not None:
            ended = "has ended" if not erasure.key else f"ends at the latest at {_moment(erasure.tail_until)}"
            yield f"hub         what it has of them from before {ended}"
        if erasure.charts_until is not None:
            yield f"charts      keyed hashes are gone at {_moment(erasure.charts_until)}"


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {kind}" for kind, count in counts.items() if count)


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
