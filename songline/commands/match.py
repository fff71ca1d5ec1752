"""`songline match`: says which song of the catalog a name is, takes that back, and lists what was said."""

import time
from typing import Any

import click
import httpx
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from songline.api_client import ask, check, decoded, echo_json, id_in_path, unreachable, visible
from songline.api_connection import ApiConnection, api_options
from songline.identity.scopes import Scope
from songline.options import FiniteRange
from songline.schemas.match_answers import MatchAnswer, MatchesAnswer
from songline.schemas.song_names import key_of, name_id
from songline.sending.exits import CommandError, ExitCode

POLL_S = 0.5
PAST = (
    "What listeners did with it before moves at the next rebuild: songline rebuild library --switch, and the same for "
    "charts, and then for plays, which are counted by the live charts."
)
_TIMEOUT = httpx.Timeout(30, connect=5)


@click.group(
    context_settings={"show_default": True},
    epilog="Exit codes: 0 done; 1 the API refuses it; 2 wrong usage or settings; 3 the API can't be reached, or it "
    "does not hold yet.",
)
def command() -> None:
    """Say which song of the catalog a name is. Songs that no upload has are known by name only: their ids begin with
    name:, as libraries show them."""


def _waiting(function: Any) -> Any:
    function = click.option(
        "--patience", type=FiniteRange(min=0), default=60.0, help="Seconds to wait until it holds."
    )(function)
    return click.option("--wait/--no-wait", default=True, help="Whether to wait until it holds.")(function)


@command.command("list")
@click.option("--limit", type=click.IntRange(1, 1_000), default=100, help="The most matches.")
@click.option("--json", "as_json", is_flag=True, help="Print the API's answer unchanged.")
@api_options
def list_matches(limit: int, as_json: bool, api: ApiConnection) -> None:
    """List the names of which somebody said which song they are."""
    with api.client(_TIMEOUT, [Scope.ADMIN]) as client:
        text = ask(client, client.build_request("GET", "/v1/matches", params={"limit": str(limit)}))
    if as_json:
        echo_json(text)
        return
    found = decoded(text, MatchesAnswer).matches
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("name", "words", "song", "since"):
        table.add_column(column, overflow="fold")
    for one in found:
        since = "" if one.effective_from is None else f"{one.effective_from:%Y-%m-%d %H:%M:%S}"
        table.add_row(one.name, Text(_words(one)), one.song_id or "", since)
    Console().print(table if found else "Nobody said of a name which song it is.")


@command.command("set")
@click.argument("ids", nargs=-1, metavar="[NAME] SONG")
@click.option("--title", help="The title of the name, instead of NAME.")
@click.option("--artist", help="The artist of the name, instead of NAME.")
@click.option("--json", "as_json", is_flag=True, help="Print the API's answer unchanged.")
@_waiting
@api_options
def set_match(
    ids: tuple[str, ...],
    title: str | None,
    artist: str | None,
    as_json: bool,
    wait: bool,
    patience: float,
    api: ApiConnection,
) -> None:
    """Say that NAME, or the name that --title and --artist make, is the song SONG of the catalog.

    \b
    songline match set name:9f86d081884c7d659a2feaa0c55ad015 song-42
    songline match set --title "Paper Lanterns" --artist "Nova Reed" song-42
    """
    name, song_id = _named(ids, title, artist)
    with api.client(_TIMEOUT, [Scope.ADMIN]) as client:
        path = f"/v1/matches/{id_in_path(name, 'NAME')}"
        ask(client, client.build_request("PUT", path, json={"songId": song_id}))
        _tell(client, path, song_id, patience if wait else None, as_json=as_json)


@command.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print the API's answer unchanged.")
@_waiting
@api_options
def undo(name: str, as_json: bool, wait: bool, patience: float, api: ApiConnection) -> None:
    """Take back which song NAME is: it is known by name only then."""
    with api.client(_TIMEOUT, [Scope.ADMIN]) as client:
        path = f"/v1/matches/{id_in_path(name, 'NAME')}"
        ask(client, client.build_request("DELETE", path))
        _tell(client, path, None, patience if wait else None, as_json=as_json)


def _named(ids: tuple[str, ...], title: str | None, artist: str | None) -> tuple[str, str]:
    """The ids of the name and of the song. Raises UsageError."""
    if title is None and artist is None and len(ids) == 2:
        return ids[0], ids[1]
    if title and artist and len(ids) == 1:
        return name_id(key_of(title, [artist])), ids[0]
    raise click.UsageError("name NAME and SONG, or --title, --artist and SONG.")


def _tell(client: httpx.Client, path: str, song_id: str | None, patience_s: float | None, *, as_json: bool) -> None:
    """Say what is known of the match, once it holds."""
    begun_s = time.monotonic()
    while True:
        found, text = _known(client, path)
        is_known = found is not None and found.song_id == song_id
        if found is not None and is_known and (patience_s is None or _holds(found)):
            break
        if patience_s is None:
            click.echo(f"accepted. {PAST}")
            return
        if time.monotonic() - begun_s > patience_s:
            raise CommandError(
                f"it is accepted, and does not hold after {patience_s:g} s: `songline doctor` says what is behind",
                ExitCode.UNREACHABLE,
            )
        time.sleep(POLL_S)
    if as_json:
        echo_json(text)
        return
    what = f"is song {song_id}" if song_id is not None else "is known by name only"
    since = "" if found.effective_from is None else f" from {found.effective_from:%Y-%m-%d %H:%M:%S} UTC on"
    words = _words(found)
    click.echo(f"{found.name}{f' ({words})' if words else ''} {what}{since}. {PAST}")


def _known(client: httpx.Client, path: str) -> tuple[MatchAnswer | None, str]:
    request = client.build_request("GET", path)
    try:
        answer = client.send(request)
    except httpx.TransportError as error:
        raise unreachable(request, error) from None
    if answer.status_code == httpx.codes.NOT_FOUND:
        return None, ""
    check(answer)
    return decoded(answer.text, MatchAnswer), answer.text


def _holds(found: MatchAnswer) -> bool:
    return found.effective_from is None or found.as_of >= found.effective_from


def _words(found: MatchAnswer) -> str:
    return visible(", ".join(filter(None, (found.title, found.artist))))
