"""One partition for as long as a reader holds it: records into its processor, what fails parked, positions noted.

The order is: fold, write, park, note the position, and only then move the checkpoint. Whatever ends the reader between
two of these, its next life does the rest, and finds done what was done.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import NoReturn

from msgspec import Struct, structs

from songline.processors.runtime.attempt_store import AttemptStore
from songline.processors.runtime.attempts import (
    REACH,
    Attempt,
    Dissection,
    attempt_id,
    attempt_piece,
    begin_attempt,
    is_culprit,
    plan_dissection,
)
from songline.processors.runtime.bisection import bisect
from songline.processors.runtime.hub_metadata import HubMetadata
from songline.processors.runtime.hub_record import HubRecord
from songline.processors.runtime.parked_store import ParkedStore
from songline.processors.runtime.parking_bound import ParkingBound
from songline.processors.runtime.partition_processor import (
    FoldCrashedError,
    OpenProcessor,
    ParkingStoppedError,
    PartitionProcessor,
)
from songline.processors.runtime.persistent_retry import PersistentRetry
from songline.processors.runtime.resume_point import HubMismatch, HubState, resume_point
from songline.processors.runtime.service_errors import is_item_refusal, last_line
from songline.processors.runtime.watermark_store import WatermarkStore
from songline.schemas.errors import PoisonError
from songline.schemas.moments import later
from songline.schemas.parked import CRASHES_THE_FOLD, REFUSED_BY_STORE, parked_event
from songline.schemas.progress import Watermark, lasting_position

log = logging.getLogger(__name__)

MARGIN = timedelta(seconds=1)
"""How much before it was asked a partition that held nothing more is known to be complete: the hub has a clock of its
own."""

HELD_BYTES = 16 * 1024 * 1024
"""So many bytes of records that are not written are kept at most, to fold them again in pieces."""

PARKED_AT_A_TIME = 16

NOTING_S = 10.0
"""How long a reader that is about to end tries to note why."""


class ReaderDependencies(Struct, frozen=True):
    """What the partitions of one reader share. `reader` and `hub` are names. `alone` is held while a piece is folded:
    were others folded meanwhile, each of them could be what ended the process."""

    reader: str
    hub: str
    open: OpenProcessor
    positions: WatermarkStore
    attempts: AttemptStore
    parked: ParkedStore
    bound: ParkingBound
    ask: HubMetadata
    now: Callable[[], datetime]
    steady: Callable[[], float]
    alone: asyncio.Lock


class PartitionReader:
    """A stay: `owner` is a name that no other stay has."""

    def __init__(self, partition: str, owner: str, parts: ReaderDependencies) -> None:
        self.partition = partition
        self.place = f"{parts.hub}/{partition}"
        self.retries = PersistentRetry(f"partition {partition}", parts.steady)
        self.held: HubMismatch | None = None
        self.reached = Watermark(position=-1, through=None)
        self.next = 0
        self.crashed = False
        self._owner = owner
        self._parts = parts
        self._key = attempt_id(parts.reader, parts.hub, partition)
        self._processor: PartitionProcessor | None = None
        self._noted: Watermark | None = None
        self._before: Attempt | None = None
        self._looked = False
        self._second_time = False
        self._attempt = Attempt(id=self._key, owner=owner, first=0)
        self._careful: Dissection | None = None
        self._unsettled: list[HubRecord] = []
        self._unsettled_bytes = 0

    async def resume(self) -> None:
        """Go on from what is known to be applied, by whomever; note the attempt. `held` says why it can't go on."""
        self._noted = await self._parts.positions.reached(self.partition)
        hub = await self._parts.ask.state(self.partition)
        found = resume_point(self._noted, hub, self.place)
        if isinstance(found, HubMismatch):
            self.reached = self._noted or self.reached
            self.held = found
            return
        self.reached, self.next = found.reached, found.next
        if not self._looked:
            self._before = await self._parts.attempts.read(self._key)
            # Not read again after an answer that got lost: it would be our own attempt.
            self._looked = True
        self._attempt = begin_attempt(self._before, self._key, self._owner, self.next)
        await self._parts.attempts.note(self._attempt)
        self._parts.bound.begin(self.partition, self._attempt.parked_in_a_row)
        self._careful = plan_dissection(self._before, self.next, hub.last)
        self._second_time = self._careful is not None
        self._processor = self._open()
        if self._second_time:
            assert self._careful is not None
            words = "%s: the last reader did not end well (%s); up to %d, records are folded in pieces"
            why = self._attempt.error or "it was killed, or hung"
            log.warning(words, self.place, why, self._careful.until)

    @property
    def full(self) -> bool:
        """Whether it holds as much as it may, and must be settled."""
        many = len(self._unsettled) >= REACH or self._unsettled_bytes >= HELD_BYTES
        return many or (self._processor is not None and self._processor.full)

    async def take(self, records: Sequence[HubRecord]) -> None:
        """Fold records, each the next of the partition. Raises FoldCrashedError and ParkingStoppedError."""
        if self._careful is not None:
            records = await self._in_pieces(records, self._careful)
        if not records:
            return
        self._unsettled += records
        self._unsettled_bytes += sum(len(record.body) for record in records)
        self.next = records[-1].position + 1
        assert self._processor is not None
        try:
            await self._park_poison(records, await self._processor.take(self._lasting(records)))
        except Exception as error:  # noqa: BLE001  # whatever it is, nothing of it may be acknowledged
            await self._failed(error)
        else:
            self._advance(records[-1])

    async def settle(self) -> None:
        """Return when what was taken is written and the position noted. Raises as `take` does, and
        PositionResetError."""
        if self._unsettled:
            assert self._processor is not None
            try:
                await self._processor.flush()
            except Exception as error:  # noqa: BLE001  # as above
                await self._failed(error)
            else:
                self._parts.bound.applied(self.partition, len(self._unsettled))
            self._unsettled, self._unsettled_bytes = [], 0
        await self.retries.run(self._note)

    def idle(self, last: int, asked: datetime) -> None:
        """The hub said when it was `asked` where it ends: without more, the partition is complete through then."""
        if last < self.next:
            through = later(self.reached.through, asked - MARGIN)
            self.reached = structs.replace(self.reached, through=through)

    async def ask(self) -> HubState:
        """How the partition is in its hub now, asked until there is an answer."""
        found: list[HubState] = []

        async def look() -> None:
            found.append(await self._parts.ask.state(self.partition))

        await self.retries.run(look)
        return found[0]

    async def reread(self) -> bool:
        """Whether a partition that is held may be read again: an operator has set its position, or it is well."""
        noted = await self._parts.positions.reached(self.partition)
        if noted is not None and self._noted is not None and noted.resets != self._noted.resets:
            return True
        return not isinstance(resume_point(noted, await self._parts.ask.state(self.partition), self.place), HubMismatch)

    def hold(self, why: HubMismatch) -> None:
        """Fold nothing more until an operator has mended it."""
        self.held = why

    async def look_at_hub(self) -> None:
        """Hold the partition where its hub is another one, or no longer has what comes next."""
        found = resume_point(self._noted, await self._parts.ask.state(self.partition), self.place)
        if isinstance(found, HubMismatch):
            self.hold(found)

    @property
    def is_sound(self) -> bool:
        """Whether what was taken may be written and noted."""
        return self.held is None and not self.crashed and self._processor is not None

    @property
    def noted_position(self) -> int:
        """The position that is noted, -1 for none."""
        return -1 if self._noted is None else self._noted.position

    @property
    def noted_through(self) -> datetime | None:
        """All that the hub had then is applied and noted; None while that is not known."""
        return None if self._noted is None else self._noted.through

    async def close(self) -> None:
        """Say that the stay ended well, if it did."""
        if self._processor is not None and not self.crashed:
            await self._parts.attempts.close(self._key, self._owner, self._parts.bound.in_a_row(self.partition))

    def abandon(self) -> None:
        """What was taken and not written is left to the next reader."""
        if self._processor is not None:
            self._processor.close()

    async def _in_pieces(self, records: Sequence[HubRecord], careful: Dissection) -> Sequence[HubRecord]:
        """Fold the records that are to be folded with care; return those after them."""
        while records:
            first = records[0].position
            if careful.is_over(first - 1):
                self._careful = None
                break
            size = 1 if is_culprit(self._before, first) else careful.next_size(first)
            async with self._parts.alone:
                await self._fold_piece(records[:size])
            careful.advance(self.reached.position)
            records = records[size:]
        return records

    async def _fold_piece(self, records: Sequence[HubRecord]) -> None:
        """Note records as a piece and fold them; or park the one that has ended so many stays."""
        if is_culprit(self._before, records[0].position):
            await self._park_failure(records[0], CRASHES_THE_FOLD, self._attempt.error or _ENDED)
        else:
            self._attempt = attempt_piece(self._attempt, records[0].position, records[-1].position)
            await self.retries.run(self._note_attempt)
            await bisect(records, self._fold_alone, self._fold_failed)
        self._before = None
        self.next = records[-1].position + 1
        self._advance(records[-1])
        await self.retries.run(self._note)

    async def _fold_alone(self, records: Sequence[HubRecord]) -> None:
        """Fold and write records with a processor of their own: what failed before leaves nothing behind."""
        processor = self._open()
        try:
            poison = await processor.take(self._lasting(records))
            await processor.flush()
        finally:
            processor.close()
        await self._park_poison(records, poison)
        if len(poison) < len(records):
            self._parts.bound.applied(self.partition, len(records))

    async def _failed(self, error: Exception) -> None:
        """Take apart what is not settled where a store refused an item of it; anything else ends the reader."""
        if not is_item_refusal(error):
            await self._crash(self._unsettled[0].position, error)
        records, self._unsettled, self._unsettled_bytes = self._unsettled, [], 0
        assert self._processor is not None
        self._processor.close()
        self._processor = self._open()
        self._second_time = False
        self._careful = Dissection(until=records[-1].position, size=len(records))
        await self._in_pieces(records, self._careful)
        self._careful = None

    async def _crash(self, position: int, error: Exception) -> NoReturn:
        """End the reader, with the error noted for its next life: it is what the records from `position` on raise."""
        self.crashed = True
        self._attempt = structs.replace(self._attempt, error=last_line(error))
        with suppress(TimeoutError):
            # The attempt itself was noted when the stay began.
            async with asyncio.timeout(NOTING_S):
                await self.retries.run(self._note_attempt)
        raise FoldCrashedError(f"{self.place}, from {position} on: {last_line(error)}") from error

    async def _fold_failed(self, record: HubRecord, error: Exception) -> None:
        refused = is_item_refusal(error)
        if not refused and not self._second_time:
            await self._crash(record.position, error)
        log.error("%s: the record at %d can't be applied", self.place, record.position, exc_info=error)
        reason = REFUSED_BY_STORE if refused else CRASHES_THE_FOLD
        await self._park_failure(record, reason, last_line(error))

    async def _park_failure(self, record: HubRecord, reason: str, detail: str) -> None:
        if not self._parts.bound.admits(self.partition, f"{reason} ({detail})"):
            self.crashed = True
            raise ParkingStoppedError(self._parts.bound.reason)
        log.error(
            "%s: passing over the record at %d, which is parked: %s: %s", self.place, record.position, reason, detail
        )
        await self._park(record, reason, detail)
        await self.retries.run(self._note_attempt)

    async def _park_poison(self, records: Sequence[HubRecord], poison: Mapping[int, PoisonError]) -> None:
        """Park what is in `poison` by its lasting position."""
        if not poison:
            return
        base = lasting_position(self.reached.generation, 0)
        poison = {position - base: why for position, why in poison.items()}
        position, first = next(iter(poison.items()))
        words = "passed over %d of %d events of partition %s; the first is at %d: %s"
        log.warning(words, len(poison), len(records), self.partition, position, first)
        gate = asyncio.Semaphore(PARKED_AT_A_TIME)

        async def park(record: HubRecord, why: PoisonError) -> None:
            async with gate:
                await self._park(record, why.reason, why.detail)

        async with asyncio.TaskGroup() as group:
            for record in records:
                if record.position in poison:
                    group.create_task(park(record, poison[record.position]))

    async def _park(self, record: HubRecord, reason: str, detail: str) -> None:
        parts = self._parts
        document = parked_event(
            parts.reader,
            parts.hub,
            self.partition,
            record.position,
            record.logged,
            record.body,
            reason,
            detail,
            parts.now(),
        )

        async def write() -> None:
            await parts.parked.park(document)

        await self.retries.run(write)

    def _lasting(self, records: Sequence[HubRecord]) -> Sequence[HubRecord]:
        """The records with the positions that projections keep."""
        if not (generation := self.reached.generation):
            return records
        return [structs.replace(one, position=lasting_position(generation, one.position)) for one in records]

    def _open(self) -> PartitionProcessor:
        return self._parts.open(self.partition, self.retries)

    def _advance(self, record: HubRecord) -> None:
        through = later(self.reached.through, record.logged)
        self.reached = structs.replace(self.reached, position=record.position, through=through)

    async def _note(self) -> None:
        if self.reached != self._noted and self.reached.through is not None:
            await self._parts.positions.reach(self.partition, self.reached)
        self._noted = self.reached

    async def _note_attempt(self) -> None:
        row = self._parts.bound.in_a_row(self.partition)
        self._attempt = structs.replace(self._attempt, parked_in_a_row=row)
        await self._parts.attempts.note(self._attempt)


_ENDED = "the reader ended each time that this record was folded alone: it was killed, or hung"
