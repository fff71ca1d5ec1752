"""Checks the tokens that callers show, with the issuer's keys, which it gets and keeps."""

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import httpx
import jwt

from songline.identity.caller import Caller, CallerRefusal, RefusalReason
from songline.identity.discovery import DiscoveryError, discovery_address, read_metadata
from songline.identity.key_cache import KeyCache
from songline.identity.key_set import KeySet, KeySetError, read_key_set
from songline.identity.settings import VerifierSettings
from songline.identity.token_cache import CachedToken, TokenCache
from songline.identity.token_check import check_token, read_bearer, read_header

logger = logging.getLogger(__name__)

MAX_ANSWER_BYTES = 1_000_000
ANSWER_S = 30
"""An issuer has so long to tell its keys. The client's own deadline is for each part of an answer."""


class TokenVerifier:
    """Says who calls. `http` belongs to the caller, who closes it; `now_s` is the clock (unix seconds)."""

    def __init__(
        self, settings: VerifierSettings, http: httpx.AsyncClient, now_s: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings
        self._http = http
        self._now_s = now_s
        self._cache = KeyCache()
        self._tokens = TokenCache()
        self._renewal: asyncio.Task[None] | None = None

    async def verify(self, authorization: str | None) -> Caller | CallerRefusal:
        """Who sends a request with this Authorization header; never raises for what the header or the issuer says."""
        token = read_bearer(authorization)
        if isinstance(token, CallerRefusal):
            return token
        if (known := self._tokens.find(token, self._now_s())) is not None:
            key = await self._key(known.kid)
            # A key that has another value by now is another object: what the withdrawn one signed is checked again.
            if key is known.key:
                return known.caller
        header = read_header(token)
        if isinstance(header, CallerRefusal):
            return header
        key = await self._key(header.kid)
        if isinstance(key, CallerRefusal):
            return key
        found = check_token(token, header, key, self._settings, self._now_s())
        if isinstance(found, Caller):
            self._tokens.remember(token, CachedToken(found, header.kid, key))
        return found

    def keys_age_s(self) -> float | None:
        """Seconds since the issuer's keys were read last; None where they never were."""
        return None if self._cache.read_s is None else max(0.0, self._now_s() - self._cache.read_s)

    def is_usable(self) -> bool:
        """Whether tokens can be checked by the keys that are known."""
        return self._cache.is_usable(self._now_s())

    def has_failed(self) -> bool:
        """Whether the issuer did not answer when it was asked for keys last."""
        return self._cache.failed

    async def close(self) -> None:
        """End what runs in the background."""
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.wait([self._renewal])

    async def _key(self, kid: str) -> jwt.PyJWK | CallerRefusal:
        if self._cache.is_due(kid, self._now_s()):
            renewal = self._renewing()
            # Nobody waits for an issuer to confirm a key that is known.
            if kid not in self._cache.keys or not self._cache.is_usable(self._now_s()):
                await asyncio.wait([renewal])
        cache = self._cache
        if not cache.is_usable(self._now_s()):
            return CallerRefusal(RefusalReason.ISSUER_UNAVAILABLE)
        unknown = RefusalReason.ISSUER_UNAVAILABLE if cache.failed else RefusalReason.UNKNOWN_KEY
        return cache.keys.get(kid) or CallerRefusal(unknown)

    def _renewing(self) -> asyncio.Task[None]:
        """The one read of keys that is under way. It goes on when a request that waits for it is given up."""
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.create_task(self._renew())
        return self._renewal

    async def _renew(self) -> None:
        self._cache = await self._asked()

    async def _asked(self) -> KeyCache:
        try:
            async with asyncio.timeout(ANSWER_S):
                keys = await self._read()
        except (httpx.HTTPError, httpx.InvalidURL, DiscoveryError, KeySetError, TimeoutError) as error:
            logger.warning(
                "the keys of %s can't be read: %s", self._settings.issuer, str(error) or type(error).__name__
            )
            return self._cache.after_failure(self._now_s())
        return self._cache.after_answer(keys, self._now_s())

    async def _read(self) -> KeySet:
        address = self._settings.jwks
        if address is None:
            body = await self._get(discovery_address(self._settings.issuer))
            address = read_metadata(self._settings.issuer, body).jwks_uri
        if address.startswith("file:"):
            return read_key_set(await asyncio.to_thread(_file_content, address))
        return read_key_set(await self._get(address))

    async def _get(self, url: str) -> bytes:
        """The body of an answer; raises httpx.HTTPError, and KeySetError for one that does not end."""
        # No redirects: their sender would choose the keys.
        async with self._http.stream("GET", url, follow_redirects=False) as answer:
            if answer.status_code != 200:
                raise KeySetError(f"{url} answered {answer.status_code}")
            body = bytearray()
            async for part in answer.aiter_bytes():
                body += part
                if len(body) > MAX_ANSWER_BYTES:
                    raise KeySetError(f"{url} answered more than {MAX_ANSWER_BYTES} bytes")
            return bytes(body)


def _file_content(address: str) -> bytes:
    """Raises KeySetError."""
    path = url2pathname(urlsplit(address).path)
    try:
        with Path(path).open("rb") as file:
            return file.read(MAX_ANSWER_BYTES)
    except OSError as error:
        raise KeySetError(f"{path}: {error.strerror}") from None
