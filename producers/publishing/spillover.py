"""Store and forward: carries out what the publisher's state decides for the outbox, in a thread of its own.

While events go straight to the hub nothing touches the disk. While they spill over, each is written to the outbox, and
is accepted with that. The replay sends what the outbox has, in order, in loads, each deleted when the hub has it.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic
from typing import Any, Self, TypeVar

from songline.producers.publishing.errors import OutboxFullError
from songline.producers.publishing.outbox import Outbox
from songline.producers.publishing.publisher_state import PublisherState
from songline.producers.publishing.state import Effects, QueuedEvent, SpilloverMode

logger = logging.getLogger("songline.producers.publishing.outbox")

DISK_PAUSE_S = 2.0
SILENCE_S = 30.0
"""Seconds before the same thing is logged again: a full disk is found to be so with every event."""

_T = TypeVar("_T")


class Spillover:
    """An open outbox, and the tasks that write to it and replay it. `execute` carries out effects, `now` gives Unix
    seconds."""

    def __init__(
        self,
        outbox: Outbox,
        thread: ThreadPoolExecutor,
        state: PublisherState,
        execute: Callable[[Effects], None],
        now: Callable[[], float],
    ) -> None:
        self.outbox = outbox
        self._thread, self._state, self._execute, self._now = thread, state, execute, now
        self._to_write, self._written, self._to_replay = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._logged: dict[str, float] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self.start(self._write())
        self._replaying = self.start(self._replay())

    @classmethod
    async def open(
        cls,
        path: Path,
        max_events: int,
        max_bytes: int,
        state: PublisherState,
        execute: Callable[[Effects], None],
        now: Callable[[], float],
    ) -> Self:
        """Open what is at `path`; raises OutboxLockedError and OSError."""
        thread = ThreadPoolExecutor(1, "outbox")
        try:
            outbox = await asyncio.get_running_loop().run_in_executor(
                thread, lambda: Outbox(path, max_events=max_events, max_bytes=max_bytes)
            )
        except BaseException:
            thread.shutdown(wait=False)
            raise
        return cls(outbox, thread, state, execute, now)

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do `work` until it ends or the outbox is closed."""
        task = asyncio.create_task(work)
        self._tasks.append(task)
        return task

    def wake(self, effects: Effects) -> None:
        """There is something to write, or another step of the replay."""
        if effects.wake_writer:
            self._to_write.set()
        if effects.wake_replay:
            self._to_replay.set()
        if effects.entered is SpilloverMode.SPILLING:
            line = "the hub does not take events, or there are some of before: they go to the outbox"
            self._log(logging.WARNING, "on", line)
        elif effects.entered is SpilloverMode.DIRECT:
            self._log(logging.WARNING, "off", "the outbox is empty: events go to the hub again")

    async def flush(self) -> None:
        """Return when the outbox has, or has refused, all that came."""
        while not self._state.is_written:
            self._written.clear()
            await self._written.wait()

    async def close(self, grace_s: float) -> None:
        """Let the replay delete what was sent, for at most `grace_s`, and let go of the file."""
        try:
            await asyncio.wait([self._replaying], timeout=grace_s)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await asyncio.get_running_loop().run_in_executor(self._thread, self.outbox.close)
            self._thread.shutdown(wait=False)

    async def _write(self) -> None:
        """Write what arrives, as much at a time as has come meanwhile; until cancelled."""
        while True:
            await self._to_write.wait()
            self._to_write.clear()
            accepted_at = self._now()
            rows = [(event.partition_key, accepted_at, event.body) for event in self._state.next_write()]
            if not rows:
                continue
            try:
                last = await self._on_disk(lambda rows=rows: self.outbox.append(rows))  # type: ignore[misc]
            except OutboxFullError as failure:
                self._log(logging.ERROR, "full", str(failure))
                self._execute(self._state.write_failed(failure))
            else:
                self._execute(self._state.written(last))
            self._written.set()

    async def _replay(self) -> None:
        """Do one step of the replay after the other, until its end, or cancelled."""
        while True:
            step = self._state.next_replay_step()
            match step.do:
                case "wait":
                    await self._to_replay.wait()
                    self._to_replay.clear()
                case "delete":
                    await self._until_done(lambda step=step: self.outbox.delete(step.through))  # type: ignore[misc]
                    self._state.deleted()
                case "read":
                    self._execute(self._state.loaded(await self._load(step.after)))
                case "drain":
                    self._execute(self._state.drained())
                    await self._until_done(self.outbox.shrink)
                case "end":
                    return

    async def _load(self, after: int) -> list[QueuedEvent]:
        stored = await self._until_done(lambda: self.outbox.read(after, self._state.load_events))
        since = monotonic()
        return [QueuedEvent(each.body, each.partition_key, since, copy="stored", number=each.number) for each in stored]

    async def _until_done(self, work: Callable[[], _T]) -> _T:
        """Try until the disk does it: what it holds has been accepted."""
        while True:
            try:
                return await self._on_disk(work)
            except OSError as error:
                self._log(logging.ERROR, "disk", str(error))
                await asyncio.sleep(DISK_PAUSE_S)

    def _log(self, level: int, what: str, line: str) -> None:
        now_s = monotonic()
        if now_s - self._logged.get(what, -SILENCE_S) >= SILENCE_S:
            self._logged[what] = now_s
            logger.log(level, "%s", line)

    async def _on_disk(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
