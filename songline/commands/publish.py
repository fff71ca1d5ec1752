"""`songline publish`: sends events from a file, standard input or options."""

import asyncio
import secrets
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from msgspec import structs
from rich.console import Console

from songline.options import FiniteRange
from songline.schemas.commands import read_metadata
from songline.schemas.envelope import Event, encode, uuid7
from songline.schemas.errors import ContractViolationError, PoisonError
from songline.schemas.events import Payload, SongLiked, SongPlayed, SongRemoved, SongUnliked, SongUploaded
from songline.schemas.moments import read_moment
from songline.schemas.rules import MOMENT_RULE
from songline.sending.exits import CommandError, ExitCode, eventhubs, stopped
from songline.sending.submission import ENOUGH, STDIN, Submission, judge

SOURCE = "/songline/publish"
KINDS: dict[str, type[Payload]] = {
    "played": SongPlayed,
    "liked": SongLiked,
    "unliked": SongUnliked,
    "uploaded": SongUploaded,
    "removed": SongRemoved,
}


@click.command(
    epilog="Exit codes: 0 all sent; 1 some refused, the rest sent; 2 wrong usage or settings, or no access to the hub; "
    "3 the hub can't be reached; 130 interrupted, 143 by SIGTERM."
)
@click.argument("file", required=False, type=click.Path(dir_okay=False, allow_dash=True, exists=True))
@click.option("--played", nargs=2, metavar="USER SONG", help="Takes --played-ms, --duration-ms and --region.")
@click.option("--liked", nargs=2, metavar="USER SONG", help="Takes --region.")
@click.option("--unliked", nargs=2, metavar="USER SONG", help="A listener took a like back. Takes --region.")
@click.option("--uploaded", nargs=2, metavar="USER SONG", help="Needs --title, --artist and --duration-ms.")
@click.option("--removed", nargs=2, metavar="USER SONG", help="A song was removed; USER is its uploader.")
@click.option("--played-ms", type=int, help="The time that was heard, in milliseconds; without it, it was a listen.")
@click.option("--duration-ms", type=int, help="The length of the song, in milliseconds.")
@click.option(
    "--region", help="Where the listener was: a country code such as DE; without it, in no chart of a region."
)
@click.option("--device", help="What it was played on, such as ios.")
@click.option("--title", help="The song's title.")
@click.option("--artist", help="The song's artist, or several with a semicolon between them.")
@click.option("--genre", help="The song's genre, or several with a semicolon between them.")
@click.option("--time", help="When it happened, such as 2026-11-22T14:00:00Z.  [default: now]")
@click.option(
    "--patience",
    type=FiniteRange(min=0),
    default=60.0,
    show_default=True,
    help="Seconds to keep trying while the hub is away.",
)
def command(file: str | None, patience: float, **options: Any) -> None:
    """Send events to the hub: those in FILE (- for standard input), or one that the options describe.

    FILE has an event a line, in the envelope that docs/publishing.md shows. A line that breaks the contract is
    reported on standard error with its number, the field, the value and the rule. The other lines are sent.

    \b
    songline publish plays.ndjson
    songline publish --played user-7 song-42 --played-ms 184000 --duration-ms 201000 --region DE
    songline publish --liked user-7 song-42
    """
    options = {name: value for name, value in options.items() if value is not None}
    if file is not None and options:
        raise click.UsageError(f"{_shown(options)} can't go with a FILE: they describe one event.")
    if file is None and not options and sys.stdin.isatty():
        raise click.UsageError("Nothing to send: name a FILE, - for standard input, or say what happened.")
    body = encode(_event(options)) if options else None
    submission = Submission(Console(stderr=True))
    try:
        if body is None and file not in (None, "-") and Path(file).is_file():
            # A wrong file is reported before missing settings. A pipe can be read only once, so `send_file` checks it.
            with Path(file).open("rb") as opened:
                judge(opened.read(ENOUGH), file)
        settings = eventhubs()
        if body is not None:
            asyncio.run(submission.send_one(settings, body, patience))
        elif file in (None, "-"):
            asyncio.run(submission.send_file(settings, sys.stdin.fileno(), patience, STDIN))
        else:
            with Path(file).open("rb") as opened:
                asyncio.run(submission.send_file(settings, opened.fileno(), patience, file))
    except OSError as error:
        raise CommandError(f"{file or 'standard input'}: {error.strerror}", ExitCode.USAGE) from None
    except KeyboardInterrupt:
        raise CommandError(f"interrupted: {submission.summary()}", ExitCode.INTERRUPTED) from None
    for line in submission.rest():
        click.echo(line, err=True)
    click.echo(submission.summary(), err=True)
    if submission.failure is not None:
        raise stopped(submission.failure)
    if submission.refused:
        raise SystemExit(ExitCode.REFUSED)


def _names(options: dict[str, Any]) -> dict[str, Any]:
    """Artists and genres as an upload has them. What breaks the contract stays, and is refused when it is sent."""
    if not options.keys() & {"artist", "genre"}:
        return {}
    try:
        said = read_metadata({name: options[name] for name in ("artist", "genre") if name in options})
    except ContractViolationError:
        return {}
    return {name: value for name, value in structs.asdict(said).items() if value is not None}


def _event(options: dict[str, Any]) -> Event:
    """The event that the options describe; raises click.UsageError. Its contract is checked when it is sent."""
    given = [kind for kind in KINDS if kind in options]
    if len(given) != 1:
        raise click.UsageError(f"Say one thing that happened: {_shown(KINDS)}.")
    (kind,) = given
    user_id, song_id = options.pop(kind)
    now = datetime.now(UTC)
    time = _time(options.pop("time")) if "time" in options else now
    details = {"user_id": user_id, "song_id": song_id, **options, **_names(options)}
    fields = {field.name: field.required for field in structs.fields(KINDS[kind])}
    if missing := [name for name, required in fields.items() if required and name not in details]:
        raise click.UsageError(f"--{kind} needs {_shown(missing)}.")
    if surplus := details.keys() - fields:
        raise click.UsageError(f"--{kind} takes no {_shown(sorted(surplus))}.")
    return Event(
        id=uuid7(int(now.timestamp() * 1000), secrets.randbits(74)),
        source=SOURCE,
        time=time,
        data=KINDS[kind](**details),
    )


def _time(text: str) -> datetime:
    try:
        return read_moment(text)
    except PoisonError:
        raise click.UsageError(f"--time: saw {text!r}, expected {MOMENT_RULE}.") from None


def _shown(names: Iterable[str]) -> str:
    return ", ".join("--" + name.replace("_", "-") for name in names)
