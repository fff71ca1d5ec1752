"""Whether the worker lives and keeps up: `/health/live` and `/health/ready` on 127.0.0.1."""

from collections.abc import Callable, Mapping

from faust.types import TP
from mode import Service
from msgspec import Struct

from processors.health import serving
from processors.running import CRASHED_IN_FOLD
from processors.runtime.watchdog import watched


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
    """`processors.health` as a service beside the app. `why_not`: the reasons for which the worker is not ready."""

    def __init__(self, port: int, hang_s: float, why_not: Callable[[], list[str]]) -> None:
        super().__init__()
        self._port = port
        self._hang_s = hang_s
        self._why_not = why_not
        self.port = port

    async def on_start(self) -> None:
        self.port = await self.add_async_context(serving(self._port, self._why_not))
        await self.add_async_context(watched(self._hang_s, CRASHED_IN_FOLD))
