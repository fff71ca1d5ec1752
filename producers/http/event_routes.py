"""The events API: what backend services in any language publish by.

`routes` are composed into one app with the read side. What goes wrong is raised as RequestDeclinedError or
ContractViolationError, and that app puts it into words as it does with its own.
"""

import hashlib
import secrets
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, FastAPI, Query, Request
from fastapi import Path as InPath
from msgspec import Struct
from starlette.responses import Response

from songline.cloud import cosmos
from songline.cloud.settings import CosmosSettings, EventHubsSettings
from songline.producers.http.body_pacing import BodyPaceConfig, pieces, started
from songline.producers.http.callers import Callers
from songline.producers.http.event_intake import EventIntake, IntakeResult
from songline.producers.http.event_openapi import EVENTS, LIKE, PLAY, UNLIKE
from songline.producers.http.headers import only
from songline.producers.http.json_array import split
from songline.producers.http.problems import RequestDeclinedError
from songline.producers.http.recent_events import RecentEvents
from songline.producers.publishing.hub_end import HubEnds
from songline.producers.publishing.publisher import EventPublisher
from songline.producers.uploads.owners import PATIENCE_S, SongOwners
from songline.producers.uploads.upload_record import UploadRecords
from songline.schemas.acceptance import MAX_BATCH_EVENTS, MAX_EVENT_BYTES, refuse
from songline.schemas.channels import DATABASE, INGESTIONS, MUSIC_EVENTS, SONGS
from songline.schemas.decoding import Decoder, excerpt
from songline.schemas.envelope import uuid7
from songline.schemas.errors import ContractViolationError, PoisonError
from songline.schemas.events import TYPE_NAMES, Payload, SongLiked, SongPlayed, SongUnliked

ONE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
SOURCE = "/songline/api"
# A comma and a line feed for each event, and the brackets.
MAX_BATCH_BYTES = MAX_BATCH_EVENTS * (MAX_EVENT_BYTES + 2) + 2
MAX_WAITING_BYTES = 64 << 20
EAGER_BYTES = 64 * 1024
PACE = BodyPaceConfig(deadline_s=300)
NO_PROXIES = Callers()
RETRY_SECONDS = 2
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


class Desk:
    """What requests share: the intake, and how much is being taken in."""

    def __init__(
        self,
        publisher: EventPublisher,
        intake: EventIntake,
        max_bytes: int = MAX_WAITING_BYTES,
        callers: Callers = NO_PROXIES,
    ) -> None:
        self.publisher, self._intake, self._max_bytes, self._callers = publisher, intake, max_bytes, callers
        self._bytes = 0
        self._by_caller: defaultdict[str | None, int] = defaultdict(int)

    async def one(self, body: bytes) -> Response:
        """Take one event, and answer; raises ContractViolationError and RequestDeclinedError."""
        taken = await self._take([body])
        (result,) = taken.results
        if result.error is not None:
            raise ContractViolationError(result.error)
        answer: dict[str, Any] = {"id": result.id, "status": result.status}
        if result.duplicate:
            answer["duplicate"] = True
        if taken.position:
            answer["position"] = taken.position
        return _json(answer, 200 if result.status == "sent" else 202)

    async def many(self, body: bytes) -> Response:
        """Take a batch, and answer with a result for each event.

        Raises ContractViolationError and RequestDeclinedError.
        """
        try:
            events = split(body)
        except PoisonError as poison:
            raise refuse("event", excerpt(body), f"a JSON array of events ({poison.detail})") from None
        if not 1 <= len(events) <= MAX_BATCH_EVENTS:
            raise refuse("event", f"{len(events)} events", f"1 to {MAX_BATCH_EVENTS} events in a request")
        taken = await self._take(events)
        statuses = {result.status for result in taken.results}
        status = 207 if "refused" in statuses else 202 if "kept" in statuses else 200
        return _json(taken, status)

    async def _take(self, bodies: list[Any]) -> IntakeResult:
        taken = await self._intake.take(bodies)
        failed = sum(result.status == "failed" for result in taken.results)
        if failed:
            detail = (
                f"{failed} of {len(taken.results)} events could not be taken: {taken.failure}. Send the same again."
            )
            raise RequestDeclinedError(503, "Events can't be taken now", detail, RETRY_SECONDS)
        return taken

    @contextmanager
    def room(self, request: Request, most: int) -> Iterator["Room"]:
        """Room for the body of a request.

        Raises RequestDeclinedError where it is too large, or where too much is waiting.
        """
        length = request.headers.get("content-length", "")
        # Python reads no number of more than 4,300 digits, and none that long is small enough.
        size = (int(length) if len(length) < 20 else sys.maxsize) if length.isdecimal() else most
        if size > most:
            raise _too_large(size, most)
        room = Room(self, self._callers.of(request.scope))
        try:
            # More is taken when more has come: to announce much is no way to keep the others out.
            room.take(min(size, EAGER_BYTES))
            yield room
        finally:
            room.leave()

    def reserve(self, caller: str | None, size: int) -> None:
        """So much more is being taken in for `caller`; raises RequestDeclinedError."""
        own = self._by_caller[caller] + size
        if self._bytes + size > self._max_bytes or (caller is not None and own > self._max_bytes / 2):
            whose = "events" if self._bytes + size > self._max_bytes else f"events of {caller}"
            seen = self._bytes if whose == "events" else own - size
            detail = f"{seen} bytes of {whose} are being taken in, and more would be too much. Send it again."
            raise RequestDeclinedError(503, "Too much at a time", detail, RETRY_SECONDS)
        self._bytes += size
        self._by_caller[caller] = own

    def release(self, caller: str | None, size: int) -> None:
        self._bytes -= size
        self._by_caller[caller] -= size
        if not self._by_caller[caller]:
            del self._by_caller[caller]


