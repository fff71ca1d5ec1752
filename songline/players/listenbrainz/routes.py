"""The routes of ListenBrainz' API, version 1, as far as players use it. Its form of errors is made by a layer.

Source: ListenBrainz API, "Core", "Feedback". What a player may is said by `songline.api.operations`, and found by
`songline.players.player_guard`.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from songline.players.listenbrainz.answers import playing_answer
from songline.players.listenbrainz.api_imports import ApiImports
from songline.players.listenbrainz.errors import ListenBrainzError
from songline.players.listenbrainz.feedback import read_feedback
from songline.players.listenbrainz.player_library import PlayerLibrary
from songline.players.listenbrainz.query import flag, read_query, whole
from songline.players.listenbrainz.reported_songs import ReportedSongs
from songline.players.listenbrainz.submission import MAX_BODY_BYTES, check_encoding, read_submission
from songline.players.listenbrainz.submitting import ListenTaker
from songline.players.own_writes import WrittenPositions
from songline.players.player_guard import TOKEN
from songline.players.tokens.player_token import PlayerToken
from songline.players.tokens.token_lookup import PlayerTokenLookup, TokensUnavailableError
from songline.producers.http.event_endpoint import EventEndpoint, json_response
from songline.projections.http.parameters import OWN_QUERY
from songline.schemas.permission import permission_of

DEFAULT_ITEMS, MAX_ITEMS = 25, 1_000
MAX_FEEDBACK_BYTES = 4_096
RETRY_S = 2
_OK = {"status": "ok"}
_FOREIGN = {OWN_QUERY: True}


class ListenBrainzState(msgspec.Struct, frozen=True):
    """What the routes need beside what the app's state has for others."""

    songs: ReportedSongs
    imports: ApiImports
    written: WrittenPositions


def routes(now: Callable[[], datetime]) -> APIRouter:
    """The routes. The app's state has `listenbrainz`, a ListenBrainzState, `tokens_of_players`, and what the API reads
    and writes by."""
    router = APIRouter(include_in_schema=False)

    @router.post("/1/submit-listens", openapi_extra=_FOREIGN)
    async def submit(request: Request) -> Response:
        endpoint = _endpoint(request)
        check_encoding(request.headers.get("content-encoding"))
        with endpoint.memory.reserved(request.scope, MAX_BODY_BYTES) as reserved:
            body = await endpoint.read_body(request.receive, MAX_BODY_BYTES, reserved)
            moment = now()
            await _taker(request, endpoint).take(read_submission(body, moment), moment)
        return json_response(_OK, 200)

    @router.get("/1/validate-token", openapi_extra=_FOREIGN)
    async def validate(request: Request) -> Response:
        text = read_query(request.scope["query_string"]).get("token")
        if text is None and "authorization" not in request.headers:
            raise ListenBrainzError(400, "You need to provide an Authorization token.")
        lookup: PlayerTokenLookup = request.app.state.tokens_of_players
        try:
            token = _token_or_none(request) if text is None else await lookup.find(text)
        except TokensUnavailableError as error:
            raise ListenBrainzError(503, f"Tokens can't be checked now: {error}. Ask again.", RETRY_S) from None
        if token is None:
            return json_response({"code": 200, "message": "Token invalid.", "valid": False}, 200)
        found = {"code": 200, "message": "Token valid.", "valid": True, "user_name": token.user_id}
        return json_response(found, 200)

    @router.get("/1/user/{user_id}/listens", openapi_extra=_FOREIGN)
    async def listens(request: Request, user_id: str) -> Response:
        query = read_query(request.scope["query_string"])
        max_ts, min_ts = whole(query, "max_ts"), whole(query, "min_ts")
        if max_ts is not None and min_ts is not None and max_ts <= min_ts:
            raise ListenBrainzError(400, f"max_ts: saw {max_ts}, expected more than min_ts, {min_ts}.")
        count = min(whole(query, "count", DEFAULT_ITEMS) or 0, MAX_ITEMS)
        return json_response(await _library(request, now()).listens(user_id, count, max_ts, min_ts), 200)

    @router.get("/1/user/{user_id}/listen-count", openapi_extra=_FOREIGN)
    async def listen_count(request: Request, user_id: str) -> Response:
        return json_response({"payload": {"count": await _library(request, now()).count(user_id)}}, 200)

    @router.get("/1/user/{user_id}/playing-now", openapi_extra=_FOREIGN)
    async def playing_now(request: Request, user_id: str) -> Response:
        song_id, title = await _library(request, now()).playing(user_id)
        return json_response(playing_answer(user_id, song_id, title), 200)

    @router.post("/1/feedback/recording-feedback", openapi_extra=_FOREIGN)
    async def feedback(request: Request) -> Response:
        endpoint = _endpoint(request)
        check_encoding(request.headers.get("content-encoding"))
        with endpoint.memory.reserved(request.scope, MAX_FEEDBACK_BYTES) as reserved:
            body = await endpoint.read_body(request.receive, MAX_FEEDBACK_BYTES, reserved)
        said = read_feedback(body)
        token = _token(request)
        song_id = said.song_id
        if song_id is None:
            state: ListenBrainzState = request.app.state.listenbrainz
            song_id = await state.songs.of_recording(token.user_id, said.recording_mbid or "")
        if song_id is None:
            raise ListenBrainzError(
                400,
                f"recording_mbid: saw {said.recording_mbid}, expected a recording of which {token.user_id} has "
                "reported a listen with this id: no other is known here.",
            )
        await _taker(request, endpoint).like(song_id, now(), is_liked=said.score > 0)
        return json_response(_OK, 200)

    @router.get("/1/feedback/user/{user_id}/get-feedback", openapi_extra=_FOREIGN)
    async def get_feedback(request: Request, user_id: str) -> Response:
        query = read_query(request.scope["query_string"])
        score = whole(query, "score")
        if score not in (None, 1, -1):
            raise ListenBrainzError(400, f"score: saw {score}, expected 1 or -1.")
        count = min(whole(query, "count", DEFAULT_ITEMS) or 0, MAX_ITEMS)
        offset = whole(query, "offset", 0) or 0
        answers = _library(request, now())
        # Nobody hates songs here.
        found = await answers.feedback(user_id, 0 if score == -1 else count, offset, flag(query, "metadata"), score)
        return json_response(found, 200)

    return router


def _endpoint(request: Request) -> EventEndpoint:
    endpoint: EventEndpoint | None = getattr(request.app.state, "events", None)
    if endpoint is None:
        raise ListenBrainzError(503, "This API takes no listens: it has no outbox.", RETRY_S)
    return endpoint


def _taker(request: Request, endpoint: EventEndpoint) -> ListenTaker:
    state: ListenBrainzState = request.app.state.listenbrainz
    announcer: Any = getattr(request.app.state, "announcer", None)
    permission = permission_of(request.scope)
    token = _token(request)
    return ListenTaker(endpoint, state.songs, state.imports, state.written, announcer, token, permission, request.scope)


def _library(request: Request, now: datetime) -> PlayerLibrary:
    state: ListenBrainzState = request.app.state.listenbrainz
    return PlayerLibrary(request.app, state.written, now)


def _token_or_none(request: Request) -> PlayerToken | None:
    found: PlayerToken | None = request.scope["state"][TOKEN]
    return found


def _token(request: Request) -> PlayerToken:
    found = _token_or_none(request)
    assert found is not None, "the layer in front asks for a token"
    return found
