"""Captures one partition: waits for a window to end, plans its file, writes it, and remembers that."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

import msgspec

from localcloud.capture.declaration import CaptureConfig
from localcloud.capture.pace import spread_s
from localcloud.capture.retry import retry_until_done
from localcloud.capture.state_file import CaptureState, PlannedFile, save_state
from localcloud.capture.window import Window, start_after_size, window_of
from localcloud.capture.written_file import FileWriter, WholeBlobs
from localcloud.log.partition import PartitionLog

SIZE_CHECK_S: Final = 1.0
SETTLE_S: Final = 5.0
"""How long the end of a window waits for events that were taken before it and are not on disk yet."""
KEEP_PLAN_MS: Final = 60_000
"""Azurite writes down within some seconds what it has acknowledged. A file that it lost is written again at the
next start, as long as its plan is kept."""


class PartitionCapture:
    """Capture of one partition while `run` runs; `name_of` gives the blob's name for a window's start (Unix seconds).

    `begun` is set once the hub has had an event. `turn` has one partition of the hub write at a time: they share the
    event loop with every client. `partitions` says how many there are.
    """

    def __init__(
        self,
        log: PartitionLog,
        config: CaptureConfig,
        state: CaptureState,
        name_of: Callable[[int], str],
        blobs: WholeBlobs,
        now_ms: Callable[[], int],
        begun: asyncio.Event,
        turn: asyncio.Lock,
        partitions: Callable[[], int],
    ) -> None:
        self._log = log
        self._config = config
        self._state = state
        self._name_of = name_of
        self._blobs = blobs
        self._now_ms = now_ms
        self._begun = begun
        self._turn = turn
        self._partitions = partitions

    @property
    def position(self) -> int:
        """The first event that no file holds."""
        return self._state.position

    async def run(self) -> None:
        """Capture until cancelled. First of all, write the planned files that Blob Storage lacks."""
        async with self._turn:
            for plan in self._state.files:
                if plan.written_ms is None:
                    await self._write(plan)
                elif not await self._exists(plan.container, plan.name):
                    await self._make(self._writer(plan), plan)
        while True:
            window = await self._next_window()
            end, early = await self._end_of(window)
            if end > self._state.position or not self._config.skip_empty:
                async with self._turn:
                    await self._write(await self._plan(window, end, early=early))
            else:
                self._state = msgspec.structs.replace(self._state, start_s=window.end_s)

    async def _next_window(self) -> Window:
        """The window of the next event; without any, the present one."""
        position, start_s = self._state.position, self._state.start_s
        if self._config.skip_empty:
            await self._log.wait_for(position)
        else:
            await self._begun.wait()
        if self._log.high_watermark > position:
            moment_ms = await self._of_log(lambda: self._log.read(position, 1)[0].enqueued_ms)
        else:
            moment_ms = self._now_ms()
        return window_of(moment_ms, start_s, self._config.interval_s)

    async def _end_of(self, window: Window) -> tuple[int, bool]:
        """The first event after the window, once it is over; and whether its size ended it."""
        loop = asyncio.get_running_loop()
        position, end_ms = self._state.position, window.end_s * 1000
        # A clock that goes back makes no window longer.
        deadline = loop.time() + self._config.interval_s
        while (left_s := min((end_ms - self._now_ms()) / 1000, deadline - loop.time())) > 0:
            if self._log.high_watermark == position:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._log.wait_for(position), left_s)
                continue
            if self._log.bytes_from(position) >= self._config.size_limit_bytes:
                return self._log.high_watermark, True
            await asyncio.sleep(min(left_s, SIZE_CHECK_S))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._log.wait_for(self._log.end_offset - 1), SETTLE_S)
        return max(position, await self._of_log(lambda: self._log.offset_at(end_ms))), False

    async def _of_log(self, answer: Callable[[], int]) -> int:
        """What the log says, in the end: where it is damaged nothing is passed over."""

        async def asked() -> int:
            return answer()

        return await retry_until_done(asked, str(self._log.folder))

    async def _plan(self, window: Window, end: int, *, early: bool) -> PlannedFile:
        """A file under a name that no blob has, noted durably."""
        container, start_s = self._config.container, window.start_s
        while await self._exists(container, self._name_of(start_s)):
            start_s += 1
        plan = PlannedFile(
            container=container,
            name=self._name_of(start_s),
            first=self._state.position,
            end=end,
            size_limit_bytes=self._config.size_limit_bytes,
            codec=self._config.codec,
            start_s=start_s,
            end_s=max(window.end_s, start_s + 1),
            early=early,
        )
        await self._save(msgspec.structs.replace(self._state, files=(*self._state.files, plan)))
        return plan

    async def _write(self, plan: PlannedFile) -> None:
        """Write the file where it is missing, and go on after its last event."""
        writer = self._writer(plan)
        if await self._exists(plan.container, plan.name):
            await retry_until_done(writer.scan, plan.name)
        else:
            await self._make(writer, plan)
        start_s = plan.end_s
        if plan.early or writer.is_full:
            start_s = start_after_size(Window(plan.start_s, plan.end_s), writer.last_ms)
        now_ms = self._now_ms()
        written = msgspec.structs.replace(plan, written_ms=now_ms)
        others = [
            file
            for file in self._state.files
            if file.name != plan.name and (file.written_ms is None or abs(now_ms - file.written_ms) < KEEP_PLAN_MS)
        ]
        await self._save(CaptureState(writer.end, start_s, (*others, written)))
        self._log.keep_from = self._state.needed_from

    async def _save(self, state: CaptureState) -> None:
        async def save() -> None:
            await asyncio.to_thread(save_state, self._log.folder, state)

        await retry_until_done(save, str(self._log.folder))
        self._state = state

    async def _exists(self, container: str, name: str) -> bool:
        return await retry_until_done(lambda: self._blobs.exists(container, name), name)

    async def _make(self, writer: FileWriter, plan: PlannedFile) -> None:
        async def make() -> None:
            span = spread_s(plan, self._config.interval_s, self._partitions(), self._now_ms())
            await writer.write(self._blobs, span)

        await retry_until_done(make, plan.name)

    def _writer(self, plan: PlannedFile) -> FileWriter:
        return FileWriter(self._log, plan)
