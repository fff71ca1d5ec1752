"""The layers that limit callers: how many requests they send, how much they upload, and how many streams they have.

A caller is the subject of their token; without a token, the address that the request came from. Each event of a batch
counts as a request.

The headers are those of draft-ietf-httpapi-ratelimit-headers-10, RateLimit-Policy and RateLimit, and the three of its
earlier versions.
"""

import re
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from songline.api.caller_table import CallerTable, TooManyStreamsError
from songline.api.limit_settings import REQUESTS, SERVICE_REQUESTS, STREAMS, LimitSettings
from songline.api.operations import OPERATIONS
from songline.api.rate_bucket import BucketPolicy, Drawn
from songline.api.upload_bytes import QUOTA, UploadBytes
from songline.identity.scopes import SERVICES
from songline.identity.scopes import Scope as TokenScope
from songline.producers.http.byte_charge import BYTES
from songline.producers.http.event_charge import CHARGE
from songline.producers.http.problems import RequestDeclinedError
from songline.projections.http.headers import changing_headers
from songline.projections.http.problems import Problem, answer
from songline.schemas.permission import CALLER
from songline.schemas.refusal_note import REQUESTS as REFUSED_REQUESTS
from songline.schemas.refusal_note import STREAMS as REFUSED_STREAMS
from songline.schemas.refusal_note import note_of

TITLE = "Too many requests"
STREAM_RETRY_S = 5
SERVICE_STREAMS = 100
"""A service follows for many listeners, and may not keep all others out: a process serves some hundred streams."""
_UNLIMITED = re.compile(r"/(health|assets|docs/assets)/")
_STREAMS = [re.sub(r"\{\w+\}", "[^/]+", path) for (_, path), operation in OPERATIONS.items() if operation.is_stream]
UPLOADS = {key for key, operation in OPERATIONS.items() if operation.is_upload}
STREAM_PATHS = re.compile(f"({'|'.join(_STREAMS)})/?")


