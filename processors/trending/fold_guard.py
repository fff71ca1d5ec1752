"""The fold of a stage, guarded: a record on which it fails costs that record, and never its batch or its partition."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from functools import partial

from azure.core.exceptions import AzureError
from msgspec import Struct, structs

from songline.processors.runtime.attempts import (
    PIECE,
    Attempt,
    Dissection,
    attempt_id,
    attempt_piece,
    begin_attempt,
    is_culprit,
    plan_dissection,
)
from songline.processors.runtime.bisection import bisect
from songline.processors.runtime.service_errors import last_line
from songline.processors.trending.crash_isolation import NOTE_TIMEOUT_S, CrashIsolation
from songline.processors.trending.faust.batch import Batch
from songline.processors.trending.parking_queue import UnappliedRecord
from songline.processors.trending.sdk_errors import SERVICE_ERRORS
from songline.processors.trending.spans import READER
from songline.schemas.parked import CRASHES_THE_FOLD

log = logging.getLogger(__name__)

FIRST_PIECE, GROWTH, LARGEST_PIECE = 512, 4, 16_384
"""A fetch has thousands of records, and each piece costs a flush: larger pieces than those of other readers."""

REACH = 300_000
"""The record that ended a process is among so many after the committed offset: no more are folded and not written."""

STRIDE = 16_384
"""A stay that wrote so many records of MUSIC_EVENTS before it ended met none that ends it at once. Other hubs are
written seldom, and there one is enough."""

Apply = Callable[[Batch], None]
Complete = Callable[[int], Awaitable[None]]


class WideDissection(Dissection):
    """A dissection for a reader of whole fetches."""

    def advance(self, position: int) -> None:
        if position > self.close_until:
            self.size = min(GROWTH * self.size, LARGEST_PIECE)


class FoldAssignment(Struct):
    """A partition while this worker holds it. `before` is the attempt that was noted of it last, by any worker;
    `dissection` is how it is folded in pieces, None where it is folded as usual."""

    attempt: Attempt
    before: Attempt | None
    dissection: WideDissection | None


class FoldGuard:
    """The partitions of `hub` that a stage folds. `stride`: see `attempts.was_killed`."""

    def __init__(self, hub: str, isolation: CrashIsolation, stride: int = 1) -> None:
        self._hub = hub
        self._isolation = isolation
        self._stride = stride
        self._assignments: dict[int, FoldAssignment] = {}

    async def fold(
        self, partition: int, batch: Batch, owner: str, end: int | None, apply: Apply, complete: Complete
    ) -> None:
        """Fold the batch by `apply`, in pieces if a record may have ended the last worker that held the partition.

        `owner` names this worker's hold on the partition. `end` is the offset after the hub's last record, None where
        it is not known. `complete` returns when everything up to a position is written and committed.
        """
        isolation = self._isolation
        if isolation.error is not None or isolation.bound.reason:
            await isolation.stop()
        held = self._assignments.get(partition)
        if held is None or held.attempt.owner != owner:
            held = self._assignments[partition] = await self._begin(partition, owner, batch, end)
        try:
            if held.dissection is None:
                await self._apply_beside(batch, apply)
            else:
                await self._fold_in_pieces(held, partition, batch, apply, complete)
        except SERVICE_ERRORS:
            raise
        except Exception as error:  # noqa: BLE001  # any other error: Faust would go on behind the batch
            await isolation.end(error, held.attempt)
        isolation.bound.applied(self._key(partition), len(batch.offsets))

    async def close(self) -> None:
        """Note that the partitions are given up in good order."""
        held, self._assignments = self._assignments, {}
        self._isolation.in_pieces -= {self._key(partition) for partition in held}
        for one in held.values():
            self._isolation.noted.pop(one.attempt.id, None)
        if self._isolation.error is not None or self._isolation.bound.reason:
            return
        try:
            async with asyncio.timeout(NOTE_TIMEOUT_S):
                for partition, one in held.items():
                    row = self._isolation.bound.in_a_row(self._key(partition))
                    await self._isolation.store.close(one.attempt.id, one.attempt.owner, row)
        except (AzureError, TimeoutError) as error:
            log.warning("that the partitions of %s were given up in good order was not noted: %s", self._hub, error)

    async def _begin(self, partition: int, owner: str, batch: Batch, end: int | None) -> FoldAssignment:
        isolation, key = self._isolation, attempt_id(READER, self._hub, str(partition))
        before = await isolation.retry(partial(isolation.store.read, key))
        position = batch.offsets[0] if batch.offsets else batch.begin
        attempt = begin_attempt(before, key, owner, position)
        isolation.bound.begin(self._key(partition), attempt.parked_in_a_row)
        last = batch.end - 1 if end is None else end - 1
        held = FoldAssignment(attempt, before, wide_dissection(before, position, last, self._stride))
        await self._save(held, attempt)
        if held.dissection is None and before is not None and before.open:
            log.info("%s/%d: the last worker was killed; folded as usual from %d on", self._hub, partition, position)
        if held.dissection is not None:
            isolation.in_pieces.add(self._key(partition))
            log.warning(
                "%s/%d: the last worker ended badly; up to %d records are folded in pieces from %d on",
                *(self._hub, partition, held.dissection.until - position + 1, position),
            )
        return held

    async def _save(self, held: FoldAssignment, attempt: Attempt) -> None:
        await self._isolation.retry(partial(self._isolation.store.write, attempt))
        held.attempt = self._isolation.noted[attempt.id] = attempt

    async def _fold_in_pieces(
        self, held: FoldAssignment, partition: int, batch: Batch, apply: Apply, complete: Complete
    ) -> None:
        start, count = 0, len(batch.offsets)
        while start < count and held.dissection is not None:
            if self._assignments.get(partition) is not held:
                # It was given up meanwhile: what is noted of it is its next owner's.
                return
            position = batch.offsets[start]
            if held.dissection.is_over(position - 1):
                held.dissection = None
                self._isolation.in_pieces.discard(self._key(partition))
                log.warning("%s/%d: folded as usual again from %d on", self._hub, partition, position)
                break
            alone = held.dissection.is_suspect(position)
            async with self._isolation.pieces.alone() if alone else self._isolation.pieces.beside():
                if self._assignments.get(partition) is not held:
                    return
                if is_culprit(held.before, position):
                    why = held.before.error if held.before is not None else ""
                    stop = start + 1
                    await self._park(partition, batch, start, why or "the process ended or hung while it folded this")
                    apply(_without_records(batch.part(start, stop)))
                    await complete(batch.part(start, stop).end - 1)
                else:
                    stop = min(count, start + held.dissection.next_size(position))
                    part = batch.part(start, stop)
                    row = self._isolation.bound.in_a_row(self._key(partition))
                    noted = attempt_piece(held.attempt, position, part.end - 1, alone=alone)
                    await self._save(held, structs.replace(noted, parked_in_a_row=row))
                    await self._bisect(partition, part, apply)
                    await complete(part.end - 1)
                    held.dissection.advance(part.end - 1)
            held.before = None
            start = stop
        if start < count or not count:
            await self._apply_beside(batch.part(start, count), apply)

    async def _apply_beside(self, batch: Batch, apply: Apply) -> None:
        """Fold the batch as a whole, and not while a suspect is folded alone."""
        async with self._isolation.pieces.beside() if self._isolation.in_pieces else nullcontext():
            apply(batch)

    async def _bisect(self, partition: int, part: Batch, apply: Apply) -> None:
        async def fold(indices: Sequence[int]) -> None:
            apply(part.part(indices[0], indices[-1] + 1))
            self._isolation.bound.applied(self._key(partition), len(indices))

        async def failed(index: int, error: Exception) -> None:
            await self._park(partition, part, index, last_line(error))
            apply(_without_records(part.part(index, index + 1)))

        await bisect(range(len(part.offsets)), fold, failed)

    async def _park(self, partition: int, batch: Batch, index: int, why: str) -> None:
        isolation = self._isolation
        if not isolation.bound.admits(self._key(partition), CRASHES_THE_FOLD):
            log.critical("nothing is folded or parked any more: %s", isolation.bound.reason)
            # An operator needs the records before it.
            await isolation.parking.park_all(self._hub, partition)
            await isolation.stop()
        record = UnappliedRecord(
            batch.offsets[index], batch.logged_ms[index], batch.bodies[index], CRASHES_THE_FOLD, why
        )
        isolation.parking.add(self._hub, partition, record)

    def _key(self, partition: int) -> str:
        return f"{self._hub}/{partition}"


def wide_dissection(before: Attempt | None, position: int, hub_last: int, stride: int) -> WideDissection | None:
    """How to fold from `position` on after the attempt `before`; None: as usual."""
    found = plan_dissection(before, position, hub_last, stride)
    if found is None:
        return None
    until = max(found.until, min(hub_last, position + REACH - 1))
    wide = WideDissection(until=until, close_until=found.close_until, size=FIRST_PIECE)
    if before is not None and before.piece_last is not None and found.close_until >= position:
        wide.close = max(1, (before.piece_last - position + 1) // PIECE)
    return wide


def _without_records(batch: Batch) -> Batch:
    """How far a batch goes whose records are parked."""
    return Batch(batch.begin, batch.end, (), (), ())
