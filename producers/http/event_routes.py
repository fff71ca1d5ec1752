"""The events API: what backend services in any language publish by.

`routes` are composed into one app with the read side. What goes wrong is raised as RequestDeclinedError or
ContractViolationError, and that app puts it into words as it does with its own.
"""

import hashlib
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, FastAPI, Query, Request
from fastapi import Path as InPath
from msgspec import Struct
from starlette.responses import Response

from songline.cloud import cosmos
from songline.cloud.settings import CosmosSettings, EventHubsSettings
from songline.producers.http.body_memory import NO_PROXIES, BodyMemory
from songline.producers.http.body_pacing import BodyPaceConfig
from songline.producers.http.callers import Callers
from songline.producers.http.event_endpoint import EventEndpoint, json_response
from songline.producers.http.event_intake import EventIntake
from songline.producers.http.event_openapi import EVENTS, LIKE, PLAY, UNLIKE
from songline.producers.http.headers import only
from songline.producers.http.recent_events import RecentEvents
from songline.producers.publishing.hub_end import HubEnds
from songline.producers.publishing.publisher import EventPublisher
from songline.producers.uploads.catalog_songs import CatalogSongs
from songline.producers.uploads.owners import PATIENCE_S, SongOwners
from songline.producers.uploads.upload_record import UploadRecords
from songline.schemas.acceptance import MAX_EVENT_BYTES, refuse
from songline.schemas.channels import DATABASE, INGESTIONS, MUSIC_EVENTS
from songline.schemas.decoding import Decoder, excerpt
from songline.schemas.envelope import uuid7
from songline.schemas.errors import PoisonError
from songline.schemas.events import TYPE_NAMES, Payload, SongLiked, SongPlayed, SongUnliked
from songline.schemas.permission import permission_of

PATH = "/v1/events"
SOURCE = "/songline/api"
PACE = BodyPaceConfig(deadline_s=300)
SPILL_AFTER_S = 1.0

_objects: Decoder[dict[str, Any]] = Decoder(dict)


class EventApiSettings(Struct, frozen=True):
    """What the events API needs: the namespace, a file of its own for what the hub has not taken within so many
    seconds, and the account that knows whose songs are."""

    eventhubs: EventHubsSettings
    outbox: Path
    spill_after_s: float = SPILL_AFTER_S
    cosmos: CosmosSettings | None = None
    pace: BodyPaceConfig = PACE
    callers: Callers = NO_PROXIES


