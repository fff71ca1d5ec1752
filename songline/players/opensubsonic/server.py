"""OpenSubsonic over HTTP, below `/rest`: credentials, parameters, and the form of answers.

It is mounted beside the API's own routes, since it follows another protocol: what is unknown in a query is passed over,
errors are answers of status 200 with a code, and callers show credentials of their own kind in the query or the form.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from importlib.metadata import version

from fastapi import APIRouter, FastAPI
from msgspec import structs
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from songline.identity.caller import RefusalReason
from songline.players.opensubsonic import endpoints
from songline.players.opensubsonic.accounts import EXTENSIONS
from songline.players.opensubsonic.answer import AnswerFormat, Content, written, written_error
from songline.players.opensubsonic.call import OpenSubsonicState, PlayerCall, utc_now
from songline.players.opensubsonic.collection_reader import CollectionReader
from songline.players.opensubsonic.credentials import (
    ApiKey,
    no_salted_tokens,
    no_such_key,
    read_credentials,
    wrong_proof,
)
from songline.players.opensubsonic.endpoints import PlayerOperation
from songline.players.opensubsonic.errors import ErrorCode, OpenSubsonicError
from songline.players.opensubsonic.parameters import Parameters
from songline.players.own_writes import WrittenPositions
from songline.players.tokens.player_token import PlayerToken
from songline.players.tokens.token_lookup import PlayerTokenLookup, TokensUnavailableError
from songline.producers.http.body_memory import BodyMemory
from songline.producers.http.body_pacing import BodyPaceConfig, pieces, started
from songline.producers.http.caller_admission import admit, guess_of
from songline.producers.http.callers import Callers
from songline.producers.http.problems import RequestDeclinedError
from songline.projections.http.fault_answers import INTERNAL, record_fault
from songline.projections.store import StoreUnavailableError
from songline.schemas.errors import ContractViolationError
from songline.schemas.permission import NotPermittedError
from songline.schemas.refusal_note import LISTENER, note_of

PATH = "/rest"
DISTRIBUTION = "songline-music"
MAX_FORM = 256 * 1024
"""Bytes of a form: a client that was offline reports some hundred plays at once."""
DEADLINE_S = 60.0
"""Seconds that a form may take."""
RETRY_S = 2
_FORM = "application/x-www-form-urlencoded"
_METHODS = ("GET", "HEAD", "POST")
_REASONS = {
    ErrorCode.PARAMETER_MISSING: RefusalReason.MISSING,
    ErrorCode.WRONG_CREDENTIALS: RefusalReason.UNKNOWN_KEY,
    ErrorCode.INVALID_API_KEY: RefusalReason.UNKNOWN_KEY,
}
"""What is counted of a refusal; any other shows no credentials as they are to be."""


class OpenSubsonicServer:
    """Answers requests below PATH. The app's state has `tokens_of_players`, `opensubsonic` and what the API reads and
    writes by."""

    def __init__(
        self, memory: BodyMemory, pace: BodyPaceConfig, server_version: str, now: Callable[[], datetime] = utc_now
    ) -> None:
        self._memory, self._pace, self._version, self._now = memory, pace, server_version, now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await self._respond(Request(scope, receive))
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        form = AnswerFormat.XML
        try:
            # What is in the query says how to answer, also where the form can't be read.
            form = Parameters.read(request.scope["query_string"]).form
            if request.method not in _METHODS:
                raise OpenSubsonicError(ErrorCode.GENERIC, f"{request.method}: expected GET or POST.", 405)
            parameters = Parameters.read(request.scope["query_string"], await self._form(request))
            form = parameters.form
            found = await self._answer(request, parameters)
            return found if isinstance(found, Response) else _response(written(found, form, self._version), form, 200)
        except OpenSubsonicError as error:
            return self._failed(error, form)
        except (StoreUnavailableError, TokensUnavailableError) as error:
            return self._failed(OpenSubsonicError(ErrorCode.GENERIC, f"{error}. Ask again.", 503, RETRY_S), form)
        except RequestDeclinedError as error:
            message = f"{error.title}: {error.detail}"
            return self._failed(OpenSubsonicError(ErrorCode.GENERIC, message, error.status, error.retry_after), form)
        except ContractViolationError as error:
            return self._failed(OpenSubsonicError(ErrorCode.GENERIC, f"{error}."), form)
        except NotPermittedError as error:
            return self._failed(OpenSubsonicError(ErrorCode.NOT_AUTHORIZED, error.detail), form)
        except ClientDisconnect:
            raise
        except Exception as error:  # noqa: BLE001 - players read no other form of errors
            record_fault(request.scope, error)
            return self._failed(OpenSubsonicError(ErrorCode.GENERIC, INTERNAL.detail, INTERNAL.status), form)

    async def _answer(self, request: Request, parameters: Parameters) -> Content | Response:
        name = request.scope["path"].removeprefix(f"{PATH}/").removesuffix("/").removesuffix(".view")
        if name == endpoints.EXTENSIONS:
            return EXTENSIONS
        operation = endpoints.OPERATIONS.get(name)
        if operation is None:
            raise OpenSubsonicError(ErrorCode.GENERIC, f"{name[:60]!r} is not served here.", 404)
        note = note_of(request.scope)
        note.operation = f"{request.method} {PATH}/{name}"
        try:
            token = await _token(request, parameters)
        except OpenSubsonicError as error:
            note.reason = _REASONS.get(error.code, RefusalReason.MALFORMED)
            raise
        note.caller = LISTENER
        admit(request.scope, token.caller)
        if not _allows(token, operation):
            note.reason = RefusalReason.SCOPE
            raise OpenSubsonicError(
                ErrorCode.NOT_AUTHORIZED,
                f"User is not authorized for the given operation: the token lacks the scope {operation.scope}.",
            )
        state: OpenSubsonicState = request.app.state.opensubsonic
        return await operation.handler(PlayerCall(parameters, token, request, state, self._now()))

    async def _form(self, request: Request) -> bytes:
        """The body of a request that has a form, else nothing."""
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if request.method != "POST" or media_type != _FORM:
            return b""
        length = request.headers.get("content-length", "")
        if length.isdecimal() and (len(length) > 9 or int(length) > MAX_FORM):
            raise _too_large(length)
        body = bytearray()
        with self._memory.reserved(request.scope, MAX_FORM) as reserved:
            async for piece in pieces(request.receive, started(self._pace), "The form stalled"):
                body += piece
                if len(body) > MAX_FORM:
                    raise _too_large(str(len(body)))
                reserved.grow(len(body))
        return bytes(body)

    def _failed(self, error: OpenSubsonicError, form: AnswerFormat) -> Response:
        response = _response(written_error(error, form, self._version), form, error.status)
        if error.retry_s is not None:
            response.headers["Retry-After"] = str(error.retry_s)
        return response


async def _token(request: Request, parameters: Parameters) -> PlayerToken:
    """The token that a request shows, or shows to have. Raises OpenSubsonicError and TokensUnavailableError."""
    shown = read_credentials(parameters)
    lookup: PlayerTokenLookup = request.app.state.tokens_of_players
    if isinstance(shown, ApiKey):
        found = await lookup.find(shown.text, guess_of(request.scope))
        if found is None:
            raise no_such_key()
        return found
    if not lookup.knows_salted:
        raise no_salted_tokens()
    found = await lookup.find_salted(shown.user_id, shown.salt, shown.proof, guess_of(request.scope))
    if found is None:
        raise wrong_proof()
    return found


def _allows(token: PlayerToken, operation: PlayerOperation) -> bool:
    return operation.scope is None or operation.scope in token.scopes


def _response(content: bytes, form: AnswerFormat, status: int) -> Response:
    return Response(content, status, {"Cache-Control": "no-store"}, form.media_type)


def _too_large(seen: str) -> OpenSubsonicError:
    return OpenSubsonicError(
        ErrorCode.GENERIC, f"The form: saw {seen[:20]} bytes or more, expected {MAX_FORM} at most.", 413
    )


def install(app: FastAPI, callers: Callers, pace: BodyPaceConfig, own_writes: WrittenPositions) -> None:
    """Serve OpenSubsonic beside the routes of `app`, which has `songs` in its state once it runs."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        collections = CollectionReader(app.state.songs)
        app.state.opensubsonic = OpenSubsonicState(collections, written=own_writes)
        try:
            yield
        finally:
            await collections.close()

    app.include_router(APIRouter(lifespan=lifespan))
    quick = structs.replace(pace, deadline_s=DEADLINE_S)
    app.mount(PATH, OpenSubsonicServer(BodyMemory(callers), quick, version(DISTRIBUTION)))
