"""Capture of all hubs of a namespace that are declared with it."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Self

from localcloud.capture.archive_blobs import ArchiveBlobs, CaptureExtraError, check_installed
from localcloud.capture.declaration import CaptureConfig
from localcloud.capture.name_format import file_name
from localcloud.capture.partition_capture import PartitionCapture
from localcloud.capture.state_file import CaptureState, load_state
from localcloud.log.partition import PartitionLog
from localcloud.log.store import Hub, LogStore

log = logging.getLogger("localcloud.capture")


class CaptureService:
    """Captures between enter and exit the hubs of `store` that are declared with it, also those created meanwhile.

    Where it can't (`unavailable` says why), retention keeps what is not captured yet all the same. Entering raises
    LogOpenError.
    """

    def __init__(self, store: LogStore, blobs: ArchiveBlobs | None, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._blobs = blobs
        self._now_ms = now_ms
        self._hubs: dict[Hub, _HubCapture] = {}
        self.unavailable: str | None = None

    async def __aenter__(self) -> Self:
        self.unavailable = self._obstacle()
        if self.declared and self.unavailable:
            log.error("%s; the events of %s are kept until they are captured",
                      self.unavailable, ", ".join(self.declared))  # fmt: skip
        self._follow()
        self._store.watch(self._follow)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = [task for hub in self._hubs.values() for task in hub.end()]
        if tasks:
            await asyncio.wait(tasks)
        if self._blobs is not None:
            await self._blobs.__aexit__(kind, error, trace)

    @property
    def declared(self) -> list[str]:
        """The hubs that are to be captured."""
        return [hub.name for hub in self._store.hubs() if hub.config.capture]

    def positions(self, hub: Hub) -> list[int] | None:
        """Of each partition the first event that is in no file yet; None where the hub is not captured."""
        capture = self._hubs.get(hub)
        return capture.positions() if capture else None

    def _obstacle(self) -> str | None:
        if self._blobs is None:
            return "Capture needs Blob Storage, which is not served: start with --blobs"
        try:
            check_installed()
        except CaptureExtraError as error:
            return str(error)
        return None

    def _follow(self) -> None:
        """Begin with hubs and partitions that are new, and leave those that are gone."""
        present = self._store.hubs()
        for hub in list(self._hubs):
            if hub not in present:
                self._hubs.pop(hub).end()
        for hub in present:
            config = hub.config.capture
            if config is None:
                continue
            if hub not in self._hubs:
                self._hubs[hub] = _HubCapture(hub, config, self._now_ms)
            self._hubs[hub].cover(None if self.unavailable else self._blobs)


class _HubCapture:
    """The captures of one hub's partitions, one task each."""

    def __init__(self, hub: Hub, config: CaptureConfig, now_ms: Callable[[], int]) -> None:
        self._hub = hub
        self._config = config
        self._now_ms = now_ms
        self._turn = asyncio.Lock()
        self._begun = asyncio.Event()
        self._states: list[CaptureState] = []
        self._captures: list[PartitionCapture] = []
        self._tasks: list[asyncio.Task[None]] = []

    def cover(self, blobs: ArchiveBlobs | None) -> None:
        """Hold and, with `blobs`, capture the partitions that are not covered yet. Raises LogOpenError."""
        for number in range(len(self._states), len(self._hub.partitions)):
            partition = self._hub.partitions[number]
            state = _stored(partition)
            partition.keep_from = state.needed_from
            self._states.append(state)
            if blobs is not None:
                partition.subscribe(self._begin)
                self._capture(number, state, blobs)
        self._begin()

    def positions(self) -> list[int]:
        captured = [capture.position for capture in self._captures]
        return captured or [state.position for state in self._states]

    def end(self) -> list[asyncio.Task[None]]:
        """Stop; the tasks end soon."""
        for partition in self._hub.partitions:
            partition.unsubscribe(self._begin)
        for task in self._tasks:
            task.cancel()
        return self._tasks

    def _capture(self, number: int, state: CaptureState, blobs: ArchiveBlobs) -> None:
        config = self._hub.config
        name_of = partial(file_name, self._config.name_format, config.namespace, self._hub.name, number)
        capture = PartitionCapture(
            self._hub.partitions[number],
            self._config,
            state,
            name_of,
            blobs,
            self._now_ms,
            self._begun,
            self._turn,
            lambda: len(self._hub.partitions),
        )
        self._captures.append(capture)
        task = asyncio.create_task(capture.run(), name=f"capture of {self._hub.name}/{number}")
        task.add_done_callback(_report)
        self._tasks.append(task)

    def _begin(self) -> None:
        """Capture begins with the hub's first event."""
        if not self._begun.is_set() and any(partition.high_watermark for partition in self._hub.partitions):
            self._begun.set()
        if self._begun.is_set():
            for partition in self._hub.partitions:
                partition.unsubscribe(self._begin)


def _stored(partition: PartitionLog) -> CaptureState:
    """How far the partition is captured. Events that are gone already are passed over, with a line."""
    state = load_state(partition.folder) or CaptureState()
    if state.position < partition.start_offset:
        hub = f"{partition.folder.parent.name}/{partition.folder.name}"
        log.warning("%s: its retention was over for events %d to %d before they were captured",
                    hub, state.position, partition.start_offset - 1)  # fmt: skip
        state = CaptureState(partition.start_offset, state.start_s)
    return state


def _report(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("%s has ended; events stay in the hub until a restart", task.get_name(), exc_info=error)
