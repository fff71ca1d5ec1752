# ruff: noqa: N999 - a module is named after its command, and is loaded by that name
"""`songline import`: brings along what a listener heard elsewhere, from files that other services export."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import click
import httpx
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn

from songline.api_client import ask, check, decoded, echo_json, id_in_path, unreachable, visible
from songline.api_connection import ApiConnection, api_options
from songline.identity.scopes import Scope
from songline.local_zone import local_zone
from songline.options import FiniteRange
from songline.schemas.imports import ENDED, ImportAnswer, ImportCounts, ImportsAnswer
from songline.sending.exits import CommandError, ExitCode
from songline.sending.folder_archive import as_file
from songline.sending.import_file import ImportReceiptAnswer, SentBytes, sent_import
from songline.sending.journal import readable

POLL_S = 0.25
_SCOPES = [Scope.EVENTS_WRITE, Scope.LIBRARY_READ]
_TIMEOUT = httpx.Timeout(60, connect=5)


@click.command(
    epilog="Exit codes: 0 done; 1 a file is refused, or an import failed; 2 wrong usage or settings; 3 the API "
    "can't be reached, or an import is not done yet; 130 interrupted, 143 by SIGTERM: imports that were begun go on."
)
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE…]")
@click.option("--user", required=True, help="The listener whose history it is.")
@click.option("--dry-run", is_flag=True, help="Say what would come of it, and take nothing.")
@click.option(
    "--timezone",
    default=lambda: local_zone(os.environ),
    show_default="that of this machine",
    help="The zone of local times, which logs of portable players have.",
)
@click.option("--wait/--no-wait", default=True, show_default=True, help="Whether to wait until they are done.")
@click.option(
    "--patience",
    type=FiniteRange(min=0),
    default=600.0,
    show_default=True,
    help="Seconds to wait for an import that makes no progress.",
)
@click.option("--list", "is_list", is_flag=True, help="List the listener's imports instead.")
@click.option("--stop", "stopped", metavar="ID", help="Stop the import ID instead; what it took stays.")
@click.option("--undo", "undone", metavar="ID", help="Take the import ID back instead, whole.")
@click.option("--json", "as_json", is_flag=True, help="Print the API's answers unchanged, one a line.")
@api_options
def command(
    files: tuple[Path, ...],
    user: str,
    dry_run: bool,
    timezone: str,
    wait: bool,
    patience: float,
    is_list: bool,
    stopped: str | None,
    undone: str | None,
    as_json: bool,
    api: ApiConnection,
) -> None:
    """Import the histories in each FILE: of ListenBrainz, Spotify, Last.fm, Maloja, Rockbox, Pano Scrobbler, YouTube
    Music, or events of our own. They are known by what is in them, also in an archive or a folder.

    A listen that an import before had is not taken twice. The same FILE again goes on where it was stopped. A dry run
    compares with imports before, and not with the other FILEs.

    \b
    songline import my_spotify_data.zip --user user-7 --dry-run
    songline import scrobbles.csv .scrobbler.log --user user-7
    """
    if sum((bool(files), is_list, stopped is not None, undone is not None)) != 1:
        raise click.UsageError("name a FILE, or one of --list, --stop ID and --undo ID.")
    for file in files:
        if not file.is_file() and not file.is_dir():
            raise click.UsageError(f"{visible(readable(file))} is no file and no folder.")
    with api.client(_TIMEOUT, _SCOPES, user) as client:
        if is_list:
            _show_list(client, user, as_json=as_json)
        elif stopped is not None:
            _change(client, stopped, "stop", patience if wait else None, as_json=as_json)
        elif undone is not None:
            _change(client, undone, "undo", patience if wait else None, as_json=as_json)
        else:
            try:
                _import(client, files, user, timezone, patience if wait else None, dry_run=dry_run, as_json=as_json)
            except KeyboardInterrupt:
                text = "interrupted: what was begun goes on, and the same command shows it; --stop ID stops it"
                raise CommandError(text, ExitCode.INTERRUPTED) from None


def _import(
    client: httpx.Client,
    files: tuple[Path, ...],
    user: str,
    timezone: str,
    patience_s: float | None,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    console = Console(stderr=True)
    columns = TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn()
    begun: list[tuple[Path, ImportReceiptAnswer]] = []
    failed = False
    unsent: click.ClickException | None = None
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        for file in files:
            bar = bars.add_task(visible(readable(Path(file.name))), total=None)
            try:
                with as_file(file) as sent:
                    name = readable(Path(file.absolute().name))
                    receipt = sent_import(client, sent, name, user, timezone, dry_run, _bar(bars, bar))
                begun.append((file, receipt))
            except click.ClickException as error:
                is_refused = error.exit_code in (1, 2)
                word = "refused" if is_refused else "not sent, and none behind it"
                click.echo(f"{visible(readable(file))}: {word}: {visible(error.message)}", err=True)
                if not is_refused:
                    unsent = error
                    break
                failed = True
            finally:
                bars.remove_task(bar)
    late = False
    for file, receipt in begun:
        if patience_s is None:
            click.echo(f"{visible(readable(file))}: {receipt.state} ({receipt.id})")
            continue
        answer, text = _awaited(client, receipt.id, patience_s, console)
        if as_json:
            echo_json(text)
        else:
            click.echo("\n".join(told(readable(file), answer)))
        failed = failed or answer.state in ("refused", "failed")
        late = late or answer.state not in ENDED
    if unsent is not None:
        raise SystemExit(unsent.exit_code)
    if failed:
        raise SystemExit(ExitCode.REFUSED)
    if late:
        raise SystemExit(ExitCode.UNREACHABLE)


def _bar(bars: Progress, bar: TaskID) -> SentBytes:
    return lambda sent, size: bars.update(bar, completed=sent, total=size)


def _awaited(client: httpx.Client, import_id: str, patience_s: float, console: Console) -> tuple[ImportAnswer, str]:
    """The import when it is over, or has made no progress for `patience_s` seconds, and the API's own words."""
    path = f"/v1/imports/{id_in_path(import_id, 'ID')}"
    moved_s, last = time.monotonic(), ""
    with console.status("queued") if console.is_terminal else _Quiet() as status:
        while True:
            text = ask(client, client.build_request("GET", path))
            answer = decoded(text, ImportAnswer)
            shown = progress_line(answer)
            if shown != last:
                moved_s, last = time.monotonic(), shown
                status.update(shown)
            if answer.state in ENDED or time.monotonic() - moved_s > patience_s:
                return answer, text
            time.sleep(POLL_S)


