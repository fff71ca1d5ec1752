"""Where a client gets the tokens that it shows."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from songline.cloud.settings import SettingError
from songline.identity.access_token import AccessToken, given_token, read_token
from songline.identity.settings import TOKEN_SCOPE, ClientSettings
from songline.identity.token_client import fetch_token, issuer_client
from songline.sending.exits import CommandError, ExitCode

T = TypeVar("T")

AHEAD_S = 60.0
"""Seconds before a token expires from which it is replaced; of a token that is good for a short time, a quarter."""


class TokenSource:
    """The token that a client shows: fetched when it is first needed, and again before it expires. Threads share it.

    `fetch` gets one, and raises CommandError and IssuerUnreachableError. `origin` says in an error whose token it is.
    """

    def __init__(
        self, fetch: Callable[[], AccessToken], origin: str, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._fetch, self.origin, self._now_s = fetch, origin, now_s
        self._lock = threading.Lock()
        self._text: str | None = None
        self._renew_at_s = 0.0

    def token(self) -> str:
        """A token that is good for a while. Raises CommandError and IssuerUnreachableError."""
        with self._lock:
            if self._text is None or self._now_s() >= self._renew_at_s:
                self._text = None
                asked_at_s = self._now_s()
                found = self._fetch()
                self._renew_at_s = asked_at_s + found.lasts_s - min(AHEAD_S, found.lasts_s / 4)
                self._text = found.text.reveal()
            return self._text

    def forget(self, text: str) -> None:
        """Fetch another one next time; `text` was refused."""
        with self._lock:
            if self._text == text:
                self._text = None


def token_source(
    environ: Mapping[str, str], file: Path | None = None, user: str | None = None, scopes: Sequence[str] = ()
) -> TokenSource:
    """The source that the settings name: a token that is given, in `file` or in a variable, else the issuer.

    Of the issuer tokens are about `user`, or else about the client itself, with `scopes`, or else with all that the
    client may have; `SONGLINE_TOKEN_SCOPE` is asked for instead. Settings that are wrong are an error of `token`.
    """
    given = given_token(environ, file)
    if given is not None:
        name, place = given
        return TokenSource(lambda: _told(lambda: read_token(name, place)), f"the token in {name}")

    def fetch() -> AccessToken:
        settings = _told(lambda: ClientSettings.read(environ))
        with issuer_client(settings.issuer) as client:
            return fetch_token(settings, client, user, environ.get(TOKEN_SCOPE, "").split() or scopes)

    return TokenSource(fetch, "the token of its issuer")


def _told(read: Callable[[], T]) -> T:
    try:
        return read()
    except SettingError as error:
        raise CommandError(str(error), ExitCode.USAGE) from None
