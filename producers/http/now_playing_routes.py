"""The route that takes what a listener plays at this moment. It is sent to the hub and stored nowhere."""

import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, FastAPI, Request
from fastapi import Path as InPath
from starlette.responses import Response

from songline.cloud.settings import EventHubsSettings
from songline.producers.http.announcer import Announcer
from songline.producers.http.body_pacing import BodyPaceConfig, pieces, started
from songline.producers.http.problems import RequestDeclinedError
from songline.producers.publishing.errors import AccessDeniedError, TransientError
from songline.schemas.acceptance import refuse
from songline.schemas.decoding import Decoder, excerpt
from songline.schemas.envelope import uuid7
from songline.schemas.errors import PoisonError
from songline.schemas.forgotten import OUTSIDE_RULE, is_forgotten
from songline.schemas.live import LiveEvent, PlaybackStarted
from songline.schemas.types import ID_PATTERN, PATTERNS, Id

SOURCE = "/songline/api"
MAX_BODY = 1_024
RETRY_SECONDS = 2
PACE = BodyPaceConfig(deadline_s=60)

_ID = re.compile(ID_PATTERN)

_WORDS = {400: "A value breaks its rule", 408: "The body came too slowly", 503: "The hub can't be reached"}
_OPENAPI: dict[str, Any] = {
    "responses": {
        204: {"description": "The hub passes it on to the clients that follow"},
        **{
            status: {
                "description": words,
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
            }
            for status, words in _WORDS.items()
        },
    },
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["songId"],
                        "properties": {"songId": {"type": "string", "maxLength": 128}},
                    },
                    "example": {"songId": "song-42"},
                }
            },
        }
    },
}


class _Playing(msgspec.Struct, rename="camel"):
    song_id: Id


_bodies = Decoder(_Playing)


def routes(settings: EventHubsSettings, pace: BodyPaceConfig = PACE) -> APIRouter:
    """The route. It starts without the hub being there, and answers 503 until it is."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with Announcer(settings) as announcer:
            app.state.announcer = announcer
            yield

    router = APIRouter(lifespan=lifespan)

    @router.put("/v1/users/{user_id}/now-playing", status_code=204, summary="A listener begins to play", **_OPENAPI)
    async def tell(request: Request, user_id: Annotated[str, InPath(description="The listener")]) -> Response:
        """Sent to the clients that follow `/v1/now-playing` at this moment, and kept nowhere. It is no play: that is
        told when it is over, to `/v1/songs/{songId}/plays`."""
        announcer: Announcer = request.app.state.announcer
        event = _event(user_id, await _body(request, pace), datetime.now(UTC))
        try:
            await announcer.publish(event)
        except (TransientError, AccessDeniedError) as error:
            raise RequestDeclinedError(503, "Nothing can be told now", str(error), RETRY_SECONDS) from None
        return Response(status_code=204)

    return router


def _event(user_id: str, body: bytes, now: datetime) -> LiveEvent:
    """The event of a request; raises ContractViolationError."""
    if not _ID.search(user_id):
        raise refuse("userId", user_id, PATTERNS[ID_PATTERN])
    if is_forgotten(user_id):
        raise refuse("userId", user_id, OUTSIDE_RULE)
    try:
        song_id = _bodies.decode(body).song_id
    except PoisonError:
        raise refuse("event", excerpt(body), f'{{"songId": …}}, of {PATTERNS[ID_PATTERN]}') from None
    return LiveEvent(
        id=uuid7(int(now.timestamp() * 1000), secrets.randbits(74)),
        source=SOURCE,
        time=now,
        data=PlaybackStarted(user_id=user_id, song_id=song_id),
    )


async def _body(request: Request, pace: BodyPaceConfig) -> bytes:
    body = bytearray()
    async for piece in pieces(request.receive, started(pace), "It stalled"):
        body += piece
        if len(body) > MAX_BODY:
            raise refuse("event", f"{len(body)} bytes or more", f"at most {MAX_BODY} bytes")
    return bytes(body)
