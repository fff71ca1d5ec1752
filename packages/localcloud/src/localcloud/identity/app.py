"""The issuer's HTTP interface."""

import logging
from collections.abc import Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from localcloud.entra.tokens import EntraTokens
from localcloud.identity import discovery, managed_identity_endpoint
from localcloud.identity.config import IdentityConfig
from localcloud.identity.errors import OAuthError
from localcloud.identity.http_answers import NO_STORE, read_body, refusal, unwritten
from localcloud.identity.managed_identity_endpoint import ManagedIdentityEndpoint
from localcloud.identity.parameters import Parameters, read_parameters
from localcloud.identity.sign_in import SIGN_IN, SignInEndpoints
from localcloud.identity.token_endpoint import TokenEndpoint
from localcloud.identity.trusted_browsers import TrustedBrowsers
from localcloud.origin import OwnOrigin

logger = logging.getLogger(__name__)

FORM = "application/x-www-form-urlencoded"


def create(
    folder: Path, config: IdentityConfig, issuer: Callable[[], str], now_s: Callable[[], float]
) -> tuple[Starlette, TokenEndpoint, EntraTokens]:
    """The app, and what makes its tokens. Raises IdentityStateError and OSError."""
    tokens = TokenEndpoint(folder, config, issuer=issuer, now_s=now_s)
    entra = EntraTokens(config.managed_identities, tokens.keys.current, tokens.keys.public, config.token_s)
    managed = ManagedIdentityEndpoint(folder, config.managed_identities, entra, now_s)
    pages = SignInEndpoints(config, tokens, TrustedBrowsers(folder), issuer, now_s)

    async def described(request: Request) -> Response:
        return JSONResponse(discovery.metadata(issuer(), config))

    async def keys(request: Request) -> Response:
        try:
            return JSONResponse(tokens.keys.public(now_s()))
        except OSError as error:
            return unwritten(error)

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
        Route(discovery.TRUST, pages.trust),
        Route(discovery.TOKEN, token, methods=["POST"]),
        Route(discovery.REVOKE, revoke, methods=["POST"]),
        Route(managed_identity_endpoint.PATH, managed.answer),
    ]
    return Starlette(routes=routes, middleware=[Middleware(OwnOrigin)]), tokens, entra


async def _posted(request: Request, answer: Callable[[str | None, Parameters], Response]) -> Response:
    try:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
            raise OAuthError("invalid_request", f"Content-Type: expected {FORM}")
        return answer(request.headers.get("authorization"), read_parameters(await read_body(request)))
    except OAuthError as error:
        logger.info("refused: %s", error)
        return refusal(error)
    except OSError as error:
        return unwritten(error)
