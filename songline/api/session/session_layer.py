"""The layer that makes a browser's session the bearer token of its requests."""

import hmac
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from songline.api.session.cookies import read_cookies
from songline.api.session.session_service import SessionService
from songline.api.session.user_session import UserSession
from songline.identity.caller import RefusalReason
from songline.projections.http.headers import RawHeaders, changing_headers
from songline.projections.http.hosts import SAFE
from songline.projections.http.problems import Problem, answer
from songline.schemas.refusal_note import CSRF, NOTE, RefusalNote, note_of

SESSION_STATE = "session"
"""Where the ASGI state of a request has its UserSession; a visitor's has none."""
CSRF_HEADER = "X-CSRF-Token"
_BEGIN = "http.response.start"


class SessionLayer:
    """Passes requests with a session on with its access token in `Authorization`, as other callers send it.

    A request that has an `Authorization` of its own is not touched. A write by a session needs its CSRF token. Paths of
    `plain` (a folder ends in a slash) are the same for everybody, and get no token: they come while no issuer answers.
    The app's state has `page_sessions`, a SessionService.
    """

    def __init__(self, app: ASGIApp, plain: Sequence[str] = ()) -> None:
        self._app = app
        self._plain = frozenset(plain)
        self._folders = tuple(path for path in plain if path.endswith("/") and path != "/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._is_plain(scope["path"]) or _bears(scope, b"authorization"):
            await self._app(scope, receive, send)
            return
        service: SessionService = scope["app"].state.page_sessions
        cookies = read_cookies(scope["headers"])
        if service.sessions.read(cookies) is None:
            await self._app(scope, receive, send)
            return
        session, changed = await service.current(cookies)
        if session is None:
            await self._app(scope, receive, _with_cookies(send, changed))
            return
        if scope["method"] not in SAFE and not _is_own_page(session, Headers(scope=scope)):
            note_of(scope).reason = CSRF
            detail = (
                f"Saw another {CSRF_HEADER} than that of this session, expected the field csrf of GET /v1/session. "
                "Load the page again, and try again."
            )
            await answer(Problem("Not sent by this page", 403, detail))(scope, receive, _with_cookies(send, changed))
            return
        # What refuses the token says why.
        note = scope.setdefault("state", {}).setdefault(NOTE, RefusalNote())
        if await self._is_answered(scope, receive, _with_cookies(send, changed), session):
            return
        # A key that signs since a moment ago is known in a few seconds, so the browser keeps its session.
        is_over = note.reason != RefusalReason.UNKNOWN_KEY
        note.reason = ""
        # The token is none that this API takes: another issuer, audience or key by now. The browser is a visitor's.
        await self._app(scope, receive, _with_cookies(send, service.sessions.clear() if is_over else changed))

    def _is_plain(self, path: str) -> bool:
        return path in self._plain or path.startswith(self._folders)

    async def _is_answered(self, scope: Scope, receive: Receive, send: Send, session: UserSession) -> bool:
        """Answer by the session; False where a read gets 401 for it, which is not sent then."""
        is_refused = False

        async def sent(message: Message) -> None:
            nonlocal is_refused
            if message["type"] == _BEGIN and message["status"] == 401 and scope["method"] in SAFE:
                is_refused = True
            if not is_refused:
                await send(message)

        bearer = (b"authorization", f"Bearer {session.access_token}".encode("latin-1"))
        # The state stays the request's own: layers before this one read who called.
        scope["state"][SESSION_STATE] = session
        try:
            await self._app({**scope, "headers": [*scope["headers"], bearer]}, receive, sent)
        finally:
            if is_refused:
                del scope["state"][SESSION_STATE]
        return not is_refused


def _bears(scope: Scope, header: bytes) -> bool:
    return any(name == header for name, _ in scope["headers"])


def _is_own_page(session: UserSession, headers: Headers) -> bool:
    shown = headers.getlist(CSRF_HEADER)
    return len(shown) == 1 and hmac.compare_digest(shown[0].encode("latin-1"), session.csrf.encode())


def _with_cookies(send: Send, cookies: Sequence[str]) -> Send:
    """`send`, which adds Set-Cookie to an answer that has none, and keeps it out of shared caches."""

    def change(headers: RawHeaders) -> RawHeaders:
        found = [*headers, (b"vary", b"Cookie")]
        # A sign-in or sign-out that this answers has set its own.
        if cookies and all(name.lower() != b"set-cookie" for name, _ in found):
            found = [(name, value) for name, value in found if name.lower() != b"cache-control"]
            found += [(b"cache-control", b"no-store")]
            found += [(b"set-cookie", one.encode("latin-1")) for one in cookies]
        return found

    return changing_headers(send, change)
