"""Gets access tokens from the issuer, for the commands (client credentials, RFC 6749 section 4.4)."""

from collections.abc import Sequence
from math import inf
from ssl import PROTOCOL_TLS_CLIENT, SSLContext
from urllib.parse import urlsplit

import click
import httpx
from msgspec import Struct

from songline.api_client import visible
from songline.cloud.settings import HiddenStruct, SettingError
from songline.identity.access_token import AccessToken, checked_token
from songline.identity.discovery import DiscoveryError, discovery_address, read_metadata
from songline.identity.grant_refusal import read_refusal
from songline.identity.settings import ISSUER, ClientSettings, is_loopback
from songline.identity.token_part import decode_part
from songline.schemas.decoding import Decoder
from songline.schemas.errors import PoisonError
from songline.sending.exits import CommandError, ExitCode

PATIENCE_S = 10.0
"""Seconds that the issuer has for an answer."""


class _Tokens(HiddenStruct, frozen=True):
    access_token: str
    expires_in: float | None = None


class _Subject(Struct):
    sub: str


_tokens = Decoder(_Tokens, "not-an-answer")
_subjects = Decoder(_Subject, "not-an-answer")


class IssuerUnreachableError(click.ClickException):
    """The issuer does not answer, or says that it can't now."""

    exit_code = int(ExitCode.UNREACHABLE)


def issuer_client(issuer: str) -> httpx.Client:
    """A client for an issuer of `safe_address`."""
    if urlsplit(issuer).scheme == "http":
        # It is this machine's. To read all trusted authorities takes longer than the answer.
        return httpx.Client(timeout=PATIENCE_S, trust_env=False, verify=SSLContext(PROTOCOL_TLS_CLIENT))
    # A proxy of the environment is for other hosts.
    return httpx.Client(timeout=PATIENCE_S, trust_env=not is_loopback(urlsplit(issuer).hostname or ""))


def fetch_token(
    settings: ClientSettings, client: httpx.Client, user: str | None = None, scopes: Sequence[str] = ()
) -> AccessToken:
    """An access token with `scopes`; about `user` where one is named, and the issuer knows the parameter `subject`.

    Raises CommandError when the issuer refuses, with its own words, and IssuerUnreachableError.
    """
    address = _token_endpoint(settings, client)
    form = {
        "grant_type": "client_credentials",
        "client_id": settings.client_id,
        "client_secret": settings.secret.reveal(),
        **({"scope": " ".join(scopes)} if scopes else {}),
        **({} if user is None else {"subject": user}),
    }
    answer = _send(client, client.build_request("POST", address, data=form))
    if answer.status_code != 200:
        raise CommandError(_words(answer), ExitCode.USAGE)
    try:
        found = _tokens.decode(answer.content)
        text = checked_token(address, found.access_token)
    except (PoisonError, SettingError) as error:
        detail = error.detail if isinstance(error, PoisonError) else str(error)
        raise CommandError(f"{address} gave no token: {detail}", ExitCode.USAGE) from None
    return AccessToken(text, inf if found.expires_in is None else max(0.0, found.expires_in))


def _token_endpoint(settings: ClientSettings, client: httpx.Client) -> str:
    url = discovery_address(settings.issuer)
    answer = _send(client, client.build_request("GET", url))
    if answer.status_code != 200:
        raise CommandError(
            f"{url} answered {answer.status_code}, expected a discovery document: is {ISSUER} right?", ExitCode.USAGE
        )
    try:
        found = read_metadata(settings.issuer, answer.content).token_endpoint
    except DiscoveryError as error:
        raise CommandError(visible(str(error)), ExitCode.USAGE) from None
    if found is None:
        raise CommandError(f"{url} names no token_endpoint: that issuer gives no tokens to clients", ExitCode.USAGE)
    return found


def _send(client: httpx.Client, request: httpx.Request) -> httpx.Response:
    try:
        answer = client.send(request)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise IssuerUnreachableError(
            f"{request.url} can't be reached ({error}): start the system with `songline up`, or set {ISSUER}"
        ) from None
    if answer.status_code >= 500 or answer.status_code == 429:
        raise IssuerUnreachableError(f"{request.url} answered {answer.status_code}: try again later")
    return answer


def _words(answer: httpx.Response) -> str:
    refused = read_refusal(answer.content)
    if refused is None:
        return f"{answer.request.url} answered {answer.status_code}: {visible(answer.text[:200])}"
    return visible(f"the issuer refuses, {refused.error}: {refused.error_description[:500]}".rstrip(": "))


def check_subject(token: AccessToken, user: str, issuer: str) -> None:
    """Raise CommandError unless the token is about `user`: an issuer that does not know `subject` gives the client's
    own, which would act for somebody else."""
    parts = token.text.reveal().split(".")
    try:
        part = parts[1] if len(parts) == 3 else ""
        seen = _subjects.decode(decode_part(part)).sub
    except (ValueError, PoisonError):
        seen = ""
    if seen != user:
        raise CommandError(
            visible(
                f"{issuer} gave a token about {seen[:128]!r}, expected one about {user!r}: it gives clients tokens of "
            )
            + "their own only. Leave --user out, or let the user sign in",
            ExitCode.USAGE,
        )
