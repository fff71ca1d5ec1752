"""`songline listener`: makes, lists and revokes the tokens of a listener's players."""

import os
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime

import click
import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from songline.api.session.sealing import Sealer
from songline.api_client import visible
from songline.cloud.settings import SettingError
from songline.erasing import checked_listener, run_erasing
from songline.identity.scopes import Scope
from songline.players.tokens.player_token import (
    ALLOWED_SCOPES,
    MAX_PLAYER,
    MAX_TOKENS,
    PLAYER_SCOPES,
    NewToken,
    PlayerToken,
    new_token,
    sealed_for_salt,
)
from songline.players.tokens.token_key import TOKEN_KEY, TOKEN_KEY_FILE, read_sealer
from songline.players.tokens.token_store import open_player_tokens
from songline.processes.environment import API, load
from songline.schemas.texts import clean_or_none
from songline.sending.exits import CommandError, ExitCode

LEAST_DIGITS = 6

EXIT_CODES = "Exit codes: 0 done; 1 there is no such token; 2 wrong usage or settings; 3 a service can't be reached."


@click.group(epilog=EXIT_CODES)
def command() -> None:
    """Tokens by which a listener's players report plays and ask for music: docs/players.md."""


def _player(context: click.Context, parameter: click.Parameter, text: str) -> str:
    found = clean_or_none(text)
    if found is None or len(found) > MAX_PLAYER:
        raise click.BadParameter(f"saw {len(text)} characters, expected a name of 1 to {MAX_PLAYER} that can be seen.")
    return found


@command.command(epilog=EXIT_CODES)
@click.argument("user_id", metavar="USER")
@click.option("--player", default="player", show_default=True, callback=_player, help="A name for the player.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice([str(scope) for scope in ALLOWED_SCOPES]),
    show_default=" ".join(PLAYER_SCOPES),
    help="What the token allows; --scope again for more than one.",
)
@click.option(
    "--salted",
    is_flag=True,
    help="For players that ask for a user and a password (Subsonic): its text is kept, sealed.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def token(user_id: str, player: str, scopes: Sequence[str], salted: bool, as_json: bool) -> None:
    """Make a token for one player of USER, and print it. It is shown once, and good until it is revoked."""
    checked_listener(user_id)
    wanted = tuple(Scope(scope) for scope in dict.fromkeys(scopes)) or PLAYER_SCOPES
    sealer = _sealer() if salted else None
    made = run_erasing(lambda: _made(user_id, player, wanted, sealer))
    if as_json:
        click.echo(msgspec.json.encode({"token": made.text, **_shown(made.token)}))
        return
    click.echo(made.text)
    address = load(os.environ).get(API, "the address of the API")
    click.echo(f"{visible(player)}, {made.token.short_id}: give it to the player, with {address} as server.", err=True)


@command.command("tokens", epilog=EXIT_CODES)
@click.argument("user_id", metavar="USER")
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each token.")
def list_tokens(user_id: str, as_json: bool) -> None:
    """List the tokens of USER, the oldest first."""
    checked_listener(user_id)
    found = run_erasing(lambda: _all(user_id))
    if as_json:
        for one in found:
            click.echo(msgspec.json.encode(_shown(one)))
        return
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("id", "player", "scopes", "made", "used"):
        table.add_column(name, overflow="fold")
    for one in found:
        used = "never" if one.used_at is None else _moment(one.used_at)
        scopes = " ".join(one.scopes) + (", salted" if one.is_salted else "")
        table.add_row(one.short_id, Text(visible(one.player)), scopes, _moment(one.created_at), used)
    Console().print(table if found else f"{visible(user_id)} has no tokens.")


@command.command(epilog=EXIT_CODES)
@click.argument("user_id", metavar="USER")
@click.argument("token_id", metavar="[ID]", required=False)
@click.option("--all", "everything", is_flag=True, help="All tokens of USER.")
def revoke(user_id: str, token_id: str | None, everything: bool) -> None:
    """Revoke the token ID of USER, which `tokens` shows. Players that have it are refused within seconds."""
    checked_listener(user_id)
    if everything == (token_id is not None):
        raise click.UsageError("Name one token by its ID, or say --all.")
    revoked = run_erasing(lambda: _revoked(user_id, token_id))
    for one in revoked:
        click.echo(f"revoked: {one.short_id}  {visible(one.player)}")
    if not revoked and token_id is not None:
        raise CommandError(
            f"{visible(user_id)} has no token {visible(token_id[:100])}: `songline listener tokens` shows them",
            ExitCode.REFUSED,
        )


def _sealer() -> Sealer:
    """What seals a token's text. Raises CommandError, before any service is asked."""
    try:
        sealer = read_sealer(load(os.environ))
        if sealer is None:
            raise SettingError(TOKEN_KEY, "nothing", f"a key, or {TOKEN_KEY_FILE}: --salted keeps a text sealed by it")
    except SettingError as error:
        raise CommandError(str(error), ExitCode.USAGE) from None
    return sealer


async def _made(user_id: str, player: str, scopes: tuple[Scope, ...], sealer: Sealer | None) -> NewToken:
    made = new_token(user_id, player, scopes, datetime.now(UTC), secrets.token_bytes)
    if sealer is not None:
        made = NewToken(made.text, sealed_for_salt(made, sealer))
    async with open_player_tokens(load(os.environ)) as store:
        if len(await store.of(user_id)) >= MAX_TOKENS:
            raise CommandError(
                f"{visible(user_id)} has {MAX_TOKENS} tokens, as many as one may have: revoke some", ExitCode.REFUSED
            )
        await store.add(made.token)
    return made


async def _all(user_id: str) -> list[PlayerToken]:
    async with open_player_tokens(load(os.environ)) as store:
        return await store.of(user_id)


async def _revoked(user_id: str, token_id: str | None) -> list[PlayerToken]:
    async with open_player_tokens(load(os.environ)) as store:
        found = await store.of(user_id)
        if token_id is not None:
            wanted = token_id.lower()
            found = [one for one in found if len(wanted) >= LEAST_DIGITS and one.id.startswith(wanted)]
            if len(found) > 1:
                raise CommandError(f"{visible(token_id)} begins several ids: say more digits", ExitCode.REFUSED)
        return [one for one in found if await store.revoke(one.id)]


def _shown(one: PlayerToken) -> dict[str, object]:
    return {
        "id": one.short_id,
        "player": one.player,
        "scopes": one.scopes,
        "salted": one.is_salted,
        "createdAt": one.created_at,
        "usedAt": one.used_at,
    }


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"
