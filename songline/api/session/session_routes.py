"""The operations of the page's sign-in: `/v1/session` and what is below it."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from fastapi import FastAPI, Request
from fastapi.routing import APIRoute
from starlette.responses import RedirectResponse, Response

from songline.api.session import paths
from songline.api.session.cookies import read_cookies
from songline.api.session.failure_page import failure_page
from songline.api.session.issuer_client import IssuerAwayError
from songline.api.session.session_layer import SESSION_STATE
from songline.api.session.session_service import SessionService
from songline.api.session.sign_in import HOME, SignInFailure, safe_return
from songline.api.session.user_session import UserSession
from songline.identity.scopes import Scope
from songline.identity.settings import is_loopback
from songline.projections.http import openapi
from songline.projections.http.responses import plain
from songline.schemas.session import SessionAnswer

NO_STORE = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
_SIGNED_OUT: dict[int | str, dict[str, Any]] = {204: {"description": "Signed out; the cookies are cleared"}}


def routes(app: FastAPI, opened: Sequence[str] | None) -> None:
    """Add the routes. `opened` are the groups of operations that need no token, None where the API asks for none.

    The app's state has `page_sessions`, a SessionService, None where nobody can sign in.
    """

    @app.get(
        paths.SESSION, summary="Who uses the page, and what they may do", responses=openapi.answers("SessionAnswer")
    )
    async def session(request: Request) -> Response:
        """For the page. A visitor gets an answer too, without a subject."""
        found = _session(request)
        return plain(
            SessionAnswer(
                sign_in=_service(request) is not None,
                subject=None if found is None else found.subject,
                scopes=tuple(Scope) if opened is None else () if found is None else found.scopes,
                open=tuple(opened or ()),
                csrf=None if found is None else found.csrf,
            )
        )

    @app.post(paths.SIGN_OUT, status_code=204, summary="Sign out of the page", responses=_SIGNED_OUT)
    async def sign_out(request: Request) -> Response:
        """End the session of the request's cookie, and revoke its refresh token. Needs `X-CSRF-Token`."""
        service = _service(request)
        cookies = [] if service is None else await service.end(_session(request))
        return _with_cookies(Response(status_code=204, headers=NO_STORE), cookies)

    async def sign_in(request: Request) -> Response:
        service = _service(request)
        if service is None:
            return failure_page(SignInFailure.NOT_OFFERED)
        return_to = request.query_params.get("return")
        if elsewhere := _elsewhere(service.settings.url, request.headers.get("host", "")):
            # The browser is known to one name by its cookies, and comes back under that of the redirect URI.
            address = f"{elsewhere}{paths.SIGN_IN}?return={quote(safe_return(return_to), safe='/')}"
            return RedirectResponse(address, 303, NO_STORE)
        try:
            begun = await service.begin(return_to)
        except IssuerAwayError:
            return failure_page(SignInFailure.ISSUER_AWAY)
        return _with_cookies(RedirectResponse(begun.address, 303, NO_STORE), begun.cookies)

    async def callback(request: Request) -> Response:
        service = _service(request)
        if service is None:
            return failure_page(SignInFailure.NOT_OFFERED)
        done = await service.complete(request.query_params.multi_items(), read_cookies(request.scope["headers"]))
        if done is SignInFailure.NOT_BEGUN and _session(request) is not None:
            # Back in the history of a browser that has signed in.
            return RedirectResponse(HOME, 303, NO_STORE)
        if isinstance(done, SignInFailure):
            return failure_page(done, service.sign_ins.clear() if done.ends_sign_in else ())
        return _with_cookies(RedirectResponse(done.return_to, 303, NO_STORE), done.cookies)

    # Browsers come here with parameters that this API does not know: issuers add some of their own.
    for path, answer in ((paths.SIGN_IN, sign_in), (paths.CALLBACK, callback)):
        app.router.routes.append(APIRoute(path, answer, methods=["GET"], include_in_schema=False))


def _service(request: Request) -> SessionService | None:
    found: SessionService | None = request.app.state.page_sessions
    return found


def _session(request: Request) -> UserSession | None:
    found: UserSession | None = request.scope.get("state", {}).get(SESSION_STATE)
    return found


def _elsewhere(url: str, host: str) -> str | None:
    """The API's own address, where a request on this machine came by another name of this machine."""
    own, seen = urlsplit(url), urlsplit(f"//{host}")
    try:
        is_other = seen.hostname != own.hostname and seen.port == own.port
    except ValueError:
        return None
    return url if is_other and is_loopback(own.hostname or "") and is_loopback(seen.hostname or "") else None


def _with_cookies(answer: Response, cookies: Sequence[str]) -> Response:
    for one in cookies:
        answer.headers.append("Set-Cookie", one)
    return answer
