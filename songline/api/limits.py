"""The layers that limit callers: how many requests they send, how much they upload, and how many streams they have.

A caller is the subject of their token; without a token, the address that the request came from. Each event of a batch
counts as a request. What is refused before it comes here is counted by RefusedLimits.
"""

import re
from collections.abc import Iterable
from functools import partial
from typing import Any

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from songline.api.caller_table import CallerTable, TooManyStreamsError
from songline.api.limit_settings import STREAMS
from songline.api.operations import OPERATIONS
from songline.api.refusals import refusal
from songline.api.request_account import UNCOUNTED, RequestAccounts
from songline.api.upload_bytes import QUOTA, UploadBytes
from songline.identity.scopes import Scope as TokenScope
from songline.producers.http.byte_charge import BYTES
from songline.producers.http.caller_admission import ADMISSION
from songline.producers.http.event_charge import CHARGE
from songline.producers.http.problems import RequestDeclinedError
from songline.projections.http.headers import changing_headers
from songline.projections.http.problems import Problem, answer
from songline.schemas.caller_name import NAME
from songline.schemas.permission import CALLER
from songline.schemas.refusal_note import STREAMS as REFUSED_STREAMS
from songline.schemas.refusal_note import note_of

STREAM_RETRY_S = 5
SERVICE_STREAMS = 100
"""A service follows for many listeners, and may not keep all others out: a process serves some hundred streams."""
_STREAMS = [re.sub(r"\{\w+\}", "[^/]+", path) for (_, path), operation in OPERATIONS.items() if operation.is_stream]
UPLOADS = {key for key, operation in OPERATIONS.items() if operation.is_upload}
STREAM_PATHS = re.compile(f"({'|'.join(_STREAMS)})/?")


class CallerLimits:
    """Limits the requests and streams of callers. It stands behind the layers that find out who calls.

    What is below one of the `late` paths finds that out by itself, and admits its callers then. `uploaded` has the
    bytes of files of each caller.
    """

    def __init__(
        self, app: ASGIApp, accounts: RequestAccounts, uploaded: CallerTable, late: tuple[str, ...] = ()
    ) -> None:
        self._app, self._accounts, self._uploaded, self._late = app, accounts, uploaded, late

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or UNCOUNTED.match(scope["path"]):
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        if scope["path"].startswith(self._late):
            state[ADMISSION] = partial(self._admit, scope)
            await self._app(scope, receive, send)
            return
        accounts = self._accounts
        name, day = accounts.name_of(scope), accounts.settings.upload_bytes
        if day is not None and (scope["method"], scope["path"]) in UPLOADS and not _is_operator(scope):
            state[BYTES] = allowance = UploadBytes(scope, self._uploaded, name, day, accounts.steady)
            send = _with_bytes(send, allowance)
        try:
            self._admit(scope)
        except RequestDeclinedError as error:
            await refusal(error)(scope, receive, send)
            return
        if scope["method"] != "GET" or not STREAM_PATHS.fullmatch(scope["path"]):
            await self._app(scope, receive, send)
            return
        streams = accounts.settings.streams
        most = max(streams, SERVICE_STREAMS) if accounts.is_service(scope) else streams
        try:
            with accounts.table.streaming(name, most):
                await self._app(scope, receive, send)
        except TooManyStreamsError:
            note_of(scope).reason = REFUSED_STREAMS
            await _no_stream(name, most)(scope, receive, send)

    def _admit(self, scope: Scope) -> None:
        """Count the request against its caller; raises RequestDeclinedError."""
        account = self._accounts.open(scope)
        scope["state"][NAME] = None if self._accounts.is_service(scope) else self._accounts.name_of(scope)
        if account is not None:
            scope["state"][CHARGE] = partial(account.charge, scope)


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


def _no_stream(name: str, most: int) -> Response:
    detail = (
        f"{name}: saw a stream beside {most} others, expected {most} at most. Close one, or follow several charts "
        f"by one stream; {STREAMS} sets the limit."
    )
    return answer(Problem("Too many streams", 429, detail), STREAM_RETRY_S)
