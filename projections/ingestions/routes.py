"""Ingestions over HTTP: as documents, or followed as server-sent events."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

from fastapi import FastAPI, Header, Query, Request
from starlette.responses import Response

from songline.projections.http import openapi
from songline.projections.http.ids import IngestionId
from songline.projections.http.numbers import IS_WHOLE
from songline.projections.http.problems import Problem, answer
from songline.projections.http.responses import plain
from songline.projections.http.unread import EventStream
from songline.projections.ingestions import queries as ingestions
from songline.projections.live.dead_letters import PEEKED, DeadLetterReader, LettersAnswer
from songline.projections.staleness import READ_NOW
from songline.projections.store import DocumentStore
from songline.schemas.ingestions import Ingestion, State
from songline.schemas.permission import permission_of

NO_QUEUE = (
    "This API was started without Service Bus: set AZURE_SERVICEBUS_CONNECTIONSTRING or "
    "AZURE_SERVICEBUS_FULLYQUALIFIEDNAMESPACE."
)


def routes(
    app: FastAPI,
    poll: float,
    heartbeat: float,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> None:
    """Add the routes of ingestions and dead letters.

    The app's state has `ingestions`, a DocumentStore, and `dead_letters`, a DeadLetterReader or None. `poll` and
    `heartbeat` are in seconds: a stream polls the document every `poll`, and sends a comment after `heartbeat` without
    a change.
    """

    @app.get(
        "/v1/ingestions",
        summary="Uploads, most recently updated first",
        responses=openapi.answers("IngestionsAnswer", 400, 503),
        dependencies=[READ_NOW],
    )
    async def several(
        request: Request,
        state: Annotated[State | None, Query(description="Only uploads in this state")] = None,
        limit: Annotated[int, Query(ge=1, le=ingestions.MAX_LISTED, description="The most uploads"), IS_WHOLE] = 20,
    ) -> Response:
        """An overview: for operators of all uploads, for others of their own."""
        as_of, permission = now(), permission_of(request.scope)
        of_user = None if permission.for_everybody else permission.subject
        found = await ingestions.moved_last(request.app.state.ingestions, state, limit, of_user)
        shown = tuple(ingestions.shown(one, as_of) for one in found)
        return plain(ingestions.IngestionsAnswer(as_of=as_of, ingestions=shown))

    @app.get(
        "/v1/deadletters",
        summary="Dead letters of the command queue",
        responses=openapi.answers("LettersAnswer", 400, 503),
        dependencies=[READ_NOW],
    )
    async def dead(request: Request) -> Response:
        """The oldest dead letters, with the broker's reason. `songline dlq` resubmits or discards them."""
        dead_letters: DeadLetterReader | None = request.app.state.dead_letters
        if dead_letters is None:
            return answer(Problem("No queue here", 503, NO_QUEUE))
        as_of = now()
        found = await dead_letters.peek()
        return plain(LettersAnswer(as_of=as_of, letters=tuple(found[:PEEKED]), more=len(found) > PEEKED))

    @app.get(
        "/v1/ingestions/{ingestion_id}",
        summary="An upload",
        responses=openapi.answers("IngestionAnswer", 400, 404, 503),
        dependencies=[READ_NOW],
    )
    async def one(request: Request, ingestion_id: IngestionId) -> Response:
        """The current document of the ingestion worker."""
        as_of = now()
        found = await _read(request, ingestion_id)
        return _unknown(ingestion_id) if found is None else plain(ingestions.shown(found, as_of))

    @app.get(
        "/v1/ingestions/{ingestion_id}/events",
        summary="The steps of an upload, as they happen",
        responses=openapi.events("Step", 204, 400, 404, 503),
        dependencies=[READ_NOW],
        response_class=Response,
    )
    async def events(
        request: Request,
        ingestion_id: IngestionId,
        last_event_id: Annotated[
            str | None, Header(description="The id of the last event that the client has seen")
        ] = None,
    ) -> Response:
        """Server-sent events, one for each state, named after it. They begin with the first state, or after
        `Last-Event-ID`, and end with a final one: `ready`, `rejected` or `dead`. A client that has seen the final event
        gets 204, at which an EventSource stops."""
        found = await _read(request, ingestion_id)
        if found is None:
            return _unknown(ingestion_id)
        if ingestions.settled(found, last_event_id):
            return Response(status_code=204)
        stream = ingestions.stream(request.app.state.ingestions, found, last_event_id, poll, heartbeat)
        return EventStream(stream)


async def _read(request: Request, ingestion_id: str) -> Ingestion | None:
    """The ingestion; raises NotPermittedError for that of another user than the caller may act for."""
    store: DocumentStore = request.app.state.ingestions
    found = await store.read(ingestion_id, ingestion_id, Ingestion)
    if found is not None:
        permission_of(request.scope).check("the upload's userId", found.user_id)
    return found


def _unknown(ingestion_id: str) -> Response:
    detail = f"There is no ingestion {ingestion_id}: it is the id in the Location that the upload was answered with."
    return answer(Problem("No such ingestion", 404, detail))
