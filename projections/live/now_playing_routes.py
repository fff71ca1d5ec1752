"""What is playing now, as server-sent events."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import Response

from songline.cloud.settings import EventHubsSettings
from songline.projections.http.ids import UserId
from songline.projections.http.problems import Problem, answer
from songline.projections.http.unread import EventStream
from songline.projections.live.now_playing import Broadcast, follow, stream
from songline.projections.staleness import READ_NOW

RETRY_SECONDS = 5

_EXAMPLE = 'event: playing\ndata: {"userId":"user-7","songId":"song-42","at":"2026-11-22T14:00:00.123Z"}\n\n'
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Server-sent events without end, each with userId, songId and at in its data",
        "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EXAMPLE}},
    },
    400: {
        "description": "A parameter breaks its rule, or is unknown",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    },
    503: {
        "description": "The process serves as many streams as it can",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    },
}
_OF_ONE = {**_ANSWERS, 404: {**_ANSWERS[503], "description": "The text is no listener's id"}}


def routes(settings: EventHubsSettings, broadcast: Broadcast) -> APIRouter:
    """The routes. Every process reads the whole hub from its start on, and passes events on by `broadcast`."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        following = asyncio.create_task(follow(settings, broadcast))
        try:
            yield
        finally:
            following.cancel()
            await asyncio.wait([following])

    router = APIRouter(lifespan=lifespan)

    @router.get(
        "/v1/now-playing",
        summary="What is playing, as it happens",
        responses=_ANSWERS,
        response_class=Response,
        dependencies=[READ_NOW],
    )
    async def everybody() -> Response:
        """Nothing is stored: a client that connects later, or reads too slowly, misses events."""
        return _answer(None)

    @router.get(
        "/v1/users/{user_id}/now-playing",
        summary="What a listener plays, as it happens",
        responses=_OF_ONE,
        response_class=Response,
        dependencies=[READ_NOW],
    )
    async def one(request: Request, user_id: UserId) -> Response:
        """As `/v1/now-playing`, for one listener."""
        return _answer(user_id)

    def _answer(user_id: str | None) -> Response:
        if broadcast.is_full:
            return answer(Problem("Too many listen", 503, "Come again later, or ask another process."), RETRY_SECONDS)
        return EventStream(stream(broadcast, user_id))

    return router
