"""Records that a stage can't apply, on their way into the container `parked`."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from itertools import islice
from time import monotonic

from azure.core.exceptions import AzureError
from azure.eventhub.exceptions import EventHubError
from msgspec import Struct

from songline.cloud.concurrency import gather_or_cancel
from songline.processors.runtime.parked_store import ParkedStore
from songline.processors.runtime.record_renaming import RecordRenaming, renamed_parked
from songline.processors.trending.faust.batch import Batch
from songline.processors.trending.spans import READER
from songline.schemas.channels import MUSIC_EVENTS
from songline.schemas.errors import PoisonError
from songline.schemas.moments import moment_at
from songline.schemas.parked import ParkedEvent, parked_event

log = logging.getLogger(__name__)

IN_FLIGHT = 16
MAX_WAITING = 1_000
"""While more records wait, no more are read: with 64 KiB of a body each they are 90 MB."""
PAUSE_S = 0.5
ROUND_S = 2.0
"""The records of one partition keep those of the others waiting for no longer than this."""


class UnappliedRecord(Struct, frozen=True):
    """A record that can't be applied, and why. `logged_ms` is -1 where the hub doesn't say when it took the record."""

    position: int
    logged_ms: int
    body: bytes
    reason: str
    detail: str


def unapplied_record(why: PoisonError, batch: Batch, index: int) -> UnappliedRecord:
    """The record at an index of a batch."""
    detail = batch.unreadable.get(index, why.detail)
    return UnappliedRecord(batch.offsets[index], batch.logged_ms[index], batch.bodies[index], why.reason, detail)


class ParkingQueue:
    """The records that wait to be parked, by hub and partition. `now` returns aware moments.

    Those of MUSIC_EVENTS are parked under the names that `renaming` has for listeners who were forgotten: charts fold
    no id, and nothing else of this worker keeps one. `last_error` says why the last record could not be parked, None
    once one could.
    """

    def __init__(self, store: ParkedStore, renaming: RecordRenaming, now: Callable[[], datetime]) -> None:
        self._store = store
        self._renaming = renaming
        self._now = now
        self._waiting: dict[tuple[str, int], dict[int, ParkedEvent]] = defaultdict(dict)
        self.last_error: AzureError | EventHubError | None = None

    def add(self, hub: str, partition: int, record: UnappliedRecord) -> None:
        """Let the record wait; a record of its position that waits already stays as it is."""
        logged = None if record.logged_ms < 0 else moment_at(record.logged_ms)
        parked = parked_event(
            READER, hub, str(partition), record.position, logged, record.body, record.reason, record.detail, self._now()
        )
        self._waiting[hub, partition].setdefault(record.position, parked)

    def waiting(self, hub: str, partition: int) -> int:
        """How many records of the partition wait."""
        return len(self._waiting.get((hub, partition), ()))

    def partitions(self, hub: str) -> list[int]:
        """The partitions of the hub of which records wait."""
        return [partition for (name, partition), waiting in self._waiting.items() if name == hub and waiting]

    @property
    def full(self) -> bool:
        return sum(map(len, self._waiting.values())) >= MAX_WAITING

    def forget(self, hub: str) -> None:
        """Drop what waits of the hub: its partitions are given up, and their next owners meet the same records."""
        for key in [key for key in self._waiting if key[0] == hub]:
            del self._waiting[key]

    async def park(self, hub: str, partition: int) -> bool:
        """Park what waits, for ROUND_S at most; return whether nothing waits any more."""
        waiting = self._waiting[hub, partition]
        if not waiting:
            return True
        count, end_s = len(waiting), monotonic() + ROUND_S
        first: ParkedEvent | None = None
        try:
            if hub == MUSIC_EVENTS:
                await self._renaming.refresh()
            while waiting and monotonic() < end_s:
                some = list(islice(waiting.values(), IN_FLIGHT))
                named = some
                if hub == MUSIC_EVENTS:
                    named = [await renamed_parked(one, READER, self._renaming) for one in some]
                first = first or named[0]
                results = await gather_or_cancel(self._write(parked) for parked in named)
                for parked, error in zip(named, results, strict=True):
                    if error is None:
                        waiting.pop(parked.position, None)
                if failures := [error for error in results if error is not None]:
                    raise failures[0]
        except (AzureError, EventHubError) as error:
            self.last_error = error
            log.warning("%s/%d: %d records not parked, trying again: %s", hub, partition, len(waiting), error)
            return False
        self.last_error = None
        if first is None:
            # What waited was given up meanwhile.
            return not waiting
        why = first.readers[READER]
        log.warning(
            "%s/%d: %d of %d records parked, the first at %d: %s, %s",
            *(hub, partition, count - len(waiting), count, first.position, why.reason, why.detail),
        )
        return not waiting

    async def park_all(self, hub: str, partition: int) -> None:
        """Park what waits; return when nothing waits any more, however long the container is away."""
        while True:
            if await self.park(hub, partition):
                return
            await asyncio.sleep(PAUSE_S)

    async def _write(self, parked: ParkedEvent) -> AzureError | None:
        try:
            await self._store.park(parked)
        except AzureError as error:
            return error
        return None
