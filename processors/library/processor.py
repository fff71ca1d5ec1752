"""The library's part of the pump: actions of a partition are held by shelf and written a shelf at a time."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from msgspec import Struct, structs

from songline.cloud.concurrency import gather_or_cancel
from songline.processors.library.actions import parse_actions
from songline.processors.library.shelf_store import ShelfStore
from songline.processors.runtime.hub_record import HubRecord
from songline.processors.runtime.persistent_retry import PersistentRetry
from songline.schemas.errors import PoisonError
from songline.schemas.library.action import UserAction
from songline.schemas.library.shelf import shelf_key, shelf_of

log = logging.getLogger(__name__)

REPORT_S = 60.0
"""Seconds between two log lines about what was written and what it cost."""


SHELVES_PER_PARTITION = 1
"""Each flush of a shelf costs a write of its root, so more shelves cost more; one worker's writes still overlap."""


class ShelfLayout(Struct, frozen=True):
    """Which version of the libraries is written, and over how many shelves its listeners are spread."""

    version: int
    shelves: int


class LibraryProcessor:
    """What the partitions of one worker share: a bound on the actions that wait (`buffer`), and one on the writes that
    are under way (`writes`). `steady` gives seconds."""

    def __init__(
        self,
        store: ShelfStore,
        layout: ShelfLayout,
        writes: int,
        buffer: int,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self.store = store
        self.gate = asyncio.Semaphore(writes)
        self._layout = layout
        self._buffer = buffer
        self._partitions: dict[int, LibraryPartitionProcessor] = {}
        self._steady = steady
        self._reported_s = steady()
        self.written = 0

    def open(self, partition: str, retries: PersistentRetry) -> "LibraryPartitionProcessor":
        """The processor of a partition, until its `close`."""
        processor = LibraryPartitionProcessor(int(partition), self._layout, self, retries)
        self._partitions[id(processor)] = processor
        return processor

    def remove(self, processor: "LibraryPartitionProcessor") -> None:
        """Count what `processor` holds no longer."""
        self._partitions.pop(id(processor), None)

    @property
    def waiting(self) -> int:
        """How many actions are not written yet."""
        return sum(processor.waiting for processor in self._partitions.values())

    @property
    def is_full(self) -> bool:
        """Whether as many actions wait as may."""
        return self.waiting >= self._buffer

    def count_written(self, count: int) -> None:
        """Count so many actions as written, and log the counts every REPORT_S seconds."""
        self.written += count
        if self._steady() - self._reported_s >= REPORT_S:
            self._reported_s = self._steady()
            log.info("%d actions written so far: %s", self.written, structs.asdict(self.store.counts))


class LibraryPartitionProcessor:
    """The actions of a partition, by shelf. `waiting` counts those that are not written yet."""

    def __init__(self, partition: int, layout: ShelfLayout, shared: LibraryProcessor, retries: PersistentRetry) -> None:
        self._partition = partition
        self._layout = layout
        self._shared = shared
        self._retries = retries
        self._actions: dict[int, list[UserAction]] = {}
        self.waiting = 0

    @property
    def is_full(self) -> bool:
        """Whether the worker's actions must be written before more are taken."""
        return self._shared.is_full

    async def process(self, records: Sequence[HubRecord]) -> Mapping[int, PoisonError]:
        """Hold the actions in `records` until `flush`."""
        batch = parse_actions(self._partition, records)
        for action in batch.actions:
            self._actions.setdefault(shelf_of(action.user_id, self._layout.shelves), []).append(action)
        self.waiting += len(batch.actions)
        return batch.poison

    async def flush(self) -> None:
        """Return once all actions are written."""
        await gather_or_cancel(map(self._write, list(self._actions)))

    def close(self) -> None:
        """Drop what is not written: the partition's next reader reads it again."""
        self._shared.remove(self)

    async def _write(self, shelf: int) -> None:
        await self._retries.run(partial(self._apply, shelf), writes_item=True)
        count = len(self._actions.pop(shelf))
        self.waiting -= count
        self._shared.count_written(count)

    async def _apply(self, shelf: int) -> None:
        async with self._shared.gate:
            key = shelf_key(self._layout.version, shelf)
            await self._shared.store.apply(key, self._partition, self._actions[shelf])
