"""A partition's history, folded by the processor that its worker uses, and saved as it goes."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from functools import partial

from msgspec import Struct, structs

from songline.processors.history.archive.history import ArchivedBatch, HubHistory
from songline.processors.history.rebuild.hub_life import AppliedPlace, HubLife
from songline.processors.history.rebuild.progress import PartitionFoldCount, RebuildCount
from songline.processors.history.versions.version_store import VersionOvertakenError
from songline.processors.runtime.bisection import bisect
from songline.processors.runtime.hub_record import HubRecord
from songline.processors.runtime.partition_processor import OpenProcessor, PartitionProcessor
from songline.processors.runtime.persistent_retry import PersistentRetry
from songline.processors.runtime.service_errors import ItemRefusedError, last_line
from songline.processors.runtime.watermark_store import PositionResetError, WatermarkStore
from songline.schemas.progress import Watermark, lasting_position

log = logging.getLogger(__name__)

PORTION = 1_000
"""Events that are folded before it is checked whether they are written."""

UNWRITTEN_MAX = 20_000
UNWRITTEN_BYTES_MAX = 32 * 1024 * 1024
SAVE_S = 5.0
"""After so many events, bytes or seconds what was folded is written, and the watermark with it."""


class FoldParts(Struct, frozen=True):
    """What the folds of a version's partitions share."""

    open: OpenProcessor
    watermarks: WatermarkStore
    life: HubLife
    count: RebuildCount
    steady: Callable[[], float] = time.monotonic


class FoldFailedError(Exception):
    """The fold of an event raised an error that is not foreseen; the message names its place."""


class PartitionFold:
    """The fold of one partition, from the version's own watermark on."""

    def __init__(self, partition: str, parts: FoldParts) -> None:
        self._partition = partition
        self._parts = parts
        self._retries = PersistentRetry(f"partition {partition}")
        self._stored: Watermark | None = None
        self._applied = -1
        self._processor: PartitionProcessor
        self._saved_s = 0.0
        self._unwritten: list[HubRecord] = []
        self._unwritten_bytes = 0

    async def resume(self) -> None:
        """Go on from the watermark that is stored. Raises AzureError."""
        stored = await self._parts.watermarks.read(self._partition)
        self._stored = stored
        if stored is not None:
            self._applied = lasting_position(stored.generation, stored.position)
        self._parts.count.partitions[self._partition] = PartitionFoldCount(self._applied)

    async def run(self, history: HubHistory, until_s: int | None) -> int:
        """Fold what is after the watermark, up to the hub's end as it is then, or to what it took at `until_s`; return
        how many events that were. Raises FoldFailedError, PositionResetError, HubMadeAnewError, and what the history
        raises."""
        await self._parts.life.enter(history, self._partition, self._place)
        folded = 0
        self._processor = self._open()
        self._saved_s = self._parts.steady()
        try:
            async with aclosing(history.read(self._partition, self._applied, until_s)) as batches:
                async for batch in batches:
                    for records in portions(batch):
                        folded += len(records)
                        await self._take(records)
                        # Other partitions get their turn also where nothing is waited for.
                        await asyncio.sleep(0)
            await self._save()
        finally:
            self._processor.close()
        if until_s is None and (at_end := self._parts.life.at_end(self._partition, self._applied)) > self._applied:
            await self._retries.run(partial(self._move, at_end, None))
        return folded

    async def _take(self, records: Sequence[HubRecord]) -> None:
        self._unwritten += records
        self._unwritten_bytes += sum(len(one.body) for one in records)
        try:
            self._parts.count.unreadable += len(await self._processor.process(records))
        except Exception as error:  # noqa: BLE001  # one that is not of a record ends the rebuild
            await self._recover(error)
        if self._processor.is_full or self._is_save_due:
            await self._save()

    @property
    def _is_save_due(self) -> bool:
        return (
            len(self._unwritten) >= UNWRITTEN_MAX
            or self._unwritten_bytes >= UNWRITTEN_BYTES_MAX
            or self._parts.steady() - self._saved_s >= SAVE_S
        )

    async def _save(self) -> None:
        """Write what was folded, and then the watermark."""
        self._saved_s = self._parts.steady()
        if not self._unwritten:
            return
        await self._parts.life.check()
        try:
            await self._processor.flush()
        except Exception as error:  # noqa: BLE001  # as above
            await self._recover(error)
        last, count = self._unwritten[-1], self._parts.count
        await self._retries.run(partial(self._move, last.position, last.enqueued_at))
        count.events += len(self._unwritten)
        count.trouble = ""
        self._unwritten, self._unwritten_bytes = [], 0

    async def _move(self, applied: int, through: datetime | None) -> None:
        """Write the watermark of a lasting position."""
        before, moved = self._stored, self._parts.life.watermark(self._partition, applied, through)
        if before is None or moved.generation == before.generation:
            moved = structs.replace(moved, resets=moved.resets if before is None else before.resets)
            await self._parts.watermarks.advance(self._partition, moved)
        elif (
            not await self._parts.watermarks.reset(self._partition, before, moved)
            # An answer that was lost is no other hand.
            and await self._parts.watermarks.read(self._partition) != moved
        ):
            raise PositionResetError(f"partition {self._partition}: the position was set by hand")
        self._stored = moved
        self._applied = self._parts.count.partitions[self._partition].position = applied

    async def _recover(self, error: Exception) -> None:
        """Fold what is not written record by record as far as that is needed, where a store refused an item of it, and
        leave out what it refuses. Any other error ends the rebuild."""
        place = f"partition {self._partition}, behind {self._applied}"
        if isinstance(error, VersionOvertakenError):
            raise error
        if not isinstance(error, ItemRefusedError):
            raise FoldFailedError(f"{place}: {last_line(error)}") from error
        self._processor.close()
        await bisect(self._unwritten, self._fold_alone, self._refuse)
        self._processor = self._open()

    async def _fold_alone(self, records: Sequence[HubRecord]) -> None:
        processor = self._open()
        try:
            await processor.process(records)
            await processor.flush()
        finally:
            processor.close()

    async def _refuse(self, record: HubRecord, error: Exception) -> None:
        if not isinstance(error, ItemRefusedError):
            raise FoldFailedError(f"partition {self._partition}, at {record.position}: {last_line(error)}") from error
        log.error("partition %s: the store refuses the event at %d: %s", self._partition, record.position, error)
        self._parts.count.refused.append(f"{self._partition}:{record.position}")

    @property
    def _place(self) -> AppliedPlace:
        """Up to where all is applied."""
        stored = self._stored
        if stored is None or self._applied < 0:
            return AppliedPlace(self._applied, None)
        second = None if stored.through is None else int(stored.through.timestamp() // 1)
        return AppliedPlace(self._applied, stored.created_at, stored.generation, second)

    def _open(self) -> PartitionProcessor:
        return self._parts.open(self._partition, self._retries)


def portions(batch: ArchivedBatch) -> Iterator[list[HubRecord]]:
    """The events of a batch as records, PORTION at a time."""
    for start in range(0, len(batch.positions), PORTION):
        part = slice(start, start + PORTION)
        rows = zip(batch.positions[part], batch.enqueued_s[part], batch.bodies[part], strict=True)
        yield [HubRecord(position, datetime.fromtimestamp(at_s, UTC), body) for position, at_s, body in rows]
