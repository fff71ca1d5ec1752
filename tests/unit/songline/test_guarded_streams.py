"""A stream ends with the token that opened it; what a caller may do is in the request's state."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from starlette.middleware import Middleware
from starlette.responses import Response

from songline.api.guard import Guard
from songline.api.operation_matcher import OperationMatcher
from songline.api.operations import Group, Operation, SubjectRule
from songline.identity.caller import Caller
from songline.identity.scopes import Scope
from songline.projections.http.unread import EventStream
from songline.schemas.permission import UNRESTRICTED, permission_of

LEFT_S = 0.5
HEADERS = {"Authorization": "Bearer anything"}
TABLE = {
    ("GET", "/endless"): Operation((Scope.CHARTS_READ,), is_stream=True, group=Group.CHARTS),
    ("GET", "/unanswered"): Operation(is_stream=True),
    ("GET", "/failing"): Operation(is_stream=True),
    ("GET", "/caller"): Operation((Scope.LIBRARY_READ, Scope.ADMIN), SubjectRule.REQUEST),
    ("GET", "/open"): Operation(is_open=True),
}


class KnownCaller:
    """A verifier that takes every token for that of one caller."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def verify(self, authorization: str | None) -> Caller:
        return self._caller


def application(left_s: float, opened: frozenset[Group] = frozenset()) -> FastAPI:
    app = FastAPI()
    app.state.closed = []

    async def events() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"data: 1\n\n"
                await asyncio.sleep(0.01)
        finally:
            app.state.closed.append("events")

    @app.get("/endless")
    async def endless() -> Response:
        return EventStream(events())

    @app.get("/unanswered")
    async def unanswered() -> Response:
        await asyncio.Event().wait()
        return Response()

    @app.get("/failing")
    async def failing() -> Response:
        raise TimeoutError

    @app.get("/caller")
    @app.get("/open")
    async def caller(request: Request) -> dict[str, Any]:
        permission = permission_of(request.scope)
        return {
            "caller": getattr(request.state.caller, "subject", None),
            "unrestricted": permission == UNRESTRICTED,
            "covers": [user for user in ("ada", "grace") if permission.covers(user)],
        }

    app.state.verifier = KnownCaller(Caller("ada", frozenset({"charts:read", "library:read"}), time.time() + left_s))
    matcher = OperationMatcher([route for route in app.routes if ("GET", getattr(route, "path", "")) in TABLE], TABLE)
    app.user_middleware.append(Middleware(Guard, matcher=matcher, opened=opened))
    return app


def client(app: FastAPI) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://songline")


@pytest.mark.parametrize("opened", [frozenset[Group](), frozenset({Group.CHARTS})])
async def test_a_stream_ends_with_its_token(opened: frozenset[Group]) -> None:
    app = application(LEFT_S, opened)
    async with client(app) as http, asyncio.timeout(60):
        began_s = time.monotonic()
        response = await http.get("/endless", headers=HEADERS)
    assert time.monotonic() - began_s >= LEFT_S * 0.9
    assert response.status_code == 200
    assert response.content.startswith(b"data: 1\n\n")
    assert response.content.endswith(b": the token is over\n\n")
    assert app.state.closed == ["events"]


async def test_an_answer_that_never_began_is_a_refusal() -> None:
    async with client(application(0.1)) as http, asyncio.timeout(60):
        assert (await http.get("/unanswered", headers=HEADERS)).status_code == 401


async def test_a_fault_of_a_stream_is_no_end_of_a_token() -> None:
    async with client(application(60)) as http, asyncio.timeout(60):
        assert (await http.get("/failing", headers=HEADERS)).status_code == 500


async def test_the_state_says_who_calls() -> None:
    async with client(application(60)) as http:
        found = (await http.get("/caller", headers=HEADERS)).json()
        assert found == {"caller": "ada", "unrestricted": False, "covers": ["ada"]}
        for headers, caller in ((HEADERS, "ada"), ({}, None)):
            found = (await http.get("/open", headers=headers)).json()
            assert found == {"caller": caller, "unrestricted": False, "covers": []}


async def test_a_web_socket_is_closed() -> None:
    sent = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def nobody(*_: Any) -> Any:
        raise AssertionError("it came in")

    guard = Guard(nobody, OperationMatcher([], {}), frozenset())
    await guard({"type": "websocket", "path": "/v1/live"}, nobody, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]
