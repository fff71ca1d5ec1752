"""What a stage does when a fold raises what nobody foresaw: it costs that record, and never its batch or partition.

The rule is that of `songline.processors.runtime.attempts`. What is not foreseen ends the process before anything is
acknowledged; the next one folds in pieces, each noted before, until the culprit stands alone.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from functools import partial

from azure.core.exceptions import AzureError
from msgspec import Struct, structs

from songline.cloud.retry import FailedTry, RetryPolicy, retry
from songline.processors.runtime.attempt_store import AttemptStore
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
from songline.processors.runtime.parking_bound import ParkingBound
from songline.processors.runtime.process import CRASHED_IN_FOLD
from songline.processors.runtime.service_errors import SERVICE_ERRORS, last_line
from songline.processors.trending.faust.batch import Batch
from songline.processors.trending.parking_queue import READER, ParkingQueue, UnappliedRecord
from songline.schemas.parked import CRASHES_THE_FOLD

log = logging.getLogger(__name__)

LARGEST_PIECE = 16_384
"""A fetch has thousands of records, and each piece costs a flush: larger pieces than other readers'."""

REACH = 300_000
"""What ended a process is among so many records after the offset that was committed: that many are not written yet."""

POLICY = RetryPolicy(first_pause_s=2.0, longest_pause_s=2.0)
NOTING_S = 5.0
ENDING_S = 20.0
"""Seconds that the process has to end in good order before it is ended."""

Apply = Callable[[Batch], None]
Settle = Callable[[int], Awaitable[None]]


class WideDissection(Dissection):
    """A dissection for a reader of whole fetches."""

    def advance(self, position: int) -> None:
        if position > self.close_until:
            self.size = min(2 * self.size, LARGEST_PIECE)


class FoldAssignment(Struct):
    """A partition in the hands of this worker. `before` is what was noted of it last, by whoever had it."""

    attempt: Attempt
    before: Attempt | None
    apart: WideDissection | None


