"""Erasure and access over HTTP: off unless a setting turns them on."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec
from azure.core.exceptions import AzureError
from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from songline.api.export_slots import ExportSlots
from songline.processors.history.erasure.erasure_store import NoErasureError
from songline.processors.history.erasure.job import HeldRecord
from songline.processors.history.erasure.listener_export import held_records
from songline.processors.history.erasure.opening import open_erasures, open_parts
from songline.processors.history.erasure.requests import TooLateError, request_erasure, undo_erasure
from songline.producers.http.problems import RequestDeclinedError
from songline.projections.http.ids import ErasureId, UserId
from songline.projections.http.openapi import PROBLEM
from songline.projections.http.responses import plain
from songline.projections.staleness import READ_NOW
from songline.schemas.acceptance import refuse
from songline.schemas.decoding import Decoder
from songline.schemas.erasures import Erasure, ErasureRequest, answer_of
from songline.schemas.errors import PoisonError
from songline.schemas.forgotten import OUTSIDE_RULE, is_forgotten

MAX_BODY_BYTES = 1_024
RETRY_S = 10

T = TypeVar("T")

_requests = Decoder(ErasureRequest)
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["songs"],
                    "additionalProperties": False,
                    "properties": {
                        "songs": {"type": "string", "enum": ["remove", "keep"]},
                        "undoWindowS": {"type": "integer", "minimum": 0, "maximum": 31_536_000},
                    },
                },
                "example": {"songs": "remove", "undoWindowS": 86_400},
            }
        },
    }
}
_WORDS = {
    400: "A value breaks its rule",
    404: "There is no such erasure, or this API does not offer erasure",
    409: "It has begun, or is over",
    503: "A store can't be reached; `Retry-After` says when to ask again",
}


def _answers(status: int, *others: int) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/ErasureAnswer"}
    done = {"description": "The erasure", "content": {"application/json": {"schema": schema}}}
    return {"responses": {status: done, **{one: {"description": _WORDS[one], **PROBLEM} for one in others}}}


def routes(environ: Mapping[str, str]) -> APIRouter:
    """The routes, over the services that `environ` names."""
    router = APIRouter()
    slots = ExportSlots()

    @router.post(
        "/v1/listeners/{user_id}/erasure",
        status_code=202,
        summary="Erase a listener",
        description="It begins after the undo window, of a day by default.",
        openapi_extra=_BODY,
        **_answers(202, 400, 404, 503),
    )
    async def ask(request: Request, user_id: UserId) -> Response:
        if is_forgotten(user_id):
            raise refuse("userId", user_id, OUTSIDE_RULE)
        wish = await _wish(request)
        window = timedelta(seconds=wish.undo_window_s)
        async with open_erasures(environ) as store:
            now = datetime.now(UTC)
            erasure = await _served(
                request_erasure(store, user_id, wish.songs, window, "the API", now, secrets.token_hex)
            )
        answer = _shown(erasure, 202)
        answer.headers["Location"] = f"/v1/erasures/{erasure.id}"
        return answer

    @router.get(
        "/v1/erasures/{erasure_id}",
        summary="An erasure, and in the end its receipt",
        description="How far it is. Nothing in it says who the listener is.",
        dependencies=[READ_NOW],
        **_answers(200, 400, 404, 503),
    )
    async def read_one(erasure_id: ErasureId) -> Response:
        async with open_erasures(environ) as store:
            erasure = await _served(store.read(erasure_id))
        if erasure is None:
            raise _unknown(erasure_id)
        return _shown(erasure)

    @router.post(
        "/v1/erasures/{erasure_id}/undo",
        summary="Take an erasure back",
        description="As long as it has not begun.",
        **_answers(200, 400, 404, 409, 503),
    )
    async def undo(erasure_id: ErasureId) -> Response:
        async with open_erasures(environ) as store:
            try:
                return _shown(await _served(undo_erasure(store, erasure_id, datetime.now(UTC))))
            except NoErasureError:
                raise _unknown(erasure_id) from None
            except TooLateError as error:
                raise RequestDeclinedError(409, "Too late", f"{error}.") from None

    @router.get(
        "/v1/listeners/{user_id}/export",
        summary="All that is held about a listener",
        dependencies=[READ_NOW],
        response_class=StreamingResponse,
        description="A record a line, place by place, as it is read. The last line has no record but the number of "
        "those before: without it the export is not whole.",
        responses={
            200: {"description": "Records", "content": {"application/x-ndjson": {"schema": {"type": "string"}}}},
            400: {"description": _WORDS[400], **PROBLEM},
            404: {"description": _WORDS[404], **PROBLEM},
            429: {"description": "An export of this listener is under way, or too many requests", **PROBLEM},
            503: {"description": "Other exports are under way; `Retry-After` says when to ask again", **PROBLEM},
        },
    )
    async def export(user_id: UserId) -> Response:
        return _ExportResponse(
            slots.occupied(user_id),
            _lines(environ, user_id),
            media_type="application/x-ndjson",
            headers=_UNSTORED,
        )

    return router


class _ExportResponse(StreamingResponse):
    """Lines that are sent as long as the export has its place; without one RequestDeclinedError is raised."""

    def __init__(self, slot: AbstractContextManager[None], lines: AsyncIterator[bytes], **options: Any) -> None:
        super().__init__(lines, **options)
        self._slot = slot

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Here, where it ends whatever becomes of the answer.
        with self._slot:
            await super().__call__(scope, receive, send)


async def _lines(environ: Mapping[str, str], user_id: str) -> AsyncIterator[bytes]:
    count = 0
    async with open_parts(environ, lambda: datetime.now(UTC)) as parts:
        async for record in held_records(parts.places, user_id):
            count += 1
            yield _line(record)
    yield _line({"records": count})


def _line(value: HeldRecord | dict[str, int]) -> bytes:
    return msgspec.json.encode(value) + b"\n"


async def _wish(request: Request) -> ErasureRequest:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise refuse("body", f"{len(body)} bytes or more", f"at most {MAX_BODY_BYTES} bytes")
    try:
        return _requests.decode(bytes(body))
    except PoisonError as poison:
        raise refuse(
            "body", bytes(body), f'{{"songs": "remove" or "keep", "undoWindowS": …}}: {poison.detail}'
        ) from None


async def _served(asked: Awaitable[T]) -> T:
    try:
        return await asked
    except AzureError as error:
        what = f"Cosmos DB: saw {type(error).__name__}, expected an answer."
        raise RequestDeclinedError(503, "Erasures can't be read now", what, RETRY_S) from None


def _unknown(erasure_id: str) -> RequestDeclinedError:
    return RequestDeclinedError(404, "No such erasure", f"{erasure_id!r} is no erasure's id.")


def _shown(erasure: Erasure, status: int = 200) -> Response:
    answer = plain(answer_of(erasure))
    answer.status_code = status
    return answer


_UNSTORED = {"Cache-Control": "no-store"}