def routes(settings: EventApiSettings) -> APIRouter:
    """The routes. They start without the hub being there: what comes until it is goes to the outbox."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            publisher = await stack.enter_async_context(
                EventPublisher(settings.eventhubs, outbox=settings.outbox, spill_after_s=settings.spill_after_s)
            )
            ends = HubEnds(settings.eventhubs, MUSIC_EVENTS, publisher.partitions)
            stack.push_async_callback(ends.close)
            owners = None if settings.cosmos is None else SongOwners(await _records(stack, settings.cosmos))
            intake = EventIntake(publisher, ends, RecentEvents(), _now, owners)
            app.state.events = EventEndpoint(publisher, intake, BodyMemory(settings.callers), settings.pace)
            yield

    router = APIRouter(lifespan=lifespan)

    @router.post(PATH, summary="Publish events", **EVENTS)
    async def publish(request: Request) -> Response:
        """One event, or a batch of up to 1,000 in which each gets a result of its own: what breaks the contract is
        refused, and the rest goes through. An event that is sent again (same `source` and `id`) is taken once."""
        endpoint: EventEndpoint = request.app.state.events
        return await endpoint.respond(request.scope, request.receive)

    @router.post("/v1/songs/{song_id}/plays", summary="A listener played a song", **PLAY)
    async def play(request: Request, song_id: Annotated[str, InPath(description="The song")]) -> Response:
        """With an `Idempotency-Key`, sending it again is harmless."""
        endpoint: EventEndpoint = request.app.state.events
        with endpoint.memory.reserved(request.scope, MAX_EVENT_BYTES) as reserved:
            said = _object(await endpoint.read_body(request.receive, MAX_EVENT_BYTES, reserved))
            when = said.pop("time", None)
            user = only(request.headers, "X-User-Id")
            data = {**({} if user is None else {"userId": user}), **said, "songId": song_id}
            return await endpoint.respond_to_event(
                _event(SongPlayed, data, request, when), permission_of(request.scope)
            )

    @router.put("/v1/users/{user_id}/likes/{song_id}", summary="A listener likes a song", **LIKE)
    async def like(
        request: Request,
        user_id: Annotated[str, InPath(description="The listener")],
        song_id: Annotated[str, InPath(description="The song")],
        region: Annotated[str | None, Query(description="Where the listener is: ISO 3166-1 alpha-2")] = None,
    ) -> Response:
        """Liking a song again changes nothing."""
        endpoint: EventEndpoint = request.app.state.events
        event = _event(SongLiked, _named(user_id, song_id, region), request)
        return await endpoint.respond_to_event(event, permission_of(request.scope))

    @router.delete("/v1/users/{user_id}/likes/{song_id}", summary="A listener takes a like back", **UNLIKE)
    async def unlike(
        request: Request,
        user_id: Annotated[str, InPath(description="The listener")],
        song_id: Annotated[str, InPath(description="The song")],
        region: Annotated[str | None, Query(description="Where the listener is: ISO 3166-1 alpha-2")] = None,
    ) -> Response:
        """Taking back a like that is not there changes nothing."""
        endpoint: EventEndpoint = request.app.state.events
        event = _event(SongUnliked, _named(user_id, song_id, region), request)
        return await endpoint.respond_to_event(event, permission_of(request.scope))

    @router.api_route("/health/events", methods=["GET", "HEAD"], include_in_schema=False)
    async def health(request: Request) -> Response:
        """What a publisher counts, and how old the oldest event on disk is."""
        seen = request.app.state.events.publisher.statistics()
        age = None if seen.outbox_oldest is None else max(0.0, time.time() - seen.outbox_oldest)
        return json_response({**msgspec.structs.asdict(seen), "outbox_age_s": age}, 200)

    return router


async def _records(stack: AsyncExitStack, settings: CosmosSettings) -> UploadRecords:
    store = await stack.enter_async_context(cosmos.opened(settings))
    catalog = CatalogSongs(partial(cosmos.container, store, DATABASE), time.monotonic)
    return UploadRecords(cosmos.container(store, DATABASE, INGESTIONS), catalog, PATIENCE_S)


def _event(payload: type[Payload], data: dict[str, Any], request: Request, when: object = None) -> bytes:
    """The event as it would have come by itself; it keeps its contract or not, and is held to it like any other."""
    now = _now()
    key = only(request.headers, "Idempotency-Key")
    if key is None:
        id_ = uuid7(int(now.timestamp() * 1000), secrets.randbits(74))
    else:
        id_ = hashlib.sha256(f"{data.get('userId')}\0{request.url.path}\0{key}".encode()).hexdigest()[:32]
    attributes = {
        "specversion": "1.0",
        "id": id_,
        "source": SOURCE,
        "type": TYPE_NAMES[payload],
        "time": now.isoformat() if when is None else when,
        "data": data,
    }
    if (parent := request.headers.get("traceparent")) is not None:
        attributes["traceparent"] = parent
    return msgspec.json.encode(attributes)


def _named(user_id: str, song_id: str, region: str | None) -> dict[str, Any]:
    return {"userId": user_id, "songId": song_id, **({} if region is None else {"region": region})}


def _object(body: bytes) -> dict[str, Any]:
    try:
        return _objects.decode(body)
    except PoisonError as poison:
        raise refuse("event", excerpt(body), f"one JSON object ({poison.detail})") from None


def _now() -> datetime:
    return datetime.now(UTC)
