"""The access token in the requests of an httpx client."""

import asyncio
from collections.abc import AsyncGenerator, Generator

import click
import httpx

from songline.identity.settings import TOKEN, is_loopback
from songline.identity.token_client import IssuerUnreachableError
from songline.identity.token_source import TokenSource
from songline.sending.exits import CommandError, ExitCode

UNAUTHORIZED = 401


class TokenRefusedError(CommandError):
    """The API does not take the token that was shown, or asks for one and none could be shown."""


class TokenAuth(httpx.Auth):
    """Shows a token of `source` with every request, and another one after a 401.

    Where no token can be had the request goes without: the API may ask for none. When it does, what went wrong is
    raised: TokenRefusedError, CommandError with the issuer's words, IssuerUnreachableError. A body that can be read
    once is not sent again by itself: TokenRefusedError is raised, and the next request has another token.
    """

    def __init__(self, source: TokenSource) -> None:
        self._source = source

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        shown = self._show(request)
        if (yield request).status_code != UNAUTHORIZED:
            return
        if self._may_repeat(request, shown):
            again = self._show(request)
            if isinstance(again, str) and again != shown and (yield request).status_code != UNAUTHORIZED:
                return
            shown = again if isinstance(again, IssuerUnreachableError) else shown
        raise self._refused(request, shown)

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        shown = await asyncio.to_thread(self._show, request)
        if (yield request).status_code != UNAUTHORIZED:
            return
        if self._may_repeat(request, shown):
            again = await asyncio.to_thread(self._show, request)
            if isinstance(again, str) and again != shown and (yield request).status_code != UNAUTHORIZED:
                return
            shown = again if isinstance(again, IssuerUnreachableError) else shown
        raise self._refused(request, shown)

    def _show(self, request: httpx.Request) -> str | click.ClickException:
        """Put the token into the request, and return it; or why there is none."""
        if not _is_safe(request.url):
            return TokenRefusedError(
                f"{_origin(request)} asks for an access token, which is sent over HTTPS only, or on this machine: "
                "expected an address that begins with https://",
                ExitCode.USAGE,
            )
        try:
            token = self._source.token()
        except IssuerUnreachableError as error:
            return error
        except CommandError as error:
            return TokenRefusedError(
                f"{_origin(request)} asks for an access token, and there is none: {error.message}. Or set {TOKEN}, "
                "or name a file with a token by --token-file",
                ExitCode.USAGE,
            )
        request.headers["Authorization"] = f"Bearer {token}"
        return token

    def _may_repeat(self, request: httpx.Request, shown: str | click.ClickException) -> bool:
        """Whether the refused request can be sent again with another token; what was shown is forgotten."""
        if not isinstance(shown, str):
            return False
        self._source.forget(shown)
        return isinstance(request.stream, httpx.ByteStream)

    def _refused(self, request: httpx.Request, shown: str | click.ClickException) -> click.ClickException:
        if isinstance(shown, click.ClickException):
            return shown
        return TokenRefusedError(
            f"{_origin(request)} does not take {self._source.origin}: it has expired, or is for another audience, or "
            "that API believes another issuer",
            ExitCode.USAGE,
        )


def _is_safe(url: httpx.URL) -> bool:
    return url.scheme == "https" or is_loopback(url.host)


def _origin(request: httpx.Request) -> str:
    """The address without a path, and without a user: a password may be in it."""
    return f"{request.url.scheme}://{request.url.netloc.decode('ascii', 'replace')}"
