"""One partition for as long as a reader holds it: records are processed, what fails is parked, watermarks are written.

The order is: fold, write, park, write the watermark, and only then move the checkpoint. Where the reader ends between
two of these, its next life does the rest, and finds done what was done.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import NoReturn

from msgspec import Struct, structs

from songline.cloud.concurrency import gather_or_cancel
from songline.processors.runtime.attempt_log import AttemptLog
from songline.processors.runtime.attempt_store import AttemptStore
from songline.processors.runtime.attempts import REACH, Dissection, attempt_id
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
from songline.processors.runtime.piece_fold import PieceFold
from songline.processors.runtime.piece_gate import PieceGate
from songline.processors.runtime.record_parker import RecordParker
from songline.processors.runtime.record_renaming import RecordRenaming
from songline.processors.runtime.resume_point import HubMismatch, HubState, resume_point
from songline.processors.runtime.service_errors import ItemRefusedError, last_line
from songline.processors.runtime.watermark_store import WatermarkStore
from songline.schemas.errors import PoisonError
from songline.schemas.moments import later
from songline.schemas.progress import Watermark, lasting_position

log = logging.getLogger(__name__)

CLOCK_MARGIN = timedelta(seconds=1)
"""An idle partition is complete through so long before it was asked for its end: the hub has a clock of its own."""

MAX_UNWRITTEN_BYTES = 16 * 1024 * 1024
"""So many bytes of records that are not written are kept at most, to fold them again in pieces."""

CRASH_NOTE_S = 10.0
"""How long a reader that is about to end tries to note why."""


class ReaderDependencies(Struct, frozen=True):
    """What the partitions of one reader share. `reader` and `hub` are names. `steady` gives seconds. What is folded of
    all partitions goes through `piece_gate`."""

    reader: str
    hub: str
    open: OpenProcessor
    watermarks: WatermarkStore
    attempts: AttemptStore
    parked: ParkedStore
    bound: ParkingBound
    metadata: HubMetadata
    now: Callable[[], datetime]
    steady: Callable[[], float]
    piece_gate: PieceGate
    renaming: RecordRenaming


class PartitionReader:
    """A stay of a reader in a partition. `owner` is a name that no other stay has.

    `watermark` is how far the partition is applied, `next_position` the position that is processed next. `mismatch`
    says why nothing is processed until an operator has mended it; None where nothing is wrong.
    """

    def __init__(self, partition: str, owner: str, shared: ReaderDependencies) -> None:
        self.partition = partition
        self.place = f"{shared.hub}/{partition}"
        self.retries = PersistentRetry(f"partition {partition}", shared.steady)
        self.mismatch: HubMismatch | None = None
        self.watermark = Watermark(position=-1, through=None)
        self.next_position = 0
        self._shared = shared
        self._crashed = False
        self._processor: PartitionProcessor | None = None
        self._written: Watermark | None = None
        self._unwritten: list[HubRecord] = []
        self._unwritten_bytes = 0
        key = attempt_id(shared.reader, shared.hub, partition)
        self._attempts = AttemptLog(shared.attempts, key, owner, self.retries, lambda: shared.bound.in_a_row(partition))
        self._parker = RecordParker(
            shared.reader,
            shared.hub,
            partition,
            shared.parked,
            shared.bound,
            self._attempts,
            self.retries,
            shared.renaming,
            shared.now,
        )
        self._pieces = PieceFold(
            self.place,
            self._attempts,
            self._parker,
            shared.piece_gate,
            self._fold_alone,
            self._commit_piece,
            self._crash,
        )
        self._plan: Dissection | None = None

    async def resume(self) -> None:
        """Go on from the watermark in the store, also one of another worker, and write the stay's attempt.

        Sets `mismatch` where the hub does not go on from there. Raises AzureError and EventHubError;
        it may be called again then.
        """
        hub = await self._read_all()
        found = resume_point(self._written, hub, self.place)
        if isinstance(found, HubMismatch):
            self.watermark = self._written or self.watermark
            self.mismatch = found
            return
        self.watermark, self.next_position = found.watermark, found.next_position
        self._plan = await self._attempts.begin(self.next_position, hub.last)
        self._shared.bound.begin(self.partition, self._attempts.earlier_parked_in_a_row)
        self._processor = self._open()
        if self._plan is not None:
            message = "%s: the last reader did not end well (%s); records up to %d are folded in pieces"
            why = self._attempts.error or "it was killed, or hung"
            log.warning(message, self.place, why, self._plan.until)
        elif self._attempts.follows_open:
            log.info("%s: the last reader was killed; folded as usual from %d on", self.place, self.next_position)

    @property
    def is_full(self) -> bool:
        """Whether `commit` must be called before more is processed."""
        if len(self._unwritten) >= REACH or self._unwritten_bytes >= MAX_UNWRITTEN_BYTES:
            return True
        return self._processor is not None and self._processor.is_full

    @property
    def folds_in_pieces(self) -> bool:
        """Whether the next records are folded in pieces, since the last reader did not end well."""
        return self._plan is not None

    @property
    def can_commit(self) -> bool:
        """Whether what was processed may be written."""
        return self.mismatch is None and not self._crashed and self._processor is not None

    @property
    def written_position(self) -> int:
        """The position of the watermark in the store, -1 for none."""
        return -1 if self._written is None else self._written.position

    @property
    def written_through(self) -> datetime | None:
        """All that the hub had at this moment is applied, by the watermark in the store; None where not known."""
        return None if self._written is None else self._written.through

    async def process(self, records: Sequence[HubRecord]) -> None:
        """Process records, the first of which is at `next_position`. Raises FoldCrashedError and
        ParkingStoppedError."""
        records = await self._shared.renaming.renamed(self.partition, records)
        if self._plan is not None:
            records = await self._fold_in_pieces(records, self._plan, parks_crashes=True)
            if records:
                self._plan = None
        if not records:
            return
        self._unwritten += records
        self._unwritten_bytes += sum(len(record.body) for record in records)
        self.next_position = records[-1].position + 1
        assert self._processor is not None
        try:
            # Not while a suspect of another partition is folded: what ends the process then is in that one.
            async with self._shared.piece_gate.beside():
                poison = await self._process(self._processor, records)
            await self._parker.park_poison(records, poison)
        except Exception as error:  # noqa: BLE001  # whatever it is, nothing of it may be acknowledged
            await self._recover(error)
        else:
            self._advance(records[-1])

    async def commit(self) -> None:
        """Return once what was processed is written and the watermark says so. Raises as `process` does, and
        PositionResetError."""
        if self._unwritten:
            assert self._processor is not None
            try:
                async with self._shared.piece_gate.beside():
                    await self._processor.flush()
            except Exception as error:  # noqa: BLE001  # as above
                await self._recover(error)
            else:
                self._shared.bound.applied(self.partition, len(self._unwritten))
            self._unwritten, self._unwritten_bytes = [], 0
        await self.retries.run(self._write_watermark)

    def record_end(self, last: int, asked_at: datetime) -> None:
        """The hub said that the partition ends at `last`, asked at `asked_at`: without more to process, it is complete
        through then."""
        if last < self.next_position:
            self.watermark = structs.replace(
                self.watermark, through=later(self.watermark.through, asked_at - CLOCK_MARGIN)
            )

    async def read_hub_state(self) -> HubState:
        """The partition in its hub now, asked until there is an answer."""
        found: list[HubState] = []

        async def read() -> None:
            found.append(await self._shared.metadata.read_state(self.partition))

        await self.retries.run(read)
        return found[0]

    async def is_mended(self) -> bool:
        """Whether a partition with a mismatch may be read again: an operator set its watermark, or the hub fits again.
        If not, `mismatch` says what the hub holds by now. Raises AzureError and EventHubError."""
        found = await self._shared.watermarks.read(self.partition)
        if found is not None and self._written is not None and found.resets != self._written.resets:
            return True
        resumed = resume_point(found, await self._shared.metadata.read_state(self.partition), self.place)
        if isinstance(resumed, HubMismatch):
            self.mismatch = resumed
        return not isinstance(resumed, HubMismatch)

    async def check_hub(self) -> None:
        """Set `mismatch` where the hub is another one, or lacks what comes next. Raises EventHubError."""
        found = resume_point(self._written, await self._shared.metadata.read_state(self.partition), self.place)
        if isinstance(found, HubMismatch):
            self.mismatch = found

    async def close(self) -> None:
        """Note that the stay ended well, if it did. Raises AzureError."""
        if self._processor is not None and not self._crashed:
            await self._attempts.close()

    def abandon(self) -> None:
        """Leave what was processed and not written to the next reader."""
        if self._processor is not None:
            self._processor.close()

    async def _read_all(self) -> HubState:
        """Read what a stay begins with, beside one another since each is a wait of its own; return the hub's state."""
        hub: list[HubState] = []

        async def read_positions() -> None:
            # In this order: another worker may move the watermark meanwhile, up to what the hub has by then.
            self._written = await self._shared.watermarks.read(self.partition)
            hub.append(await self._shared.metadata.read_state(self.partition))

        # A listener may have been forgotten while nobody, or another version, read the partition.
        await gather_or_cancel((read_positions(), self._attempts.read(), self._shared.renaming.refresh()))
        return hub[0]

    async def _process(self, processor: PartitionProcessor, records: Sequence[HubRecord]) -> Mapping[int, PoisonError]:
        """Give records to `processor`; what can't be decoded, by position."""
        # Projections keep positions that rise for good, also when the hub is made anew.
        base = lasting_position(self.watermark.generation, 0)
        lasting = [structs.replace(one, position=base + one.position) for one in records] if base else records
        return {position - base: error for position, error in (await processor.process(lasting)).items()}

    async def _recover(self, error: Exception) -> None:
        """Fold what is not written in pieces, where a store refused an item of it; any other error ends the reader."""
        if not isinstance(error, ItemRefusedError):
            await self._crash(self._unwritten[0].position, error)
        records, self._unwritten, self._unwritten_bytes = self._unwritten, [], 0
        assert self._processor is not None
        self._processor.close()
        self._processor = self._open()
        plan = Dissection(until=records[-1].position, size=len(records))
        await self._fold_in_pieces(records, plan, parks_crashes=False)

    async def _fold_in_pieces(
        self, records: Sequence[HubRecord], plan: Dissection, *, parks_crashes: bool
    ) -> Sequence[HubRecord]:
        try:
            return await self._pieces.run(records, plan, parks_crashes=parks_crashes)
        except ParkingStoppedError:
            self._crashed = True
            raise

    async def _fold_alone(self, records: Sequence[HubRecord]) -> None:
        """Fold and write records with a processor of their own: what failed before leaves nothing behind."""
        processor = self._open()
        try:
            poison = await self._process(processor, records)
            await processor.flush()
        finally:
            processor.close()
        await self._parker.park_poison(records, poison)
        if len(poison) < len(records):
            self._shared.bound.applied(self.partition, len(records))

    async def _commit_piece(self, last: HubRecord) -> None:
        self.next_position = last.position + 1
        self._advance(last)
        await self.retries.run(partial(self._write_watermark, gathers=False))

    async def _crash(self, position: int, error: Exception) -> NoReturn:
        """End the reader because of what the records from `position` on raise, noted for its next life."""
        self._crashed = True
        with suppress(TimeoutError):
            # The attempt itself was written when the stay began.
            async with asyncio.timeout(CRASH_NOTE_S):
                await self._attempts.write(last_line(error))
        raise FoldCrashedError(f"{self.place}, from {position} on: {last_line(error)}") from error

    def _open(self) -> PartitionProcessor:
        return self._shared.open(self.partition, self.retries)

    def _advance(self, record: HubRecord) -> None:
        through = later(self.watermark.through, record.enqueued_at)
        self.watermark = structs.replace(self.watermark, position=record.position, through=through)

    async def _write_watermark(self, *, gathers: bool = True) -> None:
        if self.watermark != self._written and self.watermark.through is not None:
            await self._shared.watermarks.advance(self.partition, self.watermark, gathers=gathers)
        self._written = self.watermark