class _Quiet:
    def __enter__(self) -> "_Quiet":
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def update(self, text: str) -> None:
        """Show nothing: there is no terminal."""


def _change(client: httpx.Client, import_id: str, act: str, patience_s: float | None, *, as_json: bool) -> None:
    path = f"/v1/imports/{id_in_path(import_id, 'ID')}/{act}"
    request = client.build_request("POST", path)
    try:
        answer = client.send(request)
    except httpx.TransportError as error:
        raise unreachable(request, error) from None
    check(answer)
    if patience_s is None:
        click.echo(f"{import_id}: {decoded(answer.text, ImportReceiptAnswer).state}")
        return
    found, text = _awaited(client, import_id, patience_s, Console(stderr=True))
    if as_json:
        echo_json(text)
    else:
        click.echo(f"{import_id}: {found.state}")
    if found.state not in ENDED:
        raise SystemExit(ExitCode.UNREACHABLE)


def _show_list(client: httpx.Client, user: str, *, as_json: bool) -> None:
    text = ask(client, client.build_request("GET", f"/v1/users/{id_in_path(user, '--user')}/imports"))
    if as_json:
        echo_json(text)
        return
    imports = decoded(text, ImportsAnswer).imports
    for one in imports:
        name = visible(one.file_name or "(no name)")
        dry = ", dry run" if one.dry_run else ""
        click.echo(f"{one.id}  {one.received_at:%Y-%m-%d %H:%M}  {one.state}{dry}  {one.counts.taken:,} taken  {name}")
    if not imports:
        click.echo("no imports")


def told(name: str, answer: ImportAnswer) -> Iterator[str]:
    """What became of an import, in lines."""
    would = " (dry run: nothing was taken)" if answer.dry_run else ""
    yield f"{visible(name)}: {answer.state}{would} ({answer.id})"
    if answer.reason is not None:
        yield f"  {visible(answer.reason)}"
    counts = answer.counts
    skipped = sum(counts.skipped.values())
    yield f"  read {counts.read:,}: {counts.taken:,} taken, {counts.known:,} already known, {skipped:,} skipped"
    if counts.taken:
        yield f"  taken {counts.taken:,}: {counts.matched:,} matched, {counts.by_name:,} by name only"
    if skipped:
        yield "  skipped: " + ", ".join(f"{count:,} {reason}" for reason, count in counts.skipped.items())
    if counts.formats:
        yield "  formats: " + ", ".join(f"{count:,} {name}" for name, count in counts.formats.items())


def progress_line(answer: ImportAnswer) -> str:
    """How far an import is, in one line."""
    counts: ImportCounts = answer.counts
    return f"{answer.state}: {counts.read:,} read, {counts.taken:,} taken, {counts.known:,} already known"
