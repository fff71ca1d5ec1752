"""The read API over HTTP: charts, songs, libraries, ingestions and the live feed, and the dashboard."""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from songline.cloud import blobs, cosmos, eventhubs, servicebus
from songline.cloud.settings import BlobSettings, CosmosSettings, EventHubsSettings, ServiceBusSettings
from songline.projections import past, staleness
from songline.projections.charts import routes as chart_api
from songline.projections.charts.history import History, SongHistory
from songline.projections.charts.routes import Index
from songline.projections.http import health_routes as health_api
from songline.projections.http import openapi, pages
from songline.projections.http.fault_answers import INTERNAL
from songline.projections.http.front import AllowedNames
from songline.projections.http.parameters import ParametersError, known
from songline.projections.http.problems import Fault, Problem, answer, refused
from songline.projections.http.responses import shown
from songline.projections.hub_creation import HubCreation
from songline.projections.hub_ends import HubEndsReader
from songline.projections.imports import routes as import_api
from songline.projections.ingestions import routes as ingestion_api
from songline.projections.ingestions.queries import HEARTBEAT, POLL, IngestionsAnswer, Step
from songline.projections.library import routes as library_api
from songline.projections.library.folded_cache import FoldedCache
from songline.projections.library.library_reader import LibraryReader
from songline.projections.live import now_playing_routes as now_playing_api
from songline.projections.live import routes as live_api
from songline.projections.live.dead_letters import DeadLetterReader, LettersAnswer
from songline.projections.live.feed import FeedStores, LiveFeed
from songline.projections.live.hubs import HubCounter
from songline.projections.live.now_playing import Broadcast
from songline.projections.live.routes import Followed
from songline.projections.live.snapshot import STALE_S, Live
from songline.projections.live.worker_reports import WorkerReports
from songline.projections.live_version import VersionedStores
from songline.projections.matches import routes as match_api
from songline.projections.parked import routes as parked_api
from songline.projections.parked.queries import ParkedAnswer
from songline.projections.plays import routes as plays_api
from songline.projections.songs import routes as song_api
from songline.projections.songs.audio import SongAudio
from songline.projections.songs.served_songs import SongVersions
from songline.projections.staleness import StalenessCheck
from songline.projections.store import DocumentStore, StoreUnavailableError
from songline.schemas.channels import (
    DATABASE,
    IMPORTS,
    INGESTIONS,
    LIBRARY,
    MUSIC_EVENTS,
    NAMES,
    PARKED,
    PROJECTIONS,
)
from songline.schemas.documents import Chart
from songline.schemas.erasures import ErasureAnswer
from songline.schemas.imports import ImportAnswer, ImportsAnswer
from songline.schemas.ingestions import IngestionAnswer
from songline.schemas.library.answers import Library, LibrarySummary, Recent
from songline.schemas.match_answers import MatchAnswer, MatchesAnswer, NamedSongAnswer
from songline.schemas.plays import SongPlays
from songline.schemas.session import SessionAnswer
from songline.schemas.songs import SongAnswer, SongsAnswer
from songline.schemas.types import PATTERNS

SERVED = (
    Chart,
    ErasureAnswer,
    Followed,
    History,
    ImportAnswer,
    ImportsAnswer,
    Index,
    IngestionAnswer,
    IngestionsAnswer,
    LettersAnswer,
    Library,
    LibrarySummary,
    Live,
    MatchAnswer,
    MatchesAnswer,
    NamedSongAnswer,
    ParkedAnswer,
    Problem,
    Recent,
    SessionAnswer,
    SongAnswer,
    SongHistory,
    SongPlays,
    SongsAnswer,
    Step,
)
"""The types of all answers."""
RETRY_SECONDS = 2
DEFAULT_FRONT = AllowedNames()


