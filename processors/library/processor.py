"""The library's side of the pump: acts of a partition are held by listener, and written a listener at a time."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from msgspec import structs

from songline.processors.library import actions as acts
from songline.processors.library.actions import UserAction
from songline.processors.library.library_store import LibraryStore
from songline.processors.runtime.hub_record import HubRecord
from songline.processors.runtime.persistent_retry import PersistentRetry
from songline.schemas.errors import PoisonError

log = logging.getLogger(__name__)

REPORT = 60.0


class LibraryProcessor:
    """What the partitions of one worker share: how many acts they may hold, and how many writes are under way."""

    def __init__(
        self, libraries: LibraryStore, writes: int, buffer: int, steady: Callable[[], float] = time.monotonic
    ) -> None:
        self.libraries = libraries
        self.gate = asyncio.Semaphore(writes)
        self.writes = writes
        self._buffer = buffer
        self._parts: dict[int, LibraryPartitionProcessor] = {}
        self._steady = steady
        self._told_at = steady()
        self.acts = 0

    def open(self, partition: str, retries: PersistentRetry) -> "LibraryPartitionProcessor":
        part = LibraryPartitionProcessor(partition, self, retries)
        self._parts[id(part)] = part
        return part

    def closed(self, part: "LibraryPartitionProcessor") -> None:
        self._parts.pop(id(part), None)

    @property
    def held(self) -> int:
        """The acts that are not written yet."""
        return sum(part.held for part in self._parts.values())

    @property
    def full(self) -> bool:
        return self.held >= self._buffer

    def applied(self, count: int) -> None:
        """Tell now and then what was done and what it cost."""
        self.acts += count
        if self._steady() - self._told_at >= REPORT:
            self._told_at = self._steady()
            log.info("%d acts so far: %s", self.acts, structs.asdict(self.libraries.figures))


class LibraryPartitionProcessor:
    """A partition's acts. `held` are those that are not written yet."""

    def __init__(self, partition: str, desk: LibraryProcessor, retries: PersistentRetry) -> None:
        self._partition = partition
        self._desk = desk
        self._retries = retries
        self._acts: dict[str, list[UserAction]] = {}
        self.held = 0

    @property
    def full(self) -> bool:
        return self._desk.full

    async def take(self, records: Sequence[HubRecord]) -> Mapping[int, PoisonError]:
        said = acts.read(records)
        for user_id, done in said.acts.items():
            self._acts.setdefault(user_id, []).extend(done)
            self.held += len(done)
        return said.poison

    async def flush(self) -> None:
        users = iter(list(self._acts))
        async with asyncio.TaskGroup() as group:
            for _ in range(min(self._desk.writes, len(self._acts))):
                group.create_task(self._write(users))

    def close(self) -> None:
        self._desk.closed(self)

    async def _write(self, users: Iterator[str]) -> None:
        for user_id in users:
            await self._retries.run(partial(self._apply, user_id), writes_item=True)
            count = len(self._acts.pop(user_id))
            self.held -= count
            self._desk.applied(count)

    async def _apply(self, user_id: str) -> None:
        async with self._desk.gate:
            await self._desk.libraries.apply(user_id, self._partition, self._acts[user_id])
