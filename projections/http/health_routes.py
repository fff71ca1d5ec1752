"""The health of the API: `/health/live`, `/health/ready` and `/health/progress`.

The API is ready when its stores can be read. The workers report their own progress.
"""

import asyncio
import time
from datetime import UTC, datetime

import msgspec
from fastapi import FastAPI, Request
from starlette.responses import Response

from songline.cloud.service_fault import is_denied
from songline.projections.http.responses import plain
from songline.projections.http.shared_check import SharedCheck
from songline.projections.live_version import VersionedStores, VersionUnknownError
from songline.projections.store import DocumentStore, StoreUnavailableError
from songline.schemas.progress_report import NotReadyCause, ProgressReport, not_ready
from songline.schemas.projections import PROJECTIONS_OF_VERSIONS

NAME = "api"
# Probes and load balancers use HEAD, too.
METHODS = ["GET", "HEAD"]


def routes(app: FastAPI) -> None:
    """Add the routes. The app's state has `versions`, the VersionedStores, and `ingestions`, a DocumentStore.

    It has `auth`, `off`, where the API asks for no tokens.
    """

    check = SharedCheck(lambda: _check(app), time.monotonic)

    @app.api_route("/health/live", methods=METHODS, include_in_schema=False)
    async def live() -> Response:
        return plain({"status": "live"})

    @app.api_route("/health/ready", methods=METHODS, include_in_schema=False)
    async def ready(request: Request) -> Response:
        await check()
        auth = getattr(request.app.state, "auth", None)
        return plain({"status": "ready", **({} if auth is None else {"auth": auth})})

    @app.api_route("/health/progress", methods=METHODS, include_in_schema=False)
    async def progress(request: Request) -> Response:
        now = datetime.now(UTC)
        try:
            await check()
        except StoreUnavailableError as error:
            denied = error.__cause__ is not None and is_denied(error.__cause__)
            cause = NotReadyCause.ACCESS_DENIED if denied else NotReadyCause.SERVICE_AWAY
            if isinstance(error, VersionUnknownError):
                cause = NotReadyCause.VERSION_UNKNOWN
            report = ProgressReport(worker=NAME, as_of=now, reasons=(not_ready(NAME, cause, str(error)),))
        else:
            report = ProgressReport(worker=NAME, as_of=now)
        return Response(msgspec.json.encode(report), media_type="application/json")


async def _check(app: FastAPI) -> None:
    """Read every container that is served; raises StoreUnavailableError."""
    versions: VersionedStores = app.state.versions
    ingestions: DocumentStore = app.state.ingestions

    async def check(projection: str) -> None:
        await (await versions.live(projection)).store.check()

    checks = (*map(check, PROJECTIONS_OF_VERSIONS), ingestions.check())
    for failure in await asyncio.gather(*checks, return_exceptions=True):
        if failure is not None:
            raise failure