def create(
    settings: CosmosSettings,
    storage: BlobSettings | None = None,
    hubs: EventHubsSettings | None = None,
    bus: ServiceBusSettings | None = None,
    *,
    poll: float = POLL,
    heartbeat: float = HEARTBEAT,
    stale_s: float = STALE_S,
    front: AllowedNames = DEFAULT_FRONT,
    workers: Mapping[str, str] = MappingProxyType({}),
) -> FastAPI:
    """The application. It also starts without Cosmos DB, and answers 503 until Cosmos DB can be reached.

    Without `storage` it serves no audio, without `hubs` no rates, without `bus` no dead letters. `poll` and `heartbeat`
    are the periods of the ingestion streams, in seconds. `stale_s` is the age in seconds from which a projection is
    stale. `front` has the allowed hosts and origins. `workers` has the known base URLs of the workers' health
    endpoints, by name.
    """

    broadcast = Broadcast()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(cosmos.opened(settings))

            def store(name: str) -> DocumentStore:
                return DocumentStore(cosmos.container(client, DATABASE, name))

            versions = app.state.versions = VersionedStores(store(PROJECTIONS), store, time.monotonic)
            names = app.state.names = store(NAMES)
            songs = app.state.songs = SongVersions(versions, names)
            app.state.ingestions = store(INGESTIONS)
            app.state.imported = store(IMPORTS)
            app.state.broadcast = broadcast
            app.state.libraries = LibraryReader(store(LIBRARY), FoldedCache())
            app.state.parked = store(PARKED)
            app.state.audio = app.state.dead_letters = app.state.hub = None
            ends: HubEndsReader | None = None
            if hubs is not None:
                consumer = eventhubs.consumer(hubs, MUSIC_EVENTS, "$Default", retry_total=0)
                stack.push_async_callback(consumer.close)
                app.state.hub = HubCreation(consumer, time.monotonic)
                stack.push_async_callback(app.state.hub.close)
                ends = HubEndsReader(consumer, _now, time.monotonic)
                stack.push_async_callback(ends.close)
            app.state.staleness = StalenessCheck(ends, _now)
            if storage is not None:
                blob_client = blobs.client(storage)
                stack.push_async_callback(blob_client.close)
                app.state.audio = SongAudio(blob_client)
            if bus is not None:
                app.state.dead_letters = DeadLetterReader(servicebus.client(bus, retry_total=0))
                stack.push_async_callback(app.state.dead_letters.close)
            app.state.feed = LiveFeed(
                FeedStores(versions, songs, app.state.ingestions, app.state.hub),
                None if hubs is None else HubCounter(hubs, time.monotonic),
                broadcast,
                _now,
                stale_s=stale_s,
                workers=WorkerReports(workers),
            )
            stack.push_async_callback(app.state.feed.close)
            yield

    app = FastAPI(
        title="Songline",
        version="1",
        lifespan=lifespan,
        # FastAPI's own route would accept unknown query parameters.
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(known)],
    )
    chart_api.routes(app)
    live_api.routes(app)
    if hubs is not None:
        app.include_router(now_playing_api.routes(hubs, broadcast))
    song_api.routes(app)
    plays_api.routes(app)
    library_api.routes(app)
    ingestion_api.routes(app, poll, heartbeat)
    import_api.routes(app)
    match_api.routes(app)
    parked_api.routes(app)
    past.install(app)
    staleness.install(app)
    health_api.routes(app)
    pages.routes(app)
    _problems(app)
    openapi.describe(app, SERVED)
    front.install(app)
    return app


def _now() -> datetime:
    return datetime.now(UTC)


def _problems(app: FastAPI) -> None:
    @app.exception_handler(StoreUnavailableError)
    async def unavailable(request: Request, error: StoreUnavailableError) -> Response:
        return answer(Problem("Store unavailable", 503, f"{error}. Try again later."), RETRY_SECONDS)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        details = error.errors()
        faults = tuple(Fault(str(detail["loc"][-1]), shown(detail["input"]), _rule(detail)) for detail in details)
        if any(detail["loc"][0] == "path" for detail in details):
            return refused(404, "Not found", faults)
        return refused(400, "Bad request", faults)

    @app.exception_handler(ParametersError)
    async def misspelt(request: Request, error: ParametersError) -> Response:
        return refused(400, "Bad request", error.faults)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        detail = f"{request.method} {request.url.path}: {error.detail}. /docs tells what there is."
        response = answer(Problem(error.detail, error.status_code, detail))
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(Exception)
    async def fault(request: Request, error: Exception) -> Response:
        return answer(INTERNAL)


def _rule(detail: dict[str, Any]) -> str:
    """The rule that a value breaks, from pydantic's error."""
    if detail["type"] == "literal_error":
        return f"one of {detail['ctx']['expected']}"
    if detail["type"] == "value_error":
        return str(detail["ctx"]["error"])
    if detail["type"] == "string_pattern_mismatch":
        # pydantic's engine gets the patterns without `END`.
        pattern = detail["ctx"]["pattern"]
        return next((words for known, words in PATTERNS.items() if known.removesuffix(r"(?!\n)") == pattern), pattern)
    return str(detail["msg"]).removeprefix("Input should be ").removeprefix("String should have ")
