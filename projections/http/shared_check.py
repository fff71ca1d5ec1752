"""A check that many ask for, and that is done once for all who ask within a second: nobody has to show who they are."""

import asyncio
from collections.abc import Awaitable, Callable

KEPT_S = 1.0


class SharedCheck:
    """Does `check`, and keeps what came of it for `kept_s` seconds, also when it failed. `steady` gives seconds."""

    def __init__(
        self, check: Callable[[], Awaitable[None]], steady: Callable[[], float], kept_s: float = KEPT_S
    ) -> None:
        self._check, self._steady, self._kept_s = check, steady, kept_s
        self._running: asyncio.Task[None] | None = None
        self._done_s = 0.0

    async def __call__(self) -> None:
        """Raises what `check` raises."""
        running = self._running
        if running is None or (running.done() and not 0 <= self._steady() - self._done_s < self._kept_s):
            running = self._running = asyncio.create_task(self._run())
        # It goes on for the others when one who waits for it is given up.
        await asyncio.wait([running])
        error = running.exception()
        if error is not None:
            raise error.with_traceback(None)

    async def _run(self) -> None:
        try:
            await self._check()
        finally:
            self._done_s = self._steady()
