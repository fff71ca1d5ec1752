"""Whether a worker lives and keeps up: `/health/live` and `/health/ready` on 127.0.0.1."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

log = logging.getLogger(__name__)


@asynccontextmanager
async def serving(port: int, why_not: Callable[[], list[str]]) -> AsyncIterator[int]:
    """A small web server, and its port; `why_not` gives the reasons for which the worker is not ready."""

    async def live(request: web.Request) -> web.Response:
        return web.json_response({"status": "live"})

    async def ready(request: web.Request) -> web.Response:
        reasons = why_not()
        if reasons:
            return web.json_response({"status": "not ready", "reasons": reasons}, status=503)
        return web.json_response({"status": "ready"})

    app = web.Application()
    app.add_routes([web.get("/health/live", live), web.get("/health/ready", ready)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        bound: int = runner.addresses[0][1]
        log.info("health is served on http://127.0.0.1:%d/health/ready", bound)
        yield bound
    finally:
        await runner.cleanup()
