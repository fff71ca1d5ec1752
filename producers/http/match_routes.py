"""Which song of the catalog a name is, over HTTP: said, and taken back. What was said is read elsewhere."""

import re
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Annotated

import msgspec
from fastapi import APIRouter, FastAPI, Request
from fastapi import Path as InPath
from msgspec import Struct
from starlette.responses import Response

from songline.cloud import cosmos
from songline.cloud.settings import CosmosSettings
from songline.producers.http.event_endpoint import EventEndpoint, json_response
from songline.producers.http.match_openapi import MATCH, UNMATCH
from songline.producers.http.problems import RequestDeclinedError
from songline.producers.matches.match_records import MatchRecords
from songline.producers.publishing.errors import TransientError
from songline.producers.uploads.catalog_songs import CatalogSongs
from songline.producers.uploads.owners import PATIENCE_S
from songline.schemas.acceptance import MAX_EVENT_BYTES, refuse
from songline.schemas.channels import DATABASE, NAMES
from songline.schemas.decoding import Decoder, excerpt
from songline.schemas.envelope import Event, encode, uuid7
from songline.schemas.errors import PoisonError
from songline.schemas.events import NameMatched, NameUnmatched
from songline.schemas.permission import CALLER
from songline.schemas.song_names import is_name_id
from songline.schemas.types import ID_PATTERN, NAME_ID_PATTERN, PATTERNS

SOURCE = "/songline/api"
OPERATOR = "operator"
"""Who says it where the API asks nobody who they are."""
RETRY_SECONDS = 2
NOTE = (
    "What listeners do with it from a few seconds on counts so. What they did before moves at the next rebuild: "
    "`songline rebuild library --switch`, and the same for `charts`, and then for `plays`, "
    "which are counted by the live charts."
)

_ID = re.compile(ID_PATTERN)
_NAME = re.compile(NAME_ID_PATTERN)


Name = Annotated[str, InPath(description="The id of a song that is known by name only: `name:` and more")]


class MatchReceipt(Struct, frozen=True, kw_only=True, rename="camel"):
    """What an accepted request gets: the name, the song that it is from now on, what becomes of the past, and where it
    can be looked up."""

    name: str
    song_id: str | None
    note: str
    href: str


class _Wish(Struct, forbid_unknown_fields=True, rename="camel"):
    song_id: str


_wishes = Decoder(_Wish)


def routes(settings: CosmosSettings) -> APIRouter:
    """The routes. The app's state has `events`, an EventEndpoint."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with cosmos.opened(settings) as account:
            container = partial(cosmos.container, account, DATABASE)
            app.state.matching = MatchRecords(container(NAMES), CatalogSongs(container, time.monotonic), PATIENCE_S)
            yield

    router = APIRouter(lifespan=lifespan)

    @router.put("/v1/matches/{name}", status_code=202, summary="Say which song a name is", **MATCH)
    async def match(request: Request, name: Name) -> Response:
        """`name` is the id of a song that is known by name only. Saying the same again changes nothing."""
        _check_name(name)
        song_id = await _wished(request)
        records: MatchRecords = request.app.state.matching
        try:
            known = (await records.match(name)).song_id
            document = await records.song(song_id)
        except TransientError as error:
            raise _later(error) from None
        if known == song_id:
            return _receipt(name, song_id)
        if document is None or document.latest is None:
            raise RequestDeclinedError(404, "No such song", f"There is no song {song_id} in the catalog.")
        if document.latest.song is None:
            raise RequestDeclinedError(
                409, "Song taken away", f"Song {song_id} was taken away at {document.latest.at.isoformat()}."
            )
        if known is not None:
            raise RequestDeclinedError(
                409,
                "Matched already",
                f"{name} is song {known}, so it can't be {song_id}: take that back first "
                f"(DELETE /v1/matches/{name}, or `songline match undo {name}`).",
            )
        await _publish(request, NameMatched(user_id=_speaker(request), name=name, song_id=song_id))
        return _receipt(name, song_id)

    @router.delete("/v1/matches/{name}", status_code=202, summary="Take back which song a name is", **UNMATCH)
    async def unmatch(request: Request, name: Name) -> Response:
        """The name is then a song that is known by name only, as before."""
        _check_name(name)
        records: MatchRecords = request.app.state.matching
        try:
            known = await records.match(name)
        except TransientError as error:
            raise _later(error) from None
        if known.song_id is None:
            detail = f"Nobody said which song {name} is: /v1/matches lists the names of which somebody did."
            raise RequestDeclinedError(404, "No such match", detail)
        await _publish(request, NameUnmatched(user_id=_speaker(request), name=name))
        return _receipt(name, None)

    return router


def _check_name(name: str) -> None:
    if not _NAME.search(name):
        raise RequestDeclinedError(
            404, "No such name", f"{excerpt(name)!r} is no name: expected {PATTERNS[NAME_ID_PATTERN]}."
        )


async def _wished(request: Request) -> str:
    """The song in the body. Raises ContractViolationError and RequestDeclinedError."""
    endpoint: EventEndpoint = request.app.state.events
    with endpoint.memory.reserved(request.scope, MAX_EVENT_BYTES) as reserved:
        body = await endpoint.read_body(request.receive, MAX_EVENT_BYTES, reserved)
    try:
        song_id = _wishes.decode(body).song_id
    except PoisonError as poison:
        raise refuse("event", excerpt(body), f'{{"songId": …}} ({poison.detail})') from None
    if not _ID.search(song_id):
        raise refuse("songId", song_id, PATTERNS[ID_PATTERN])
    if is_name_id(song_id):
        raise refuse("songId", song_id, "a song of the catalog: a name can't stand for another name")
    return song_id


async def _publish(request: Request, data: NameMatched | NameUnmatched) -> None:
    """Return once the hub or the disk has the event. Raises RequestDeclinedError."""
    now = datetime.now(UTC)
    event_id = uuid7(int(now.timestamp() * 1000), secrets.randbits(74))
    endpoint: EventEndpoint = request.app.state.events
    await endpoint.publish_own(encode(Event(id=event_id, source=SOURCE, time=now, data=data)))


def _speaker(request: Request) -> str:
    caller = request.scope.get("state", {}).get(CALLER)
    return OPERATOR if caller is None else str(caller.subject)


def _receipt(name: str, song_id: str | None) -> Response:
    receipt = MatchReceipt(name=name, song_id=song_id, note=NOTE, href=f"/v1/matches/{name}")
    answer = json_response(msgspec.to_builtins(receipt), 202)
    answer.headers["Location"] = receipt.href
    return answer


def _later(error: TransientError) -> RequestDeclinedError:
    return RequestDeclinedError(503, "Matches can't be read now", f"{error}.", RETRY_SECONDS)
