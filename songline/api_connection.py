"""How the commands reach the API: its address, and the token that they show there."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import httpx
from msgspec import Struct

from songline.api_client import address
from songline.cloud.settings import SettingError
from songline.identity.settings import ISSUER, is_loopback
from songline.identity.token_auth import TokenAuth
from songline.identity.token_source import token_source
from songline.processes.environment import API, load
from songline.schemas.decoding import excerpt
from songline.schemas.texts import encodable
from songline.sending.exits import CommandError, ExitCode


class ApiConnection(Struct, frozen=True):
    """The API that a command asks, and the token that it shows, as its options say. The environment says the rest.

    `client` and `async_client` raise ApiUnreachableError when no API is known, and CommandError for an address that is
    none.
    """

    api: str | None = None
    token_file: Path | None = None

    def client(self, timeout: float | httpx.Timeout, scopes: Sequence[str], user: str | None = None) -> httpx.Client:
        """A client with a token about `user`, or about the issuer's client itself, that has `scopes`."""
        base, auth = self._settle(os.environ, scopes, user)
        return httpx.Client(base_url=base, timeout=timeout, auth=auth)

    def async_client(
        self, timeout: float | httpx.Timeout, scopes: Sequence[str], user: str | None = None
    ) -> httpx.AsyncClient:
        """Likewise, for asyncio. Proxies of the environment are not asked."""
        base, auth = self._settle(os.environ, scopes, user)
        return httpx.AsyncClient(base_url=base, timeout=timeout, trust_env=False, auth=auth)

    def _settle(
        self, environ: Mapping[str, str], scopes: Sequence[str], user: str | None
    ) -> tuple[str, TokenAuth | None]:
        running = load(environ)
        base = _checked(self.api or address(running))
        if "@" in urlsplit(base).netloc:
            # The user and the password in the address are what is shown.
            return base, None
        # The client of the system that runs here is for its own API. Another one believes another issuer, and must not
        # see its tokens.
        is_elsewhere = ISSUER not in environ and not _is_same(base, running.get(API, ""))
        return base, TokenAuth(token_source(environ if is_elsewhere else running, self.token_file, user, scopes))


def _checked(base: str) -> str:
    """`base`; raises CommandError where it is no address."""
    try:
        url = httpx.URL(base)
        urlsplit(base)
    except (httpx.InvalidURL, ValueError):
        url = httpx.URL("")
    if url.scheme not in ("http", "https") or not url.host:
        # A user and a password in it are not shown.
        wrong = SettingError(f"--api or {API}", repr(encodable(base)), "an address such as http://127.0.0.1:8000")
        raise CommandError(excerpt(wrong, 500), ExitCode.USAGE)
    return base


def api_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say where the API is and which token it gets, and pass them as one argument `api`."""

    @click.option("--api", help="Address of the API.", show_default=f"{API}, or that of the system that runs here")
    @click.option(
        "--token-file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="A file with the access token to show.",
        show_default="one of the issuer",
    )
    @wraps(function)
    def run(*arguments: Any, api: str | None, token_file: Path | None, **others: Any) -> None:
        function(*arguments, api=ApiConnection(api, token_file), **others)

    return run


def _is_same(one: str, other: str) -> bool:
    return _place(one) == _place(other)


def _place(base: str) -> tuple[str, str, int | None] | str:
    try:
        parts = urlsplit(base)
        host = parts.hostname or ""
        return parts.scheme, "loopback" if is_loopback(host) else host, parts.port
    except ValueError:
        return base
