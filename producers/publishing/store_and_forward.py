"""An open outbox, the detour over it, and the tasks that keep both going."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

from songline.producers.publishing.outbox import Outbox
from songline.producers.publishing.partition_sender import PublishCounts, QueuedEvent
from songline.producers.publishing.spillover import Spillover


class Storage:
    """Everything that a publisher with an outbox has beyond one without. `connected` is set once there are lanes."""

    def __init__(self, outbox: Outbox, thread: ThreadPoolExecutor, detour: Spillover) -> None:
        self.outbox, self.detour = outbox, detour
        self.connected = asyncio.Event()
        self._thread = thread
        self._tasks: list[asyncio.Task[None]] = []
        self.start(detour.write())
        self._pump = self.start(detour.pump(self.connected))

    @classmethod
    async def open(
        cls,
        path: Path,
        max_events: int,
        max_bytes: int,
        tally: PublishCounts,
        send: Callable[[QueuedEvent], None],
        released: Callable[[], None],
        now: Callable[[], float],
    ) -> Self:
        """Open what is at `path`; raises OutboxLockedError and OSError. The rest is the detour's."""
        thread = ThreadPoolExecutor(1, "outbox")
        try:
            outbox = await asyncio.get_running_loop().run_in_executor(
                thread, lambda: Outbox(path, max_events=max_events, max_bytes=max_bytes)
            )
        except BaseException:
            thread.shutdown(wait=False)
            raise
        return cls(outbox, thread, Spillover(outbox, thread, tally, send, released, now))

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do `work` until it ends or the storage is closed."""
        task = asyncio.create_task(work)
        self._tasks.append(task)
        return task

    async def close(self, grace_s: float = 0.0) -> None:
        """Let the pump forget what was sent, for at most `grace_s`, and let go of the file."""
        try:
            await asyncio.wait([self._pump], timeout=grace_s)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await asyncio.get_running_loop().run_in_executor(self._thread, self.outbox.close)
            self._thread.shutdown(wait=False)