class Room:
    """What one request takes of the memory for all."""

    def __init__(self, desk: Desk, caller: str | None) -> None:
        self._desk, self._caller = desk, caller
        self._size = 0

    def take(self, size: int) -> None:
        """The body has `size` bytes by now; raises RequestDeclinedError."""
        if size > self._size:
            self._desk.reserve(self._caller, size - self._size)
            self._size = size

    def leave(self) -> None:
        if self._size:
            self._desk.release(self._caller, self._size)


def routes(wires: EventApiSettings) -> APIRouter:
    """The routes. They start without the hub being there: what comes until it is goes to the outbox."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            publisher = await stack.enter_async_context(
                EventPublisher(wires.eventhubs, outbox=wires.outbox, spill_after_s=wires.spill_after_s)
            )
            positions = HubEnds(wires.eventhubs, MUSIC_EVENTS, publisher.partitions)
            stack.push_async_callback(positions.close)
            owners = None if wires.cosmos is None else SongOwners(await _records(stack, wires.cosmos))
            app.state.events = Desk(
                publisher, EventIntake(publisher, positions, RecentEvents(), _now, owners), callers=wires.callers
            )
            yield

    router = APIRouter(lifespan=lifespan)

    @router.post("/v1/events", summary="Publish events", **EVENTS)
    async def publish(request: Request) -> Response:
        """One event, or a batch of up to 1,000 in which each gets a result of its own: what breaks the contract is
        refused, and the rest goes through. An event that is sent again (same `source` and `id`) is taken once."""
        desk: Desk = request.app.state.events
        media_type = (only(request.headers, "Content-Type") or "").partition(";")[0].strip().lower()
        if media_type not in (ONE, BATCH):
            seen = repr(media_type or "nothing")
            raise RequestDeclinedError(
                415, "Not a way to send events", f"Content-Type: saw {seen}, expected {ONE} or {BATCH}."
            )
        most = MAX_EVENT_BYTES if media_type == ONE else MAX_BATCH_BYTES
        with desk.room(request, most) as room:
            body = await _body(request, most, room, wires.pace)
            return await (desk.one(body) if media_type == ONE else desk.many(body))

    @router.post("/v1/songs/{song_id}/plays", summary="A listener played a song", **PLAY)
    async def play(request: Request, song_id: Annotated[str, InPath(description="The song")]) -> Response:
        """With an `Idempotency-Key`, sending it again is harmless."""
        desk: Desk = request.app.state.events
        with desk.room(request, MAX_EVENT_BYTES) as room:
            said = _object(await _body(request, MAX_EVENT_BYTES, room, wires.pace))
            when = said.pop("time", None)
            user = only(request.headers, "X-User-Id")
            data = {**({} if user is None else {"userId": user}), **said, "songId": song_id}
            return await desk.one(_event(SongPlayed, data, request, when))

    @router.put("/v1/users/{user_id}/likes/{song_id}", summary="A listener likes a song", **LIKE)
    async def like(
        request: Request,
        user_id: Annotated[str, InPath(description="The listener")],
        song_id: Annotated[str, InPath(description="The song")],
        region: Annotated[str | None, Query(description="Where the listener is: ISO 3166-1 alpha-2")] = None,
    ) -> Response:
        """Liking a song again changes nothing."""
        desk: Desk = request.app.state.events
        return await desk.one(_event(SongLiked, _named(user_id, song_id, region), request))

    @router.delete("/v1/users/{user_id}/likes/{song_id}", summary="A listener takes a like back", **UNLIKE)
    async def unlike(
        request: Request,
        user_id: Annotated[str, InPath(description="The listener")],
        song_id: Annotated[str, InPath(description="The song")],
        region: Annotated[str | None, Query(description="Where the listener is: ISO 3166-1 alpha-2")] = None,
    ) -> Response:
        """Taking back a like that is not there changes nothing."""
        desk: Desk = request.app.state.events
        return await desk.one(_event(SongUnliked, _named(user_id, song_id, region), request))

    @router.api_route("/health/events", methods=["GET", "HEAD"], include_in_schema=False)
    async def health(request: Request) -> Response:
        """What a publisher counts, and how old the oldest event on disk is."""
        seen = request.app.state.events.publisher.statistics()
        age = None if seen.outbox_oldest is None else max(0.0, time.time() - seen.outbox_oldest)
        return _json({**msgspec.structs.asdict(seen), "outbox_age_s": age}, 200)

    return router


async def _records(stack: AsyncExitStack, settings: CosmosSettings) -> UploadRecords:
    store = cosmos.client(settings)
    stack.push_async_callback(store.close)
    ingestions, songs = (cosmos.container(store, DATABASE, name) for name in (INGESTIONS, SONGS))
    return UploadRecords(ingestions, songs, PATIENCE_S)


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


async def _body(request: Request, most: int, room: Room, pace: BodyPaceConfig) -> bytes:
    """The request's body, of at most `most` bytes.

    Raises RequestDeclinedError where it is larger, or comes too slowly.
    """
    body = bytearray()
    async for piece in pieces(request, started(pace), "Events stalled"):
        body += piece
        if len(body) > most:
            raise _too_large(len(body), most)
        room.take(len(body))
    return bytes(body)


def _too_large(size: int, most: int) -> RequestDeclinedError:
    detail = (
        f"The body: saw {size} bytes or more, expected at most {most}: {MAX_EVENT_BYTES} an event, "
        f"{MAX_BATCH_EVENTS} events a batch."
    )
    return RequestDeclinedError(413, "Too large", detail)


def _json(body: object, status: int) -> Response:
    return Response(msgspec.json.encode(body), status, {"Cache-Control": "no-store"}, "application/json")


def _now() -> datetime:
    return datetime.now(UTC)
