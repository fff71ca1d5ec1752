"""Parking the records of one partition that can't be applied, before the position moves past them."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from songline.cloud.concurrency import gather_or_cancel
from songline.processors.runtime.attempt_log import AttemptLog
from songline.processors.runtime.hub_record import HubRecord
from songline.processors.runtime.parked_store import ParkedStore
from songline.processors.runtime.parking_bound import ParkingBound
from songline.processors.runtime.partition_processor import ParkingStoppedError
from songline.processors.runtime.persistent_retry import PersistentRetry
from songline.processors.runtime.record_renaming import RecordRenaming, renamed_parked
from songline.schemas.errors import PoisonError
from songline.schemas.parked import parked_event

log = logging.getLogger(__name__)

IN_FLIGHT = 16
"""How many records are written at a time."""


class RecordParker:
    """Parks records of `partition` of `hub` for `reader`, under the names that `renaming` has for listeners who were
    forgotten."""

    def __init__(
        self,
        reader: str,
        hub: str,
        partition: str,
        store: ParkedStore,
        bound: ParkingBound,
        attempts: AttemptLog,
        retries: PersistentRetry,
        renaming: RecordRenaming,
        now: Callable[[], datetime],
    ) -> None:
        self._reader = reader
        self._hub = hub
        self._partition = partition
        self._store = store
        self._bound = bound
        self._attempts = attempts
        self._retries = retries
        self._renaming = renaming
        self._now = now

    async def park_poison(self, records: Sequence[HubRecord], poison: Mapping[int, PoisonError]) -> None:
        """Park those of `records` whose position is in `poison`."""
        if not poison:
            return
        position, first = next(iter(poison.items()))
        message = "partition %s: %d of %d records can't be decoded and are parked; the first is at %d: %s"
        log.warning(message, self._partition, len(poison), len(records), position, first)
        gate = asyncio.Semaphore(IN_FLIGHT)

        async def park(record: HubRecord, error: PoisonError) -> None:
            async with gate:
                await self._park(record, error.reason, error.detail)

        named = [record for record in records if record.position in poison]
        await gather_or_cancel(park(record, poison[record.position]) for record in named)

    async def park_failure(self, record: HubRecord, reason: str, detail: str) -> None:
        """Park a record that ends the fold, or that a store refuses. Raises ParkingStoppedError at the bound."""
        if not self._bound.admits(self._partition, f"{reason} ({detail})"):
            raise ParkingStoppedError(self._bound.reason)
        message = "%s/%s: the record at %d is parked: %s: %s"
        log.error(message, self._hub, self._partition, record.position, reason, detail)
        await self._park(record, reason, detail)
        await self._attempts.write()

    async def _park(self, record: HubRecord, reason: str, detail: str) -> None:
        document = parked_event(
            self._reader,
            self._hub,
            self._partition,
            record.position,
            record.enqueued_at,
            record.body,
            reason,
            detail,
            self._now(),
        )

        async def write() -> None:
            # Their listener may have been forgotten since they were read: this worker may have been stopped.
            await self._renaming.refresh()
            await self._store.park(await renamed_parked(document, self._reader, self._renaming))

        await self._retries.run(write)
