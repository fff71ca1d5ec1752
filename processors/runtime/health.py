"""A worker's health over HTTP: `/health/live`, `/health/ready` and `/health/progress`."""

import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

import msgspec
from aiohttp import web
from msgspec import structs

from songline.cloud import credentials
from songline.cloud.credentials import FailedRenewal
from songline.schemas.progress_report import NotReadyCause, ProgressReport, not_ready

log = logging.getLogger(__name__)

_encode = msgspec.json.Encoder().encode


@asynccontextmanager
async def serve_health(
    port: int,
    report: Callable[[], ProgressReport],
    host: str = "127.0.0.1",
    failed_renewals: Callable[[], Iterable[FailedRenewal]] = credentials.failed_renewals,
) -> AsyncIterator[int]:
    """Serve health on `port` of the address `host`, 0 for a free one; gives the port. The worker is ready where
    `report` gives no reasons, and no renewal of a token has failed."""

    def told() -> ProgressReport:
        found = report()
        ending = [not_ready(found.worker, NotReadyCause.ACCESS_DENIED, one.sentence) for one in failed_renewals()]
        return structs.replace(found, reasons=(*found.reasons, *ending)) if ending else found

    async def live(request: web.Request) -> web.Response:
        return web.json_response({"status": "live"})

    async def ready(request: web.Request) -> web.Response:
        reasons = [f"{one.sentence}: {one.mend}" for one in told().reasons]
        if reasons:
            return web.json_response({"status": "not ready", "reasons": reasons}, status=503)
        return web.json_response({"status": "ready"})

    async def progress(request: web.Request) -> web.Response:
        return web.Response(body=_encode(told()), content_type="application/json")

    app = web.Application()
    # aiohttp answers HEAD wherever it answers GET.
    app.add_routes(
        [
            web.get("/health/live", live),
            web.get("/health/ready", ready),
            web.get("/health/progress", progress),
        ]
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        bound: int = runner.addresses[0][1]
        log.info(
            "health is served on http://%s/health/ready", f"[{host}]:{bound}" if ":" in host else f"{host}:{bound}"
        )
        yield bound
    finally:
        await runner.cleanup()
