"""The pump that opens partitions of `music-events`: from where each is read, and whether it may still be read."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeAlias

from faust.types import TP
from msgspec import structs

from songline.cloud.concurrency import gather_or_cancel
from songline.processors.runtime.resume_point import HubMismatch, HubState
from songline.processors.runtime.watermark_store import PositionResetError
from songline.processors.trending.cells.start_positions import (
    PositionMismatch,
    StartPosition,
    StartPositions,
    mismatch,
)
from songline.processors.trending.faust.batched_app import BatchedApp
from songline.processors.trending.sdk_errors import SERVICE_ERRORS
from songline.processors.trending.spans import READER
from songline.schemas.channels import MUSIC_EVENTS, TRENDING_CELLS_CHANGELOG
from songline.schemas.moments import moment_at
from songline.schemas.progress import Watermark
from songline.schemas.progress_report import NotReadyCause, NotReadyReason, not_ready, widened

log = logging.getLogger(__name__)

CHECK_S = 15.0
"""The pause between two checks that the hub is still the same."""
NOTE_S = 5.0
"""The pause between two notes of how far partitions are read."""
NOTE_TIMEOUT_S = 5.0
REFUSED_S = 5.0
"""The pause between two tries to open a partition that can't be read on: an operator may have set its position."""
AWAY_S = 2.0
"""The pause before a check is tried again after a service failed."""


Found: TypeAlias = StartPosition | PositionMismatch
"""Where a partition is read on, or why that can't be."""


class PartitionHolder(Protocol):
    """The stage that folds the partitions."""

    def open(self, number: int, start: StartPosition) -> None:
        """Fold the partition from here on."""

    def close(self, number: int, level: int | None) -> None:
        """Fold nothing of the partition. At `level` nothing of it is applied; None: what is applied stays so."""

    def flushed(self, number: int) -> int:
        """The position up to which the partition is flushed."""


