"""Whether the worker lives and keeps up: `/health/live` and `/health/ready` on 127.0.0.1."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web
from faust.types import TP
from mode import Service
from msgspec import Struct

log = logging.getLogger(__name__)


class Progress(Struct):
    position: int
    moved_at: float


class Watchdog:
    """Finds partitions that have something to count and don't move. `stall` is in seconds."""

    def __init__(self, stall: float) -> None:
        self.stall = stall
        self._progress: dict[TP, Progress] = {}

    def stalled(self, behind: Mapping[TP, tuple[int, int]], now: float) -> list[TP]:
        """`behind`: of each partition, the next offset to count and where it ends; `now`: seconds of a steady clock."""
        found = []
        for tp, (position, end) in behind.items():
            known = self._progress.get(tp)
            if known is None or known.position != position or position >= end:
                self._progress[tp] = Progress(position, now)
            elif now - known.moved_at >= self.stall:
                found.append(tp)
        for tp in self._progress.keys() - behind.keys():
            del self._progress[tp]
        return sorted(found)


class Health(Service):  # type: ignore[misc] # mode has no types
    """A small web server beside the app. `why_not` gives the reasons for which the worker is not ready."""

    def __init__(self, port: int, why_not: Callable[[], list[str]]) -> None:
        super().__init__()
        self._port = port
        self._why_not = why_not
        self._runner: web.AppRunner | None = None
        self.port = port

    async def on_start(self) -> None:
        app = web.Application()
        app.add_routes([web.get("/health/live", self._live), web.get("/health/ready", self._ready)])
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        addresses: list[Any] = self._runner.addresses
        self.port = addresses[0][1]
        log.info("health is served on http://127.0.0.1:%d/health/ready", self.port)

    async def on_stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _live(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "live"})

    async def _ready(self, request: web.Request) -> web.Response:
        reasons = self._why_not()
        if reasons:
            return web.json_response({"status": "not ready", "reasons": reasons}, status=503)
        return web.json_response({"status": "ready"})
