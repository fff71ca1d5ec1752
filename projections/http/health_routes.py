"""The health of the API: `/health/live`, `/health/ready` and `/health/progress`.

The API is ready when its stores can be read. The workers report their own progress.
"""

import asyncio
from datetime import UTC, datetime

import msgspec
from fastapi import FastAPI, Request
from starlette.responses import Response

from songline.cloud.service_fault import is_denied
from songline.projections.http.responses import plain
from songline.projections.store import StoreUnavailableError
from songline.schemas.progress_report import NotReadyCause, ProgressReport, not_ready

NAME = "api"
# Probes and load balancers use HEAD, too.
METHODS = ["GET", "HEAD"]


def routes(app: FastAPI) -> None:
    """Add the routes. The app's state has `charts`, `plays`, `songs`, `ingestions`, `library`: each a DocumentStore."""

    @app.api_route("/health/live", methods=METHODS, include_in_schema=False)
    async def live() -> Response:
        return plain({"status": "live"})

    @app.api_route("/health/ready", methods=METHODS, include_in_schema=False)
    async def ready(request: Request) -> Response:
        await _check(request.app)
        return plain({"status": "ready"})

    @app.api_route("/health/progress", methods=METHODS, include_in_schema=False)
    async def progress(request: Request) -> Response:
        now = datetime.now(UTC)
        try:
            await _check(request.app)
        except StoreUnavailableError as error:
            denied = error.__cause__ is not None and is_denied(error.__cause__)
            cause = NotReadyCause.ACCESS_DENIED if denied else NotReadyCause.SERVICE_AWAY
            report = ProgressReport(worker=NAME, as_of=now, reasons=(not_ready(NAME, cause, str(error)),))
        else:
            report = ProgressReport(worker=NAME, as_of=now)
        return Response(msgspec.json.encode(report), media_type="application/json")


async def _check(app: FastAPI) -> None:
    """Read every container; raises StoreUnavailableError."""
    state = app.state
    stores = (state.charts, state.plays, state.songs, state.ingestions, state.library)
    for failure in await asyncio.gather(*(store.check() for store in stores), return_exceptions=True):
        if failure is not None:
            raise failure
