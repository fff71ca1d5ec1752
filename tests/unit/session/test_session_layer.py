"""What the layer of sessions leaves behind for the layers before it."""

from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from songline.api.session.session_layer import SESSION_STATE, SessionLayer


class OneSession:
    """Stands for the service: every request has the same session."""

    sessions = SimpleNamespace(read=lambda cookies: True, clear=lambda: ())

    async def current(self, cookies: Any) -> tuple[Any, tuple[str, ...]]:
        return SimpleNamespace(access_token="good", csrf="x"), ()


class SeenState:
    """A layer before that of sessions, which reads the state when the request is over."""

    def __init__(self, app: ASGIApp, states: list[dict[str, Any]]) -> None:
        self._app, self._states = app, states

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)
        if scope["type"] == "http":
            self._states.append(scope["state"])


@pytest.mark.parametrize(("status", "is_session"), [(200, True), (403, True), (401, False)])
async def test_who_called_is_known_to_the_layers_before(status: int, is_session: bool) -> None:
    async def answer(request: Request) -> Response:
        found = request.headers.get("authorization")
        request.scope["state"]["caller"] = found
        return PlainTextResponse("", status if found else 200)

    states: list[dict[str, Any]] = []
    layers = [Middleware(SeenState, states=states), Middleware(SessionLayer)]
    app = Starlette(routes=[Route("/", answer)], middleware=layers)
    app.state.page_sessions = OneSession()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://songline") as client:
        assert (await client.get("/")).status_code == (status if is_session else 200)
    (state,) = states
    assert state["caller"] == ("Bearer good" if is_session else None)
    # Whose token is refused is a visitor.
    assert (SESSION_STATE in state) == is_session
