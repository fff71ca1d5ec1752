"""The layer that asks for bearer tokens: who calls, and whether they may do what the request asks for.

It reads the header `Authorization` and nothing else (RFC 6750, section 2.1). What it finds is in the request's state:
`caller` is a Caller, or None where nobody has to say who they are; `permission` is a Permission, for operations that
find out for themselves which listener a request is about.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from functools import cache

from fastapi import APIRouter, FastAPI
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from songline.api.guard_settings import GuardSettings
from songline.api.issuer_http import issuer_http
from songline.api.operation_matcher import MatchedOperation, OperationMatcher
from songline.api.operations import OPERATIONS, Group, SubjectRule
from songline.api.refusals import refusal, refused_caller
from songline.identity.caller import Caller, CallerRefusal, RefusalReason, needs
from songline.identity.scopes import SERVICES
from songline.identity.scopes import Scope as TokenScope
from songline.identity.verifier import TokenVerifier
from songline.projections.http.headers import changing_headers
from songline.schemas.permission import CALLER, NOBODYS, STATE, NotPermittedError, Permission
from songline.schemas.refusal_note import ANOTHERS, LISTENER, NOBODY, SERVICE, note_of

_OVER = b": the token is over\n\n"


class Guard:
    """Passes a request on to `app` if its caller may send it, and refuses it otherwise.

    `opened` are the groups of operations that need no token. The app's state has `verifier`, a TokenVerifier.
    """

    def __init__(
        self,
        app: ASGIApp,
        matcher: OperationMatcher,
        opened: frozenset[Group],
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._app, self._matcher, self._opened, self._now_s = app, matcher, opened, now_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            # There is no route for anything else, and none is to come in unseen.
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope.get("root_path"):
            raise RuntimeError(f"saw the root path {scope['root_path']!r}: operations are known by their whole path")
        state = scope.setdefault("state", {})
        # An operation that asks for a permission which the table does not give it is refused, and not open.
        state[CALLER], state[STATE] = None, NOBODYS
        matched = self._matcher.match(scope["method"], scope["path"])
        note = note_of(scope)
        note.operation = "" if matched is None else matched.name
        if matched is None or matched.operation.is_unchecked or matched.operation.is_of_players:
            await self._app(scope, receive, send)
            return
        is_open = matched.operation.is_open or matched.operation.group in self._opened
        caller = await _caller(scope, is_open)
        refused = caller if isinstance(caller, CallerRefusal) else None
        note.caller = _kind(caller)
        # Also of one that is refused here: it counts against its caller.
        state[CALLER] = caller if isinstance(caller, Caller) else None
        if isinstance(caller, Caller) and not is_open:
            refused = needs(caller, *matched.operation.scopes) if matched.operation.scopes else None
        if refused is not None:
            note.reason = refused.reason
            await refused_caller(refused)(scope, receive, send)
            return
        try:
            if isinstance(caller, Caller) and matched.operation.subject is not None:
                state[STATE] = _permission(caller, matched)
        except NotPermittedError as error:
            note.reason = ANOTHERS
            await refusal(error)(scope, receive, send)
            return
        if scope["method"] == "GET" and not is_open:
            send = _as_private(send)
        if isinstance(caller, Caller) and matched.operation.is_stream:
            await self._until(caller.expires_s - self._now_s(), scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _until(self, left_s: float, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the answer last for `left_s` seconds: nobody is let on by a token that is over."""
        is_begun = False

        async def begun(message: Message) -> None:
            nonlocal is_begun
            is_begun = True
            await send(message)

        try:
            async with asyncio.timeout(left_s) as limit:
                await self._app(scope, receive, begun)
        except TimeoutError:
            if not limit.expired():
                raise
            if is_begun:
                await send({"type": "http.response.body", "body": _OVER})
            else:
                await refused_caller(CallerRefusal(RefusalReason.EXPIRED))(scope, receive, send)


async def _caller(scope: Scope, is_open: bool) -> Caller | CallerRefusal | None:
    shown = [value for name, value in scope["headers"] if name == b"authorization"]
    if not shown and is_open:
        return None
    if len(shown) > 1:
        # A proxy in front may have read another one.
        return CallerRefusal(RefusalReason.MALFORMED)
    verifier: TokenVerifier = scope["app"].state.verifier
    return await verifier.verify(shown[0].decode("latin-1") if shown else None)


def _kind(caller: Caller | CallerRefusal | None) -> str:
    """The kind of caller that is counted."""
    if not isinstance(caller, Caller):
        return NOBODY
    return SERVICE if any(caller.may(one) for one in SERVICES) else LISTENER


def _permission(caller: Caller, matched: MatchedOperation) -> Permission:
    """What the caller may do in an operation that has a subject; raises NotPermittedError for another's path."""
    operation = matched.operation
    own, wider = operation.scopes
    permission = Permission(caller.subject, caller.may(own), caller.may(wider), wider, _challenge(wider))
    if operation.subject is SubjectRule.PATH:
        permission.check("userId", matched.parameters["user_id"])
    return permission


@cache
def _challenge(scope: TokenScope) -> str:
    return CallerRefusal(RefusalReason.SCOPE, (scope,)).challenge or ""


def _as_private(send: Send) -> Send:
    """`send`, which says of an answer that no shared cache may keep it (RFC 9111, section 5.2.2.7)."""

    return changing_headers(send, private)


def private(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers of an answer that depends on its caller."""
    kept, caching, varying = list[tuple[bytes, bytes]](), list[bytes](), list[bytes]()
    for name, value in headers:
        match name.lower():
            case b"cache-control":
                caching += [one.strip() for one in value.split(b",")]
            case b"vary":
                varying += [one.strip() for one in value.split(b",")]
            case _:
                kept.append((name, value))
    directives = [one for one in caching if one.lower() not in (b"public", b"private") and one]
    if b"no-store" not in directives:
        directives.insert(0, b"private")
    return [*kept, (b"cache-control", b", ".join(directives)), (b"vary", b", ".join([*varying, b"Authorization"]))]


def layer(app: FastAPI, settings: GuardSettings) -> Middleware:
    """The guard of `app`, which has all its routes by now. Raises UnknownOperationError."""
    matcher = OperationMatcher(app.routes, OPERATIONS)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with issuer_http() as http:
            app.state.verifier = TokenVerifier(settings.verifier, http)
            try:
                yield
            finally:
                await app.state.verifier.close()

    app.include_router(APIRouter(lifespan=lifespan))
    return Middleware(Guard, matcher=matcher, opened=settings.open)
