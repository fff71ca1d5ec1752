"""Whether the worker lives and keeps up: `/health/live`, `/health/ready` and `/health/progress` on 127.0.0.1."""

from collections.abc import Callable

from mode import Service

from songline.processors.runtime.health import serve_health
from songline.processors.runtime.process import CRASHED_IN_FOLD
from songline.processors.runtime.watchdog import watchdog
from songline.schemas.progress_report import ProgressReport


class Health(Service):  # type: ignore[misc] # mode has no types
    """`processors.health` as a service beside the app. `report`: how far the worker is, and why it is not ready."""

    def __init__(self, port: int, hang_s: float, report: Callable[[], ProgressReport]) -> None:
        super().__init__()
        self._port = port
        self._hang_s = hang_s
        self._report = report
        self.port = port

    async def on_start(self) -> None:
        self.port = await self.add_async_context(serve_health(self._port, self._report))
        await self.add_async_context(watchdog(self._hang_s, CRASHED_IN_FOLD))
