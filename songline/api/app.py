"""Composes the read API and the write API at one address. Neither imports the other."""

import logging
import os
from collections.abc import Mapping
from typing import Any

import click
from fastapi import FastAPI, Request
from msgspec import Struct
from starlette.responses import Response

from songline.api import erasure_setting, layers, openapi_security, publishing
from songline.api.guard_settings import AUTH, GuardSettings
from songline.api.limit_settings import LimitSettings
from songline.api.past_folds import past_reader
from songline.api.refusals import refusal
from songline.api.serving import read_head, serve
from songline.api.session.sealing import Sealer
from songline.api.session.settings import PageSettings
from songline.api.setting_stand_ins import stand_ins
from songline.cloud.extras import load
from songline.cloud.logs import log_to_stderr
from songline.cloud.settings import (
    BLOB_CONNECTION,
    BLOB_ENDPOINT,
    EVENTHUB_CONNECTION,
    EVENTHUB_NAMESPACE,
    SERVICEBUS_CONNECTION,
    SERVICEBUS_NAMESPACE,
    CosmosSettings,
    EventHubsSettings,
    ServiceBusSettings,
    SettingError,
    names_blobs,
    read_blobs,
    read_cosmos,
    read_eventhubs,
    read_number,
    read_servicebus,
)
from songline.cloud.wrong_settings import read_settings
from songline.players import installation as players
from songline.players.opensubsonic import server as opensubsonic
from songline.players.own_writes import WrittenPositions
from songline.players.tokens.token_key import read_sealer
from songline.processes.environment import OUTBOX, WORKERS
from songline.producers.http import event_routes as events_api
from songline.producers.http import import_routes
from songline.producers.http.body_pacing import BodyPaceConfig
from songline.producers.http.callers import Callers
from songline.producers.http.problems import RequestDeclinedError
from songline.producers.http.upload_routes import UploadApiSettings, routes
from songline.producers.uploads.intake import UploadLimits
from songline.projections.api import create
from songline.projections.http.front import AllowedNames
from songline.projections.live.snapshot import STALE_S
from songline.projections.past import PastReader
from songline.schemas.errors import ContractViolationError
from songline.schemas.permission import NotPermittedError

logger = logging.getLogger("api")

UPLOADS = "SONGLINE_UPLOADS"
EACH = "SONGLINE_UPLOADS_EACH"
STALE = "SONGLINE_STALE"
API_HOST = "SONGLINE_API_HOST"
API_PORT = "SONGLINE_API_PORT"


class ApiSettings(Struct, frozen=True):
    """The API's settings.

    `writing` is None without Blob Storage: uploads need it. `events` is None without an outbox: the API then takes no
    events. Without `hubs` the API has no rates, without `bus` no dead letters. A projection older than `stale_s`
    seconds is stale. `workers` has the known base URLs of the workers' health endpoints, by name. `erasures` is the
    environment where erasure and access are offered, else None. `guard` is None where the API asks for no tokens,
    `page` where nobody can sign in to the page. `limiting` says how much one caller may ask. `sealer` opens the
    texts of players' tokens that are kept for salted digests.
    """

    reading: CosmosSettings
    writing: UploadApiSettings | None
    limits: UploadLimits
    hubs: EventHubsSettings | None
    bus: ServiceBusSettings | None
    stale_s: float
    events: events_api.EventApiSettings | None
    front: AllowedNames = AllowedNames()
    workers: Mapping[str, str] = {}
    erasures: Mapping[str, str] | None = None
    guard: GuardSettings | None = None
    page: PageSettings | None = None
    limiting: LimitSettings = LimitSettings()
    sealer: Sealer | None = None

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "ApiSettings":
        """The settings in `environ`; raises SettingError."""
        reading, stale_s = read_cosmos(environ), read_stale(environ)
        hubs = read_eventhubs(environ) if _any(environ, EVENTHUB_CONNECTION, EVENTHUB_NAMESPACE) else None
        bus = read_servicebus(environ) if _any(environ, SERVICEBUS_CONNECTION, SERVICEBUS_NAMESPACE) else None
        events, front = publishing.read(environ), AllowedNames.read(environ)
        workers = {name: environ[variable] for name, variable in WORKERS.items() if environ.get(variable)}
        erasures, guard = erasure_setting.read(environ), GuardSettings.read(environ)
        # Where no tokens are asked for, there is nothing to sign in for.
        page = None if guard is None else PageSettings.read(environ)
        writing, uploads = None, UploadLimits()
        if names_blobs(environ):
            writing = UploadApiSettings(read_servicebus(environ), reading, read_blobs(environ))
            uploads = read_limits(environ)
        return cls(
            reading=reading,
            writing=writing,
            limits=uploads,
            hubs=hubs,
            bus=bus,
            stale_s=stale_s,
            events=events,
            front=front,
            workers=workers,
            erasures=erasures,
            guard=guard,
            page=page,
            limiting=LimitSettings.read(environ),
            sealer=read_sealer(environ),
        )