class PartitionOpener:
    """The partitions that this worker holds. `steady` returns seconds, `now_ms` is the wall clock's.

    `last_error` is the error of the hub or the store at the last call, None where they answered.
    """

    def __init__(
        self, app: BatchedApp, positions: StartPositions, now_ms: Callable[[], int], steady: Callable[[], float]
    ) -> None:
        self._app = app
        self._positions = positions
        self._now_ms = now_ms
        self._steady = steady
        self._holder: PartitionHolder | None = None
        self._pending: dict[int, tuple[int | None, float]] = {}
        """The partitions to open: the committed offset of each, and when to try."""
        self._finding: dict[int, asyncio.Task[Found | None]] = {}
        """Where partitions are read on, asked as soon as they are assigned: polls begin once shards are restored. Each
        is taken by the poll that waits for it."""
        self._open: dict[int, Watermark] = {}
        self._refused: dict[int, HubMismatch] = {}
        self._without_changelog: dict[int, int] = {}
        """The partitions for which the changelog is too narrow, each with the partitions that the changelog has."""
        self._added: frozenset[int] = frozenset()
        self._assignment = 0
        self.wake = asyncio.Event()
        """Set when partitions are assigned. What is opened again waits for the next poll, or it might never rest."""
        self._checked_s = 0.0
        self._noted_s = 0.0
        self.last_error: Exception | None = None

    def assigned(self, holder: PartitionHolder, committed: dict[int, int | None]) -> None:
        """Hold these partitions and no others, each from the offset that the group has committed."""
        self.revoked()
        self._holder = holder
        self._pending = {number: (offset, 0.0) for number, offset in committed.items()}
        self._finding = {
            number: asyncio.create_task(self._find(number, offset)) for number, offset in committed.items()
        }
        for finding in self._finding.values():
            finding.add_done_callback(_retrieve)
        self._app.unopened |= {TP(MUSIC_EVENTS, number) for number in committed}
        self.wake.set()

    def revoked(self) -> None:
        self._assignment += 1
        self._holder = None
        for finding in self._finding.values():
            finding.cancel()
        self._finding = {}
        self._pending, self._open, self._refused, self._without_changelog = {}, {}, {}, {}
        self._app.unopened.clear()

    def reopen(self, number: int) -> None:
        """Close a partition that may be one of another hub by now, and open it once that is known."""
        if self._holder is not None and self._open.pop(number, None) is not None:
            self._app.unopened.add(TP(MUSIC_EVENTS, number))
            self._pending[number] = self._holder.flushed(number) + 1, 0.0
            self._holder.close(number, None)

    async def poll(self) -> None:
        """Open what waits; now and then check and note what is read."""
        now_s, assignment = self._steady(), self._assignment
        try:
            await self._open_due(now_s)
            if assignment == self._assignment and now_s - self._checked_s >= CHECK_S:
                self._checked_s = now_s
                await self._check_hub()
            if assignment == self._assignment and now_s - self._noted_s >= NOTE_S:
                self._noted_s = now_s
                await self._save()
        except SERVICE_ERRORS as error:
            if self.last_error is None:
                log.warning("partitions can't be looked at, trying again: %s", error)
            self.last_error = error
            self._checked_s = now_s - CHECK_S + AWAY_S
        else:
            self.last_error = None

    def reasons(self) -> Iterator[NotReadyReason]:
        """Why partitions are not read."""
        for number, found in sorted(self._refused.items()):
            mend = f"songline checkpoints reset {READER} --partition {number}"
            yield not_ready(READER, found.cause, found.sentence, mend=mend, **_place(number))
        for number in sorted(self._pending.keys() - self._refused.keys() - self._without_changelog.keys()):
            yield not_ready(
                READER, NotReadyCause.STARTING, f"{MUSIC_EVENTS}/{number}: is not read yet", **_place(number)
            )
        needed = max([*self._pending, *self._without_changelog, *self._added], default=0) + 1
        mend = widened(TRENDING_CELLS_CHANGELOG, needed)
        for number in sorted(self._added - self._without_changelog.keys()):
            sentence = f"{MUSIC_EVENTS}/{number} was added and is not shared out yet, which takes three minutes at most"
            yield not_ready(READER, NotReadyCause.PARTITIONS_ADDED, sentence, mend=mend, **_place(number))
        for number, width in sorted(self._without_changelog.items()):
            sentence = (
                f"{MUSIC_EVENTS}/{number} was added and is not counted: {TRENDING_CELLS_CHANGELOG} has {width} "
                f"partitions, it needs {needed}"
            )
            yield not_ready(READER, NotReadyCause.PARTITIONS_ADDED, sentence, mend=mend, **_place(number))

    async def save_before_revoked(self) -> None:
        """Save how far the partitions are read that are given up."""
        try:
            async with asyncio.timeout(NOTE_TIMEOUT_S):
                await self._save()
        except (*SERVICE_ERRORS, TimeoutError) as error:
            log.warning("how far partitions are read was not noted: %s", error)

    async def _open_due(self, now_s: float) -> None:
        """Open what is due, all at once: each waits for the hub and the store a while."""
        due = [(number, committed) for number, (committed, due_s) in self._pending.items() if due_s <= now_s]
        opened = await asyncio.gather(*(self._try_to_open(*one) for one in due), return_exceptions=True)
        if errors := [one for one in opened if one is not None]:
            raise errors[0]

    async def _try_to_open(self, number: int, committed: int | None) -> None:
        assignment, tp = self._assignment, TP(MUSIC_EVENTS, number)
        try:
            found = await (self._finding.pop(number, None) or self._find(number, committed))
            if found is None or assignment != self._assignment or self._holder is None:
                return
            if isinstance(found, StartPosition):
                await self._app.consumer.rewind(tp, found.next)
                if not found.is_noted:
                    await self._positions.save(number, found.reached)
                if assignment == self._assignment:
                    self._set_open(number, found)
                return
        except PositionResetError:
            # An operator set the position meanwhile; the next try finds it so.
            return
        self._refuse(number, committed, found)

    async def _find(self, number: int, committed: int | None) -> Found | None:
        """Where the partition is read on, None where nothing of it can be saved yet."""
        return await self._positions.find(number, committed) if await self._has_changelog(number) else None

    def _refuse(self, number: int, committed: int | None, found: PositionMismatch) -> None:
        if number not in self._refused and self._holder is not None:
            log.error("nothing of the partition is folded: %s", found.mismatch.sentence)
            self._holder.close(number, found.level)
        self._refused[number] = found.mismatch
        self._pending[number] = committed, self._steady() + REFUSED_S

    def _set_open(self, number: int, start: StartPosition) -> None:
        assert self._holder is not None
        if self._refused.pop(number, None) is not None:
            log.warning("%s/%d is read again from %d", MUSIC_EVENTS, number, start.next)
        self._pending.pop(number, None)
        self._open[number] = start.reached
        self._holder.open(number, start)
        self._app.consumer.hand_over(TP(MUSIC_EVENTS, number))

    async def _check_hub(self) -> None:
        """Reopen the partitions of which the hub is another one by now, and find partitions that were added."""
        assignment, holder = self._assignment, self._holder
        tps = [TP(MUSIC_EVENTS, number) for number in self._open]
        if holder is None or not tps:
            return
        # Before the ends are asked for, or a position may seem to be beyond its end.
        positions = {number: holder.flushed(number) for number in self._open}
        hub = await self._positions.describe()
        known = self._app.consumer.known_partitions(MUSIC_EVENTS)
        self._added = frozenset(map(int, hub.partitions)) - known if known else frozenset()
        firsts: dict[Any, int | None] = await self._app.consumer.earliest_offsets(*tps)
        ends: dict[Any, int | None] = await self._app.consumer.highwaters(*tps)
        for tp in tps:
            if assignment != self._assignment:
                return
            first, end, before = firsts.get(tp), ends.get(tp), self._open.get(tp.partition)
            if first is None or end is None or before is None:
                continue
            position = max(positions[tp.partition], before.position)
            reached = structs.replace(before, position=position, through=moment_at(self._now_ms()))
            if mismatch(tp.partition, reached, HubState(hub.created_at, first, end - 1)) is not None:
                self.reopen(tp.partition)

    async def _save(self) -> None:
        """Save how far the partitions are read, all at once: that is one request."""
        holder = self._holder
        if holder is not None:
            await gather_or_cancel(self._save_one(holder, *one) for one in list(self._open.items()))

    async def _save_one(self, holder: PartitionHolder, number: int, before: Watermark) -> None:
        assignment = self._assignment
        position = max(holder.flushed(number), before.position)
        reached = structs.replace(before, position=position, through=moment_at(self._now_ms()))
        try:
            await self._positions.save(number, reached)
        except PositionResetError:
            if assignment == self._assignment:
                self.reopen(number)
        else:
            if assignment == self._assignment and number in self._open:
                self._open[number] = reached

    async def _has_changelog(self, number: int) -> bool:
        """Whether the changelog has a partition for what is saved of this one."""
        producer = self._app.producer._producer
        width = len(await producer.partitions_for(TRENDING_CELLS_CHANGELOG) or ())
        if number < width:
            self._without_changelog.pop(number, None)
            return True
        if number not in self._without_changelog:
            log.error("%s/%d is not counted: widen %s", MUSIC_EVENTS, number, TRENDING_CELLS_CHANGELOG)
        self._without_changelog[number] = width
        if number in self._pending:
            committed, _ = self._pending[number]
            self._pending[number] = committed, self._steady() + REFUSED_S
        await producer.client.force_metadata_update()
        return False


def _retrieve(finding: asyncio.Task[Any]) -> None:
    """An error is raised by the next poll, and is no news where there is none any more."""
    if not finding.cancelled():
        finding.exception()


def _place(number: int) -> dict[str, str]:
    return {"hub": MUSIC_EVENTS, "partition": str(number)}
