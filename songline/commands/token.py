"""`songline token`: prints an access token."""

import os
import re
from collections.abc import Sequence

import click

from songline.api.setting_stand_ins import stand_ins
from songline.cloud.settings import SettingError
from songline.cloud.wrong_settings import read_settings
from songline.identity.scopes import OWN_SCOPES, Scope
from songline.identity.settings import TOKEN_SCOPE, ClientSettings
from songline.identity.token_client import check_subject, fetch_token, issuer_client
from songline.processes.environment import load
from songline.schemas.decoding import excerpt
from songline.schemas.texts import encodable
from songline.schemas.types import ID_PATTERN, PATTERNS
from songline.sending.exits import CommandError, ExitCode

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
@click.option("--header", is_flag=True, help="Print the whole header, for `curl -H @<(songline token --header)`.")
def command(user: str | None, scopes: tuple[str, ...], header: bool) -> None:
    """Print an access token for the API, from the issuer of the system that runs here or of the environment.

    For instance: curl -H @<(songline token --header) URL
    """
    environ = load(os.environ)
    try:
        settings = read_settings(ClientSettings.read, environ, stand_ins(environ))
    except SettingError as error:
        raise CommandError(f"{error}. Or start a system of your own with `songline up`.", ExitCode.USAGE) from None
    wanted = scopes or environ.get(TOKEN_SCOPE, "").split() or (() if user is None else tuple(OWN_SCOPES))
    with issuer_client(settings.issuer) as client:
        token = fetch_token(settings, client, user, wanted)
    if user is not None:
        check_subject(token, user, settings.issuer)
    click.echo(("Authorization: Bearer " if header else "") + token.text.reveal())