def read_limits(environ: Mapping[str, str]) -> UploadLimits:
    """The limits of uploads in `environ`; raises SettingError."""
    defaults = UploadLimits()
    uploads = _count(environ, UPLOADS, "how many uploads may be on their way in at a time") or defaults.uploads
    each = _count(environ, EACH, "how many of them may be of one caller")
    return UploadLimits(uploads=uploads, each=each, pace=BodyPaceConfig.read(environ), callers=Callers.read(environ))


def _count(environ: Mapping[str, str], name: str, meaning: str) -> int | None:
    text = environ.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 4 and 1 <= int(text) <= 256):
        raise SettingError(name, repr(text), f"{meaning}, 1 to 256")
    return int(text)


def read_stale(environ: Mapping[str, str]) -> float:
    """Seconds after which a projection is stale; raises SettingError."""
    return read_number(environ, STALE, STALE_S, (1, 86_400), "seconds after which a projection is stale,")


def compose(settings: ApiSettings, past: PastReader | None = None) -> FastAPI:
    """The whole API as one application; `past` reads moments of the past."""
    storage = None if settings.writing is None else settings.writing.blobs
    app = create(
        settings.reading,
        storage,
        settings.hubs,
        settings.bus,
        stale_s=settings.stale_s,
        front=settings.front,
        workers=settings.workers,
    )
    if past is not None:
        app.state.past = past
    _declined(app)
    if settings.erasures is not None:
        # Imported here: it needs what the extra `api` does not bring.
        offered: Any = load("songline.api.erasure_routes", "workers")
        app.include_router(offered.routes(settings.erasures))
    if settings.events is None:
        logger.warning("the API takes no events: there is no outbox; %s names its file", OUTBOX)
    else:
        publishing.serve(app, settings.events)
    if settings.writing is None:
        logger.warning(
            "the API has neither uploads nor audio: there is no Blob Storage; %s or %s names it",
            BLOB_CONNECTION,
            BLOB_ENDPOINT,
        )
    else:
        app.include_router(routes(settings.writing, settings.limits))
        app.include_router(import_routes.routes(settings.limits))
    written = WrittenPositions()
    players.install(app, settings.reading, settings.sealer, written)
    opensubsonic.install(app, settings.limiting.callers, settings.limits.pace, written)
    if settings.guard is None:
        app.state.auth = "off"
        logger.warning(
            "the API asks for no tokens, because %s is off: everybody who reaches it reads every library, and writes "
            "and erases as anybody",
            AUTH,
        )
    else:
        openapi_security.describe(app, settings.guard.open)
    layers.install(app, settings.guard, settings.page, settings.limiting, takes_events=settings.events is not None)
    return app


def _declined(app: FastAPI) -> None:
    async def declined(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestDeclinedError | ContractViolationError | NotPermittedError)
        return refusal(error)

    app.add_exception_handler(RequestDeclinedError, declined)
    app.add_exception_handler(ContractViolationError, declined)
    app.add_exception_handler(NotPermittedError, declined)


def _any(environ: Mapping[str, str], *names: str) -> bool:
    return any(environ.get(name) for name in names)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--host", envvar=API_HOST, default="127.0.0.1", help="Address to listen on.")
@click.option("--port", envvar=API_PORT, default=8000, help="Port to listen on; 0 takes a free one.")
def main(host: str, port: int) -> None:
    """Serve the API. Settings come from the environment: see docs/operations.md."""
    log_to_stderr(logging.WARNING)
    # The SDKs log every lost connection, which the API's answers report as well.
    logging.getLogger("azure").setLevel(logging.ERROR)
    logging.getLogger("uvicorn").setLevel(logging.INFO)
    # aiokafka logs every attempt. The live feed reports one that fails.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        # Also of the settings that are read later, all that are wrong are named at once.
        settings, head_s, past = read_settings(
            lambda environ: (ApiSettings.read(environ), read_head(environ), past_reader(environ)),
            os.environ,
            stand_ins(os.environ),
        )
    except SettingError as error:
        raise SystemExit(f"api: {error}") from None
    serve(compose(settings, past), host, port, head_s)
