"""The layer that answers `POST /v1/events`: what it takes, what it passes on, and what becomes of errors."""

from types import SimpleNamespace
from typing import Any

import pytest
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from songline.api.refusals import refusal
from songline.producers.http.direct_events import DirectEvents
from songline.producers.http.problems import RequestDeclinedError
from songline.schemas.acceptance import refuse


def request(**changes: Any) -> dict[str, Any]:
    return {"type": "http", "method": "POST", "path": "/v1/events", "query_string": b"", "headers": [], **changes}


async def answered(scope: dict[str, Any], outcome: Response | Exception) -> list[int | str]:
    """The status that is sent, where the endpoint has this outcome, and `passed on` where it is not asked."""
    seen: list[int | str] = []

    async def respond(scope: Scope, receive: Receive) -> Response:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def routes(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append("passed on")

    async def receive() -> Message:
        raise AssertionError("nobody reads here")

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            seen.append(message["status"])

    endpoint = SimpleNamespace(state=SimpleNamespace(events=SimpleNamespace(respond=respond)))
    await DirectEvents(routes, refusal)({**scope, "app": endpoint}, receive, send)
    return seen


@pytest.mark.parametrize(
    "scope",
    [
        *(request(method=method) for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS")),
        *(request(path=path) for path in ("/v1/events/", "/v1/event", "/v1/songs", "/")),
        request(query_string=b"dryrun=1"),
        {"type": "lifespan"},
        request(type="websocket"),
    ],
)
async def test_all_but_a_post_of_events_is_passed_on(scope: dict[str, Any]) -> None:
    assert await answered(scope, Response()) == ["passed on"]


@pytest.mark.parametrize(
    ("outcome", "sent"),
    [
        (Response(status_code=202), [202]),
        (RequestDeclinedError(503, "Full", "Send it again.", 2), [503]),
        (refuse("time", "soon", "a moment"), [400]),
        # The sender has gone, and nobody reads an answer.
        (ClientDisconnect(), []),
    ],
)
async def test_each_outcome_has_its_answer(outcome: Response | Exception, sent: list[int]) -> None:
    assert await answered(request(), outcome) == sent


async def test_a_fault_of_ours_is_left_to_the_framework() -> None:
    with pytest.raises(ZeroDivisionError):
        await answered(request(), ZeroDivisionError())
