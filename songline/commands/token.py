"""`songline token`: prints an access token."""

import os
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

import click
import httpx

from songline.cloud.settings import SettingError
from songline.identity.scopes import OWN_SCOPES, Scope
from songline.identity.settings import ClientSettings, is_loopback
from songline.identity.token_client import fetch_token
from songline.processes.environment import load
from songline.schemas.decoding import excerpt
from songline.schemas.texts import encodable
from songline.schemas.types import ID_PATTERN, PATTERNS
from songline.sending.exits import CommandError, ExitCode

PATIENCE_S = 10
# RFC 6749, section 3.3.
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,256}")


def _user(context: click.Context, parameter: click.Parameter, text: str | None) -> str | None:
    if text is not None and re.search(ID_PATTERN, text) is None:
        raise click.BadParameter(f"saw {excerpt(encodable(text))!r}, expected {PATTERNS[ID_PATTERN]}.")
    return text


def _scopes(context: click.Context, parameter: click.Parameter, texts: Sequence[str]) -> tuple[str, ...]:
    for text in texts:
        for scope in text.split(" "):
            if not _SCOPE.fullmatch(scope):
                known = ", ".join(Scope)
                raise click.BadParameter(f"saw {excerpt(encodable(text))!r}, expected a scope such as {known}.")
    return tuple(dict.fromkeys(scope for text in texts for scope in text.split(" ")))


@click.command(epilog="Exit codes: 0 printed; 2 wrong usage or settings, or the issuer refuses; 3 no issuer answers.")
@click.option("--user", callback=_user, help="The listener whom the token is about. Without it: the client itself.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    callback=_scopes,
    show_default="a listener's own with --user, else all that the client may have",
    help=f"What the token allows, some of {', '.join(Scope)}; more than one with spaces between, or --scope again.",
)
def command(user: str | None, scopes: tuple[str, ...]) -> None:
    """Print an access token for the API, from the issuer of the system that runs here or of the environment.

    For instance: curl -H "Authorization: Bearer $(songline token)" URL
    """
    try:
        settings = ClientSettings.read(load(os.environ))
    except SettingError as error:
        raise CommandError(f"{error}. Or start a system of your own with `songline up`.", ExitCode.USAGE) from None
    wanted = scopes or (() if user is None else tuple(OWN_SCOPES))
    # A proxy of the environment is for other hosts.
    trust_env = not is_loopback(urlsplit(settings.issuer).hostname or "")
    with httpx.Client(timeout=PATIENCE_S, trust_env=trust_env) as client:
        click.echo(fetch_token(settings, client, user, wanted))
