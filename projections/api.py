"""The read API: charts, songs and ingestions over HTTP, for dashboards and apps."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import fastapi_offline
from fastapi import FastAPI, Query, Request
from fastapi import Path as InPath
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.docs import get_swagger_ui_html
from msgspec import Struct
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from cloud import blobs, cosmos
from cloud.settings import Blobs, Cosmos
from projections import charts, ingestion_api, openapi, song_api
from projections.answers import fresh, plain, shown
from projections.audio import AudioStore
from projections.ingestions import HEARTBEAT, POLL, IngestionAnswer, Step
from projections.problems import Fault, Problem, answer, refused
from projections.songs import SongAnswer, SongsAnswer
from projections.store import Store, Unavailable
from schemas.channels import CHARTS, DATABASE, INGESTIONS, SONGS
from schemas.documents import CHART_SIZE, GLOBAL, KINDS, WINDOWS, Chart, Kind, Window
from schemas.regions import REGIONS

# The trending worker writes a chart at most once a second, so a copy is as good as the original for that long.
CHART_CACHE = "public, max-age=1"
INDEX_CACHE = "public, max-age=3600"
RETRY_SECONDS = 2
ASSETS = "/docs/assets"


class Index(Struct, frozen=True, kw_only=True, rename="camel"):
    """What can be asked for. A scope is `global`, or `region:` and one of `regions`, or `genre:` and a genre's name."""

    kinds: Sequence[str] = KINDS
    windows: Sequence[str] = WINDOWS
    scopes: Sequence[str] = ("global", "region:XX", "genre:name")
    regions: Sequence[str] = tuple(sorted(REGIONS))
    max_limit: int = CHART_SIZE


def create(
    settings: Cosmos, storage: Blobs | None = None, *, poll: float = POLL, heartbeat: float = HEARTBEAT
) -> FastAPI:
    """The app. It starts without Cosmos DB being there, and answers 503 until it is. Without `storage` it has no sound.

    `poll` and `heartbeat`, in seconds, are those of streams.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        client = cosmos.client(settings)
        places = None if storage is None else blobs.client(storage)
        app.state.charts = Store(cosmos.container(client, DATABASE, CHARTS))
        app.state.songs = Store(cosmos.container(client, DATABASE, SONGS))
        app.state.ingestions = Store(cosmos.container(client, DATABASE, INGESTIONS))
        app.state.audio = None if places is None else AudioStore(places)
        try:
            yield
        finally:
            await client.close()
            if places is not None:
                await places.close()

    app = FastAPI(title="Songline", version="1", lifespan=lifespan, docs_url=None, redoc_url=None)
    _charts(app)
    song_api.routes(app)
    ingestion_api.routes(app, poll, heartbeat)
    _health(app)
    _pages(app)
    _problems(app)
    openapi.describe(app, (Chart, Index, SongAnswer, SongsAnswer, IngestionAnswer, Step, Problem))
    return app


def _charts(app: FastAPI) -> None:
    @app.get("/v1/charts", summary="What can be asked for", responses=openapi.answers("Index", 304))
    async def index(request: Request) -> Response:
        return fresh(request, Index(), INDEX_CACHE)

    @app.get("/v1/charts/{kind}/{window}", summary="A chart", responses=openapi.answers("Chart", 304, 400, 404, 503))
    async def chart(
        request: Request,
        kind: Annotated[Kind, InPath(description="`top` ranks by listens, `trending` by what rises")],
        window: Annotated[Window, InPath(description="The time that the chart looks back")],
        scope: Annotated[str, Query(description=charts.SCOPE_RULE, examples=["global", "region:DE"])] = GLOBAL,
        limit: Annotated[int, Query(ge=1, le=CHART_SIZE, description="How many lines at most")] = CHART_SIZE,
    ) -> Response:
        """Every answer says how fresh it is: `asOf`, `completeThrough` and `position`. A scope in which nothing
        happened has no entries. With `If-None-Match` an unchanged chart is 304."""
        if not charts.is_scope(scope):
            return refused(400, "No such scope", (Fault("scope", shown(scope), charts.SCOPE_RULE),))
        found = await charts.chart(request.app.state.charts, kind, window, scope, limit)
        if found is None:
            detail = f"The {kind} chart of the last {window} has not been computed yet; the trending worker makes it."
            return answer(Problem("Not computed yet", 503, detail), RETRY_SECONDS)
        return fresh(request, found, CHART_CACHE)


def _health(app: FastAPI) -> None:
    @app.get("/health/live", include_in_schema=False)
    async def live() -> Response:
        return plain({"status": "live"})

    @app.get("/health/ready", include_in_schema=False)
    async def ready(request: Request) -> Response:
        for store in (request.app.state.charts, request.app.state.songs, request.app.state.ingestions):
            await store.check()
        return plain({"status": "ready"})


def _pages(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    async def root() -> Response:
        return RedirectResponse("/docs")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title="Songline API",
            swagger_js_url=f"{ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{ASSETS}/favicon.png",
            # Swagger UI would send the document's address to a validator on another host.
            swagger_ui_parameters={"validatorUrl": None},
        )

    # Served from a Python package: the page works on a machine without a way out.
    app.mount(ASSETS, StaticFiles(directory=Path(fastapi_offline.__file__).parent / "static"))


def _problems(app: FastAPI) -> None:
    @app.exception_handler(Unavailable)
    async def unavailable(request: Request, error: Unavailable) -> Response:
        return answer(Problem("Store unavailable", 503, f"{error}. Try again later."), RETRY_SECONDS)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        details = error.errors()
        faults = tuple(Fault(str(detail["loc"][-1]), shown(detail["input"]), _rule(detail)) for detail in details)
        if any(detail["loc"][0] == "path" for detail in details):
            return refused(404, "Not found", faults)
        return refused(400, "Bad request", faults)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        detail = f"{request.method} {request.url.path}: {error.detail}. /docs tells what there is."
        response = answer(Problem(error.detail, error.status_code, detail))
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(Exception)
    async def fault(request: Request, error: Exception) -> Response:
        return answer(Problem("Internal error", 500, "The fault is ours; the log has the cause."))


def _rule(detail: dict[str, Any]) -> str:
    """pydantic's sentence as what is expected."""
    if detail["type"] == "literal_error":
        return f"one of {detail['ctx']['expected']}"
    return str(detail["msg"]).removeprefix("Input should be ")
