"""The issuer's HTTP interface."""

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from localcloud.identity import discovery, sign_in_page
from localcloud.identity.authorization_codes import AuthorizationGrant
from localcloud.identity.authorization_request import ReturnAddress, read_request, read_return
from localcloud.identity.config import NAME_PATTERN, IdentityConfig
from localcloud.identity.errors import OAuthError, UnknownReturnError, seen
from localcloud.identity.parameters import MAX_BODY_BYTES, Parameters, read_parameters
from localcloud.identity.token_endpoint import TokenEndpoint, new_secret
from localcloud.origin import OwnOrigin

logger = logging.getLogger(__name__)

FORM = "application/x-www-form-urlencoded"
SIGN_IN = "/sign-in"
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_NAME = re.compile(NAME_PATTERN)


def create(
    folder: Path, config: IdentityConfig, issuer: Callable[[], str], now_s: Callable[[], float]
) -> tuple[Starlette, TokenEndpoint]:
    """The app, and what makes its tokens. Raises IdentityStateError and OSError."""
    tokens = TokenEndpoint(folder, config, issuer=issuer, now_s=now_s)
    pages = _SignIn(config, tokens, issuer, now_s)

    async def described(request: Request) -> Response:
        return JSONResponse(discovery.metadata(issuer(), config))

    async def keys(request: Request) -> Response:
        try:
            return JSONResponse(tokens.keys.public(now_s()))
        except OSError as error:
            return _unwritten(error)

    async def token(request: Request) -> Response:
        return await _posted(request, lambda header, form: JSONResponse(tokens.answer(header, form), headers=NO_STORE))

    async def revoke(request: Request) -> Response:
        def revoked(header: str | None, form: Parameters) -> Response:
            tokens.revoke(header, form)
            return Response(headers=NO_STORE)

        return await _posted(request, revoked)

    routes = [
        Route("/.well-known/openid-configuration", described),
        Route("/.well-known/oauth-authorization-server", described),
        Route(discovery.JWKS, keys),
        Route(discovery.AUTHORIZE, pages.ask, methods=["GET", "POST"]),
        Route(SIGN_IN, pages.signed_in, methods=["POST"]),
        Route(discovery.TOKEN, token, methods=["POST"]),
        Route(discovery.REVOKE, revoke, methods=["POST"]),
    ]
    return Starlette(routes=routes, middleware=[Middleware(OwnOrigin)]), tokens


class _SignIn:
    """The authorization endpoint and its page. The page carries the whole request, so nothing is kept for it."""

    def __init__(
        self, config: IdentityConfig, tokens: TokenEndpoint, issuer: Callable[[], str], now_s: Callable[[], float]
    ) -> None:
        self._config = config
        self._tokens = tokens
        self._issuer = issuer
        self._now_s = now_s

    async def ask(self, request: Request) -> Response:
        return await self._answered(request, None)

    async def signed_in(self, request: Request) -> Response:
        try:
            form = read_parameters(await _body(request))
        except OAuthError as error:
            return _page(sign_in_page.refusal_page(error.description), error.status)
        return await self._answered(request, form)

    async def _answered(self, request: Request, form: Parameters | None) -> Response:
        """The page; or with a `form` of it, the way back to the client."""
        try:
            # What the page was made of stays in the query of its form's address.
            posted = form is None and request.method == "POST"
            parameters = read_parameters(await _body(request) if posted else request.url.query)
            back = read_return(self._config.clients, parameters)
        except OAuthError as error:
            return _page(sign_in_page.refusal_page(error.description), error.status)
        except UnknownReturnError as error:
            return _page(sign_in_page.refusal_page(str(error)), 400)
        try:
            asked = read_request(back.client, parameters)
            if form is None:
                action = f"{SIGN_IN}?{urlencode(parameters)}"
                shown = sign_in_page.page(action, back.client.client_id, asked.scopes, self._config.users, asked.hint)
                return _page(shown, 200, back.redirect_uri)
            if "cancel" in form:
                raise OAuthError("access_denied", "the user cancelled")
        except OAuthError as error:
            return self._to(back, {"error": error.code, "error_description": error.description})
        user = form.get("user", "").strip()
        if not _NAME.fullmatch(user):
            return _page(sign_in_page.refusal_page(f"user: saw {seen(user)}, expected {NAME_PATTERN}"), 400)
        grant = AuthorizationGrant(
            back.client.client_id,
            back.redirect_uri,
            user,
            asked.scopes,
            asked.challenge,
            asked.nonce,
            self._now_s(),
            family=new_secret(),
        )
        return self._to(back, {"code": self._tokens.codes.issue(grant)})

    def _to(self, back: ReturnAddress, answer: dict[str, str]) -> Response:
        # 303: a browser that sent a form asks for the next page, and does not send the form on.
        return RedirectResponse(back.to(self._issuer(), answer), 303, sign_in_page.headers(back.redirect_uri))


async def _posted(request: Request, answer: Callable[[str | None, Parameters], Response]) -> Response:
    try:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
            raise OAuthError("invalid_request", f"Content-Type: expected {FORM}")
        return answer(request.headers.get("authorization"), read_parameters(await _body(request)))
    except OAuthError as error:
        logger.info("refused: %s", error)
        return _refusal(error)
    except OSError as error:
        return _unwritten(error)


async def _body(request: Request) -> str:
    """The body of a form. Raises OAuthError for one that is too large or no text."""
    parts = bytearray()
    async for part in request.stream():
        parts += part
        if len(parts) > MAX_BODY_BYTES:
            raise OAuthError("invalid_request", f"the body is too large; expected at most {MAX_BODY_BYTES} bytes", 413)
    try:
        return parts.decode("utf-8")
    except UnicodeDecodeError:
        raise OAuthError("invalid_request", "the body is no text; expected UTF-8, percent-encoded") from None


def _refusal(error: OAuthError) -> Response:
    headers = dict(NO_STORE)
    if error.status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="localcloud"'
    content: dict[str, Any] = {"error": error.code, "error_description": error.description}
    return JSONResponse(content, error.status, headers)


def _unwritten(error: OSError) -> Response:
    logger.error("the issuer can't write %s: %s", error.filename, error.strerror)
    return _refusal(OAuthError("temporarily_unavailable", "what belongs to a token could not be written", 503))


def _page(content: str, status: int, redirect_uri: str | None = None) -> Response:
    return HTMLResponse(content, status, sign_in_page.headers(redirect_uri))