class CrashIsolation:
    """What the stages of one worker share. `crash` ends the app in good order; `error` is why it ends."""

    def __init__(
        self,
        store: AttemptStore,
        bound: ParkingBound,
        parking: ParkingQueue,
        crash: Callable[[Exception], Awaitable[None]],
    ) -> None:
        self.store = store
        self.bound = bound
        self.parking = parking
        self.pieces = asyncio.Lock()
        """One piece at a time, and no timer meanwhile: what ends the process then is in that piece."""
        self.error: Exception | None = None
        self.trouble: Exception | None = None
        """Why an attempt could not be noted at the last try."""
        self.taken_apart: set[str] = set()
        """The partitions that are folded in pieces."""
        self._crash = crash

    async def end(self, error: Exception, stay: FoldAssignment | None = None) -> None:
        """End the worker because of `error`, noted as what ended the stay; never returns."""
        if self.error is None:
            self.error = error
            log.critical("the worker ends before anything is acknowledged: %s", last_line(error), exc_info=error)
            if stay is not None:
                try:
                    async with asyncio.timeout(NOTING_S):
                        await self.store.note(structs.replace(stay.attempt, error=last_line(error)))
                except (AzureError, TimeoutError) as away:
                    log.warning("why it ends was not noted: %s", away)
            timer = threading.Timer(ENDING_S, os._exit, (CRASHED_IN_FOLD,))
            timer.daemon = True
            timer.start()
            await self._crash(error)
        await self.stop()

    async def watch(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do `work`; what it raises ends the worker."""
        if self.error is not None:
            return
        async with self.pieces if self.taken_apart else nullcontext():
            await self.guarded(work)

    async def guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do `work`; what it raises ends the worker. Faust would go on, with the next batch in the case of an agent."""
        try:
            await work()
        except SERVICE_ERRORS as error:
            # The hub was away for longer than it is waited for: to begin anew is all there is.
            await self._crash(error)
            await self.stop()
        except Exception as error:  # noqa: BLE001  # of what was folded: the next worker looks for it
            await self.end(error)

    async def stop(self) -> None:
        """Go no further until the process ends."""
        await asyncio.Event().wait()

    async def retry(self, job: Callable[[], Awaitable[Attempt | None]]) -> Attempt | None:
        """What `job` gives, once the store answers."""

        def record(failed: FailedTry) -> None:
            if self.trouble is None:
                log.warning("attempts can't be noted, trying again: %s", failed.error)
            self.trouble = failed.error

        found = await retry(job, POLICY, lambda error: isinstance(error, AzureError), record)
        self.trouble = None
        return found


class FoldGuard:
    """The partitions of `hub` that a stage folds."""

    def __init__(self, hub: str, isolation: CrashIsolation) -> None:
        self._hub = hub
        self._isolation = isolation
        self._stays: dict[int, FoldAssignment] = {}

    async def fold(
        self, partition: int, batch: Batch, owner: str, end: int | None, apply: Apply, settle: Settle
    ) -> None:
        """Fold the batch by `apply`, in pieces if the partition's last stay ended badly.

        `owner` names this stay, `end` is where the hub ends, None where that is not known. `settle` returns when all
        up to a position is written, and committed.
        """
        isolation = self._isolation
        if isolation.error is not None or isolation.bound.reason:
            await isolation.stop()
        stay = self._stays.get(partition)
        if stay is None or stay.attempt.owner != owner:
            stay = self._stays[partition] = await self._begin(partition, owner, batch, end)
        try:
            if stay.apart is None:
                apply(batch)
            else:
                await self._fold_apart(stay, partition, batch, apply, settle)
        except SERVICE_ERRORS:
            raise
        except Exception as error:  # noqa: BLE001  # whatever it is, Faust would go on behind the batch
            await isolation.end(error, stay)
        isolation.bound.applied(self._key(partition), len(batch.offsets))

    async def close(self) -> None:
        """The partitions are given up in good order."""
        stays, self._stays = self._stays, {}
        self._isolation.taken_apart -= {self._key(partition) for partition in stays}
        if self._isolation.error is not None or self._isolation.bound.reason:
            return
        try:
            async with asyncio.timeout(NOTING_S):
                for partition, stay in stays.items():
                    row = self._isolation.bound.in_a_row(self._key(partition))
                    await self._isolation.store.close(stay.attempt.id, stay.attempt.owner, row)
        except (AzureError, TimeoutError) as error:
            log.warning("that %s was given up in good order was not noted: %s", self._hub, error)

    async def _begin(self, partition: int, owner: str, batch: Batch, end: int | None) -> FoldAssignment:
        isolation, key = self._isolation, attempt_id(READER, self._hub, str(partition))
        before = await isolation.retry(partial(isolation.store.read, key))
        position = batch.offsets[0] if batch.offsets else batch.begin
        attempt = begin_attempt(before, key, owner, position)
        isolation.bound.begin(self._key(partition), attempt.parked_in_a_row)
        stay = FoldAssignment(attempt, before, apart(before, position, batch.end - 1 if end is None else end - 1))
        await self._note(stay, attempt)
        if stay.apart is not None:
            isolation.taken_apart.add(self._key(partition))
            log.warning(
                "%s/%d: the last worker ended badly; up to %d records are folded in pieces from %d on",
                *(self._hub, partition, stay.apart.until - position + 1, position),
            )
        return stay

    async def _note(self, stay: FoldAssignment, attempt: Attempt) -> None:
        async def note() -> None:
            await self._isolation.store.note(attempt)

        await self._isolation.retry(note)
        stay.attempt = attempt

    async def _fold_apart(
        self, stay: FoldAssignment, partition: int, batch: Batch, apply: Apply, settle: Settle
    ) -> None:
        start, count = 0, len(batch.offsets)
        while start < count and stay.apart is not None:
            position = batch.offsets[start]
            if stay.apart.is_over(position - 1):
                stay.apart = None
                self._isolation.taken_apart.discard(self._key(partition))
                log.warning("%s/%d: folded as usual again from %d on", self._hub, partition, position)
                break
            if is_culprit(stay.before, position):
                why = stay.before.error if stay.before is not None else ""
                stop = start + 1
                async with self._isolation.pieces:
                    await self._park(partition, batch, start, why or "the process ended or hung while it folded this")
                    apply(_without_records(batch.part(start, stop)))
                    await settle(batch.part(start, stop).end - 1)
            else:
                stop = min(count, start + stay.apart.next_size(position))
                part = batch.part(start, stop)
                row = self._isolation.bound.in_a_row(self._key(partition))
                async with self._isolation.pieces:
                    noted = attempt_piece(stay.attempt, position, part.end - 1)
                    await self._note(stay, structs.replace(noted, parked_in_a_row=row))
                    await self._bisect(partition, part, apply)
                    await settle(part.end - 1)
                stay.apart.advance(part.end - 1)
            stay.before = None
            start = stop
        if start < count or not count:
            apply(batch.part(start, count))

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
            # Those before it are what an operator looks at.
            await isolation.parking.park_all(self._hub, partition)
            await isolation.stop()
        record = UnappliedRecord(
            batch.offsets[index], batch.logged_ms[index], batch.bodies[index], CRASHES_THE_FOLD, why
        )
        isolation.parking.add(self._hub, partition, record)

    def _key(self, partition: int) -> str:
        return f"{self._hub}/{partition}"


def _without_records(batch: Batch) -> Batch:
    """What remains of a batch whose records are parked: how far it goes."""
    return Batch(batch.begin, batch.end, (), (), ())


def apart(before: Attempt | None, position: int, hub_last: int) -> WideDissection | None:
    """How to fold from `position` on after `before`, None: as usual."""
    found = plan_dissection(before, position, hub_last)
    if found is None:
        return None
    wide = WideDissection(until=max(found.until, min(hub_last, position + REACH - 1)), close_until=found.close_until)
    if before is not None and before.piece_last is not None and found.close_until >= position:
        wide.close = max(1, (before.piece_last - position + 1) // PIECE)
    return wide
