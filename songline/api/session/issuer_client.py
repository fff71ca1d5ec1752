"""The issuer's endpoints, for the page's client: tokens for codes, new tokens for old ones, revocation."""

import asyncio
from collections.abc import Callable, Mapping

import httpx

from songline.api.session.settings import PageSettings
from songline.api.session.token_grants import GrantedTokens, read_tokens
from songline.identity.discovery import DiscoveryError, IssuerMetadata, discovery_address, read_metadata
from songline.identity.grant_refusal import read_refusal

METADATA_S = 3_600
ANSWER_S = 20
MAX_ANSWER_BYTES = 1_000_000


class IssuerAwayError(Exception):
    """The issuer does not answer, or says that it can't now. The message names the address."""


class GrantRefusedError(Exception):
    """The issuer refuses a grant. `code` is the error of RFC 6749, section 5.2."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(f"{code}: {description}")
        self.code = code


class IssuerClient:
    """Asks the issuer. `http` belongs to the caller; `now_s` is the clock (unix seconds).

    Everything may raise IssuerAwayError.
    """

    def __init__(self, settings: PageSettings, http: httpx.AsyncClient, now_s: Callable[[], float]) -> None:
        self._settings = settings
        self._http = http
        self._now_s = now_s
        self._metadata: IssuerMetadata | None = None
        self._read_s = 0.0

    async def metadata(self) -> IssuerMetadata:
        """What the issuer says of itself, an hour old at most."""
        known, now_s = self._metadata, self._now_s()
        if known is None or not 0 <= now_s - self._read_s < METADATA_S:
            issuer = self._settings.verifying.issuer
            status, body = await self._send("GET", discovery_address(issuer))
            try:
                if status != 200:
                    raise DiscoveryError(f"{discovery_address(issuer)} answered {status}")
                known = read_metadata(issuer, body)
            except DiscoveryError as error:
                raise IssuerAwayError(str(error)) from None
            self._metadata, self._read_s = known, now_s
        return known

    async def redeem(self, code: str, verifier: str) -> GrantedTokens:
        """The tokens for a code. Raises GrantRefusedError and UnfitTokensError."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": self._settings.redirect_uri}
        return await self._tokens({**form, "code_verifier": verifier})

    async def renew(self, refresh_token: str) -> GrantedTokens:
        """New tokens for the refresh token. Raises GrantRefusedError and UnfitTokensError."""
        return await self._tokens({"grant_type": "refresh_token", "refresh_token": refresh_token})

    async def revoke(self, refresh_token: str) -> bool:
        """End the refresh token; False where the issuer does not know how to. Raises GrantRefusedError."""
        endpoint = (await self.metadata()).revocation_endpoint
        if endpoint is None:
            return False
        status, body = await self._post(endpoint, {"token": refresh_token, "token_type_hint": "refresh_token"})
        if status != 200:
            raise _refused(endpoint, status, body)
        return True

    async def _tokens(self, form: Mapping[str, str]) -> GrantedTokens:
        endpoint = (await self.metadata()).token_endpoint
        if endpoint is None:
            raise IssuerAwayError(f"{discovery_address(self._settings.verifying.issuer)} names no token_endpoint")
        status, body = await self._post(endpoint, form)
        if status != 200:
            raise _refused(endpoint, status, body)
        return read_tokens(body)

    async def _post(self, url: str, form: Mapping[str, str]) -> tuple[int, bytes]:
        client = {"client_id": self._settings.client_id, "client_secret": self._settings.secret.reveal()}
        return await self._send("POST", url, {**form, **client})

    async def _send(self, method: str, url: str, form: Mapping[str, str] | None = None) -> tuple[int, bytes]:
        try:
            # The client's own deadline is for each part of an answer.
            async with asyncio.timeout(ANSWER_S), self._http.stream(method, url, data=form) as answer:
                body = bytearray()
                async for part in answer.aiter_bytes():
                    body += part
                    if len(body) > MAX_ANSWER_BYTES:
                        raise IssuerAwayError(f"{url} answered more than {MAX_ANSWER_BYTES} bytes")
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise IssuerAwayError(f"{url} can't be reached: {str(error) or type(error).__name__}") from None
        if answer.status_code >= 500 or answer.status_code == 429:
            raise IssuerAwayError(f"{url} answered {answer.status_code}")
        return answer.status_code, bytes(body)


def _refused(url: str, status: int, body: bytes) -> GrantRefusedError:
    found = read_refusal(body)
    if found is None:
        return GrantRefusedError("invalid_answer", f"{url} answered {status}")
    return GrantRefusedError(found.error, found.error_description)