class CallerLimits:
    """Limits the requests and streams of callers. It stands behind the layer that finds out who calls.

    Where `is_open`, nobody is asked for a token: every address is what a service is then. `uploaded` has the bytes of
    files of each caller. `steady` gives seconds.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: LimitSettings,
        table: CallerTable,
        uploaded: CallerTable,
        is_open: bool,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app, self._settings, self._table, self._is_open, self._steady = app, settings, table, is_open, steady
        self._uploaded = uploaded

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _UNLIMITED.match(scope["path"]):
            await self._app(scope, receive, send)
            return
        is_service = self._is_open or _is_service(scope)
        policy = self._settings.service if is_service else self._settings.caller
        name = self._settings.callers.of(scope) or "callers without an address"
        day = self._settings.upload_bytes
        if day is not None and (scope["method"], scope["path"]) in UPLOADS and not _is_operator(scope):
            allowance = UploadBytes(scope, self._uploaded, name, day, self._steady)
            scope.setdefault("state", {})[BYTES] = allowance
            send = _with_bytes(send, allowance)
        if policy is not None:
            account = _Account(self._table, name, policy, self._steady)
            send = account.sending(send)
            if not account.drawn.allowed:
                note_of(scope).reason = REFUSED_REQUESTS
                await _refusal(name, policy, account.drawn, is_service)(scope, receive, send)
                return
            scope.setdefault("state", {})[CHARGE] = partial(account.charge, scope, is_service=is_service)
        if scope["method"] != "GET" or not STREAM_PATHS.fullmatch(scope["path"]):
            await self._app(scope, receive, send)
            return
        most = max(self._settings.streams, SERVICE_STREAMS) if is_service else self._settings.streams
        try:
            with self._table.streaming(name, most):
                await self._app(scope, receive, send)
        except TooManyStreamsError:
            note_of(scope).reason = REFUSED_STREAMS
            await _no_stream(name, most)(scope, receive, send)


class _Account:
    """What a request takes out of the bucket of its caller: one when it comes, and more where it costs more."""

    def __init__(self, table: CallerTable, name: str, policy: BucketPolicy, steady: Callable[[], float]) -> None:
        self._table, self._name, self._policy, self._steady = table, name, policy, steady
        self.drawn = table.draw(name, policy, steady())

    def charge(self, scope: Scope, requests: int, *, is_service: bool) -> None:
        """Raises RequestDeclinedError where the caller owes requests already."""
        self.drawn = self._table.owe(self._name, self._policy, self._steady(), requests)
        if not self.drawn.allowed:
            note_of(scope).reason = REFUSED_REQUESTS
            detail = _detail(self._name, self._policy, is_service)
            raise RequestDeclinedError(429, TITLE, detail, max(1, self.drawn.next_s))

    def sending(self, send: Send) -> Send:
        """`send`, which adds to the answer what the caller has left by then."""
        return changing_headers(send, lambda others: [*others, *_headers(self._policy, self.drawn)])


class FailedTokenLimits:
    """Counts requests whose token is refused against their address. It stands before the layer that checks tokens, and
    answers 429 in place of 401 once the address has sent too many; good tokens from there go on."""

    def __init__(
        self, app: ASGIApp, settings: LimitSettings, table: CallerTable, steady: Callable[[], float] = time.monotonic
    ) -> None:
        self._app, self._settings, self._table, self._steady = app, settings, table, steady

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        policy = self._settings.caller
        if scope["type"] != "http" or policy is None:
            await self._app(scope, receive, send)
            return
        refused: Response | None = None

        async def counted(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start" and message["status"] == 401:
                name = self._settings.callers.address_of(scope) or "callers without an address"
                drawn = self._table.draw(name, policy, self._steady())
                if drawn.allowed:
                    await _with_headers(send, policy, drawn)(message)
                    return
                refused = _refusal(name, policy, drawn, is_service=False)
                await refused(scope, receive, _with_headers(send, policy, drawn))
            elif refused is None:
                await send(message)

        await self._app(scope, receive, counted)


def _is_service(scope: Scope) -> bool:
    caller: Any = scope.get("state", {}).get(CALLER)
    return caller is not None and any(caller.may(one) for one in SERVICES)


def _is_operator(scope: Scope) -> bool:
    caller: Any = scope.get("state", {}).get(CALLER)
    return caller is not None and caller.may(TokenScope.ADMIN)


def _with_bytes(send: Send, allowance: UploadBytes) -> Send:
    """`send`, which adds to the answer what the caller may upload by then."""

    def added(others: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        policy, drawn = allowance.policy, allowance.drawn
        return [
            *others,
            (b"ratelimit-policy", f'"{QUOTA}";q={policy.burst};w={policy.window_s}'.encode()),
            (b"ratelimit", f'"{QUOTA}";r={drawn.remaining};t={drawn.next_s}'.encode()),
        ]

    return changing_headers(send, added)


def _with_headers(send: Send, policy: BucketPolicy, drawn: Drawn) -> Send:
    """`send`, which adds to the answer what the caller has left."""
    return changing_headers(send, lambda others: [*others, *_headers(policy, drawn)])


def _headers(policy: BucketPolicy, drawn: Drawn) -> list[tuple[bytes, bytes]]:
    return [
        (b"ratelimit-policy", b'"requests";q=%d;w=%d' % (policy.burst, policy.window_s)),
        (b"ratelimit", b'"requests";r=%d;t=%d' % (drawn.remaining, drawn.next_s)),
        (b"ratelimit-limit", b"%d" % policy.burst),
        (b"ratelimit-remaining", b"%d" % drawn.remaining),
        (b"ratelimit-reset", b"%d" % drawn.reset_s),
    ]


def _refusal(name: str, policy: BucketPolicy, drawn: Drawn, is_service: bool) -> Response:
    return answer(Problem(TITLE, 429, _detail(name, policy, is_service)), max(1, drawn.next_s))


def _detail(name: str, policy: BucketPolicy, is_service: bool) -> str:
    return (
        f"{name}: saw more than {policy.per_s:g} requests a second, expected so many at most, or {policy.burst} at "
        "once after a pause; each event of a batch counts as a request. Ask again later; "
        f"{SERVICE_REQUESTS if is_service else REQUESTS} sets the limit."
    )


def _no_stream(name: str, most: int) -> Response:
    detail = (
        f"{name}: saw a stream beside {most} others, expected {most} at most. Close one, or follow several charts "
        f"by one stream; {STREAMS} sets the limit."
    )
    return answer(Problem("Too many streams", 429, detail), STREAM_RETRY_S)
