"""Events that come in over HTTP, from the head of a request to its response."""

from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope

from songline.producers.http.body_memory import RETRY_SECONDS, BodyMemory, BodyReservation, too_large
from songline.producers.http.body_pacing import BodyPaceConfig, pieces, started
from songline.producers.http.event_charge import charge_events
from songline.producers.http.event_intake import EventIntake, ForeignEvent, IntakeResult
from songline.producers.http.headers import only
from songline.producers.http.json_array import split
from songline.producers.http.problems import RequestDeclinedError
from songline.producers.publishing.publisher import EventPublisher
from songline.schemas.acceptance import MAX_BATCH_EVENTS, MAX_EVENT_BYTES, refuse
from songline.schemas.decoding import excerpt
from songline.schemas.errors import ContractViolationError, PoisonError
from songline.schemas.permission import UNRESTRICTED, NotPermittedError, Permission, permission_of
from songline.schemas.refusal_note import ANOTHERS, note_of

ONE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
# A comma and a line feed for each event, and the brackets.
MAX_BATCH_BYTES = MAX_BATCH_EVENTS * (MAX_EVENT_BYTES + 2) + 2

_encoder = msgspec.json.Encoder()


class EventEndpoint:
    """What the event routes share: the publisher, the intake as responses, and the memory and pace of bodies."""

    def __init__(
        self, publisher: EventPublisher, intake: EventIntake, memory: BodyMemory, pace: BodyPaceConfig
    ) -> None:
        self.publisher, self.memory, self._intake, self._pace = publisher, memory, intake, pace

    async def respond(self, scope: Scope, receive: Receive) -> Response:
        """Take the event or the batch of a request, and answer.

        Raises ContractViolationError, NotPermittedError, RequestDeclinedError and ClientDisconnect.
        """
        permission = permission_of(scope)
        media_type = (only(Headers(scope=scope), "Content-Type") or "").partition(";")[0].strip().lower()
        if media_type not in (ONE, BATCH):
            seen = repr(media_type or "nothing")
            raise RequestDeclinedError(
                415, "Not a way to send events", f"Content-Type: saw {seen}, expected {ONE} or {BATCH}."
            )
        most = MAX_EVENT_BYTES if media_type == ONE else MAX_BATCH_BYTES
        with self.memory.reserved(scope, most) as reserved:
            body = await self.read_body(receive, most, reserved)
            if media_type == ONE:
                return await self.respond_to_event(body, permission)
            return await self.respond_to_batch(body, permission, scope)

    async def read_body(self, receive: Receive, most: int, reserved: BodyReservation) -> bytes:
        """The body of a request, of at most `most` bytes.

        Raises RequestDeclinedError where it is larger, or comes too slowly, and ClientDisconnect.
        """
        body = bytearray()
        async for piece in pieces(receive, started(self._pace), "Events stalled"):
            body += piece
            if len(body) > most:
                raise too_large(len(body), most)
            reserved.grow(len(body))
        return bytes(body)

    async def respond_to_event(self, body: bytes, permission: Permission) -> Response:
        """Take one event, and answer; raises ContractViolationError, NotPermittedError and RequestDeclinedError."""
        taken = await self.take([body], permission)
        (result,) = taken.results
        if isinstance(result.error, ForeignEvent):
            raise NotPermittedError(f"{result.error}.", permission.challenge)
        if result.error is not None:
            raise ContractViolationError(result.error)
        answer: dict[str, Any] = {"id": result.id, "status": result.status}
        if result.duplicate:
            answer["duplicate"] = True
        if taken.position:
            answer["position"] = taken.position
        return json_response(answer, 200 if result.status == "sent" else 202)

    async def publish_own(self, body: bytes) -> None:
        """Take an event that the API says itself. Raises ContractViolationError and RequestDeclinedError."""
        (result,) = (await self.take([body], UNRESTRICTED)).results
        if result.error is not None:
            raise ContractViolationError(result.error)

    async def respond_to_batch(self, body: bytes, permission: Permission, scope: Scope) -> Response:
        """Take the batch of a request, and answer with a result for each event.

        Raises ContractViolationError and RequestDeclinedError.
        """
        try:
            events = split(body)
        except PoisonError as poison:
            raise refuse("event", excerpt(body), f"a JSON array of events ({poison.detail})") from None
        if not 1 <= len(events) <= MAX_BATCH_EVENTS:
            raise refuse("event", f"{len(events)} events", f"1 to {MAX_BATCH_EVENTS} events in a request")
        charge_events(scope, len(events))
        taken = await self.take(events, permission)
        if any(isinstance(result.error, ForeignEvent) for result in taken.results):
            note_of(scope).reason = ANOTHERS
        statuses = {result.status for result in taken.results}
        status = 207 if "refused" in statuses else 202 if "kept" in statuses else 200
        return json_response(taken, status)

    async def take(self, bodies: Sequence[bytes], permission: Permission) -> IntakeResult:
        """Take events, and return a result for each; raises RequestDeclinedError where some can't be taken now."""
        taken = await self._intake.accept(bodies, permission)
        failed = sum(result.status == "failed" for result in taken.results)
        if failed:
            detail = (
                f"{failed} of {len(taken.results)} events could not be taken: {taken.failure}. Send the same again."
            )
            raise RequestDeclinedError(503, "Events can't be taken now", detail, RETRY_SECONDS)
        return taken


def json_response(body: object, status: int) -> Response:
    """`body` as JSON, not to be cached."""
    return Response(_encoder.encode(body), status, {"Cache-Control": "no-store"}, "application/json")
