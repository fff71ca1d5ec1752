"""Entra credentials: the identity that runs the process, found the way Azure's own tools find it."""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from azure.core.credentials import AccessToken, AccessTokenInfo
from msgspec import Struct

from songline.cloud.extras import missing_extra

if TYPE_CHECKING:
    from azure.core.credentials import TokenRequestOptions

log = logging.getLogger(__name__)

EARLY_S = 300.0
"""A token is fetched anew so many seconds before its end, and after three quarters of its time where that is later."""

RETRY_S = 10.0
"""While a token is still good, a fetch that failed is tried again after so many seconds."""


class FailedRenewal(Struct, frozen=True):
    """The last try to renew the token for `scopes` failed with `error`, at `tried_s`. The token is good until `ends_s`
    (both Unix seconds)."""

    scopes: tuple[str, ...]
    error: Exception
    tried_s: float
    ends_s: float

    @property
    def sentence(self) -> str:
        """What an operator has to know."""
        ends = datetime.fromtimestamp(self.ends_s, UTC).isoformat(timespec="seconds")
        said = " ".join(str(self.error).split()) or "no more is known"
        return (
            f"the token for {', '.join(self.scopes)} can't be renewed and ends at {ends}: "
            f"{type(self.error).__name__}: {said}"
        )


class TokenFetcher(Protocol):
    """What fetches tokens over connections of its own, which end with its context."""

    async def __aenter__(self) -> "TokenFetcher": ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def get_token(self, *scopes: str) -> AccessToken: ...


class EntraCredential:
    """The credential of all clients of a process. It holds tokens and no connection, so that nobody has to close it.

    `fetcher` makes what fetches a token, DefaultAzureCredential by default, anew for each; `now_s` is the clock. A
    token is given out as long as it is good: one that is about to end is replaced before, and stays while that fails.
    """

    def __init__(
        self, fetcher: Callable[[], TokenFetcher] | None = None, now_s: Callable[[], float] = time.time
    ) -> None:
        self._fetcher = fetcher or _default_fetcher
        self._now_s = now_s
        self._tokens: dict[tuple[str, ...], tuple[AccessToken, float]] = {}
        self._failed: dict[tuple[str, ...], FailedRenewal] = {}

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """A token for `scopes`. Raises ClientAuthenticationError, CredentialUnavailableError where none can be had.

        `options` that ask for another tenant or for claims have no meaning for a managed identity.
        """
        known, fresh_until_s = self._tokens.get(scopes, (None, 0.0))
        now_s = self._now_s()
        if known is not None and now_s < fresh_until_s:
            return known
        try:
            async with self._fetcher() as fetching:
                token = await fetching.get_token(*scopes)
        except Exception as error:
            if known is None:
                raise
            tried_s = self._now_s()
            failed = self._failed[scopes] = FailedRenewal(scopes, error, tried_s, known.expires_on)
            if known.expires_on <= tried_s:
                raise
            again_s = min(now_s + RETRY_S, known.expires_on)
            self._tokens[scopes] = (known, again_s)
            log.warning("%s; it is asked for again in %.0f s", failed.sentence, max(0.0, again_s - tried_s))
            return known
        self._tokens[scopes] = (token, fresh_until(now_s, token.expires_on))
        if self._failed.pop(scopes, None) is not None:
            log.warning("the token for %s is renewed", ", ".join(scopes))
        return token

    def failed_renewals(self) -> list[FailedRenewal]:
        """The tokens whose last renewal failed, of those that were asked for lately."""
        since_s = self._now_s() - EARLY_S
        return [one for one in self._failed.values() if one.tried_s >= since_s]

    async def get_token_info(self, *scopes: str, options: "TokenRequestOptions | None" = None) -> AccessTokenInfo:
        """The same in the form that newer SDKs ask for."""
        token = await self.get_token(*scopes)
        return AccessTokenInfo(token.token, token.expires_on)

    async def close(self) -> None:
        """There is nothing to close: other clients use it too."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        await self.close()


def fresh_until(now_s: float, expires_s: float) -> float:
    """When a token that is fetched now and ends at `expires_s` is to be fetched anew (Unix seconds)."""
    return max(expires_s - EARLY_S, now_s + 0.75 * (expires_s - now_s))


@cache
def entra() -> EntraCredential:
    """Managed identity, environment, or the developer's own `az login`, in that order of the library.

    Raises MissingExtraError without the extra `entra`.
    """
    _check_installed()
    return EntraCredential()


def failed_renewals() -> list[FailedRenewal]:
    """The tokens of this process whose last renewal failed; none where no client uses Entra."""
    return entra().failed_renewals() if entra.cache_info().currsize else []


def _check_installed() -> None:
    # A tenth of a process's start, and not needed where connection strings have keys.
    try:
        import azure.identity.aio  # noqa: F401
    except ModuleNotFoundError as error:
        raise missing_extra("a service without a key", error.name or "azure.identity", "entra") from None


def _default_fetcher() -> TokenFetcher:
    from azure.identity.aio import DefaultAzureCredential

    return DefaultAzureCredential()
