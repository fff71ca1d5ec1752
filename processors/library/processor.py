"""The library's part of the pump: actions of a partition are held by listener and written a listener at a time."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from msgspec import structs

from songline.processors.library.actions import ListenerAction, parse_actions
from songline.processors.library.library_store import LibraryStore
from songline.processors.runtime.hub_record import HubRecord
from songline.processors.runtime.persistent_retry import PersistentRetry
from songline.schemas.errors import PoisonError

log = logging.getLogger(__name__)

REPORT_S = 60.0
"""Seconds between two log lines about what was written and what it cost."""


class LibraryProcessor:
    """What the partitions of one worker share: a bound on the actions that wait (`buffer`), and one on the writes that
    are under way (`writes`). `steady` gives seconds."""

    def __init__(
        self, store: LibraryStore, writes: int, buffer: int, steady: Callable[[], float] = time.monotonic
    ) -> None:
        self.store = store
        self.gate = asyncio.Semaphore(writes)
        self.writes = writes
        self._buffer = buffer
        self._partitions: dict[int, LibraryPartitionProcessor] = {}
        self._steady = steady
        self._reported_s = steady()
        self.written = 0

    def open(self, partition: str, retries: PersistentRetry) -> "LibraryPartitionProcessor":
        """The processor of a partition, until its `close`."""
        processor = LibraryPartitionProcessor(partition, self, retries)
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
    """The actions of a partition. `waiting` counts those that are not written yet."""

    def __init__(self, partition: str, shared: LibraryProcessor, retries: PersistentRetry) -> None:
        self._partition = partition
        self._shared = shared
        self._retries = retries
        self._actions: dict[str, list[ListenerAction]] = {}
        self.waiting = 0

    @property
    def is_full(self) -> bool:
        """Whether the worker's actions must be written before more are taken."""
        return self._shared.is_full

    async def process(self, records: Sequence[HubRecord]) -> Mapping[int, PoisonError]:
        """Hold the actions in `records` until `flush`."""
        batch = parse_actions(records)
        for user_id, actions in batch.actions.items():
            self._actions.setdefault(user_id, []).extend(actions)
            self.waiting += len(actions)
        return batch.poison

    async def flush(self) -> None:
        """Return once all actions are written."""
        users = iter(list(self._actions))
        async with asyncio.TaskGroup() as group:
            for _ in range(min(self._shared.writes, len(self._actions))):
                group.create_task(self._write(users))

    def close(self) -> None:
        """Drop what is not written: the partition's next reader reads it again."""
        self._shared.remove(self)

    async def _write(self, users: Iterator[str]) -> None:
        for user_id in users:
            await self._retries.run(partial(self._apply, user_id), writes_item=True)
            count = len(self._actions.pop(user_id))
            self.waiting -= count
            self._shared.count_written(count)

    async def _apply(self, user_id: str) -> None:
        async with self._shared.gate:
            await self._shared.store.apply(user_id, self._partition, self._actions[user_id])
