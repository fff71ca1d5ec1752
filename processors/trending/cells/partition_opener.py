"""The pump that decides from where a partition of `music-events` is read, and whether it may still be."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from faust.types import TP
from msgspec import structs

from songline.processors.runtime.resume_point import HubMismatch, HubState
from songline.processors.runtime.service_errors import SERVICE_ERRORS
from songline.processors.runtime.watermark_store import PositionResetError
from songline.processors.trending.cells.start_positions import StartPosition, StartPositions, mismatch
from songline.processors.trending.faust.batched_app import BatchedApp
from songline.processors.trending.parking_queue import READER
from songline.processors.trending.policy import moment
from songline.schemas.channels import MUSIC_EVENTS, TRENDING_CELLS_CHANGELOG
from songline.schemas.progress import Watermark
from songline.schemas.progress_report import NotReadyCause, NotReadyReason, not_ready, widened

log = logging.getLogger(__name__)

LOOK_S = 15.0
"""Whether the hub is still the same is asked so often."""
NOTE_S = 5.0
"""How far a partition is read is noted so often."""
PARTING_S = 5.0
REFUSED_S = 5.0
"""One that can't be read on is looked at so often: an operator may have set its position."""
AWAY_S = 2.0


class PartitionHolder(Protocol):
    """Whoever folds the partitions."""

    def open(self, number: int, ground: StartPosition) -> None:
        """Fold the partition from here on."""

    def close(self, number: int, level: int | None) -> None:
        """Fold nothing of the partition; nothing of it is applied at `level`, None: what is applied stays so."""

    def flushed(self, number: int) -> int:
        """The position up to which the partition is flushed."""


class PartitionOpener:
    """The partitions that this worker holds. `steady` gives seconds, `now_ms` is the wall clock's.

    `trouble` is what the hub or the store said last, None where they answer.
    """

    def __init__(
        self, app: BatchedApp, standings: StartPositions, now_ms: Callable[[], int], steady: Callable[[], float]
    ) -> None:
        self._app = app
        self._standings = standings
        self._now_ms = now_ms
        self._steady = steady
        self._holder: PartitionHolder | None = None
        self._pending: dict[int, tuple[int | None, float]] = {}
        self._grounds: dict[int, Watermark] = {}
        self._refused: dict[int, HubMismatch] = {}
        self._narrow: dict[int, int] = {}
        self._added: frozenset[int] = frozenset()
        self._turn = 0
        self._looked_s = 0.0
        self._noted_s = 0.0
        self.trouble: Exception | None = None

    def assigned(self, holder: PartitionHolder, committed: dict[int, int | None]) -> None:
        """Hold these partitions, each from the offset that the group has committed, and no others."""
        self.revoked()
        self._holder = holder
        self._pending = {number: (offset, 0.0) for number, offset in committed.items()}
        self._app.unsettled |= {TP(MUSIC_EVENTS, number) for number in committed}

    def revoked(self) -> None:
        self._turn += 1
        self._holder = None
        self._pending, self._grounds, self._refused, self._narrow = {}, {}, {}, {}
        self._app.unsettled.clear()

    def doubt(self, number: int) -> None:
        """The partition may be another one by now: nothing of it is folded before that is known."""
        if self._holder is not None and self._grounds.pop(number, None) is not None:
            self._app.unsettled.add(TP(MUSIC_EVENTS, number))
            self._pending[number] = self._holder.flushed(number) + 1, 0.0
            self._holder.close(number, None)

    async def tick(self) -> None:
        """Settle what waits, and look at what is read now and then."""
        now_s, turn = self._steady(), self._turn
        try:
            for number, (committed, due_s) in list(self._pending.items()):
                if due_s <= now_s and turn == self._turn and await self._is_wide_enough(number):
                    await self._settle(number, committed)
            if turn == self._turn and now_s - self._looked_s >= LOOK_S:
                self._looked_s = now_s
                await self._look()
            if turn == self._turn and now_s - self._noted_s >= NOTE_S:
                self._noted_s = now_s
                await self._note()
        except SERVICE_ERRORS as error:
            if self.trouble is None:
                log.warning("partitions can't be looked at, trying again: %s", error)
            self.trouble = error
            self._looked_s = now_s - LOOK_S + AWAY_S
        else:
            self.trouble = None

    def reasons(self) -> Iterator[NotReadyReason]:
        for number, found in sorted(self._refused.items()):
            mend = f"songline checkpoints reset {READER} --partition {number}"
            where = {"hub": MUSIC_EVENTS, "partition": str(number)}
            yield not_ready(READER, found.cause, found.sentence, mend=mend, **where)
        for number in sorted(self._pending.keys() - self._refused.keys() - self._narrow.keys()):
            where = {"hub": MUSIC_EVENTS, "partition": str(number)}
            yield not_ready(READER, NotReadyCause.STARTING, f"{MUSIC_EVENTS}/{number}: is not read yet", **where)
        needed = max([*self._pending, *self._narrow, *self._added], default=0) + 1
        for number in sorted(self._added - self._narrow.keys()):
            sentence = f"{MUSIC_EVENTS}/{number} was added and is not shared out yet, which takes three minutes at most"
            yield not_ready(
                READER,
                NotReadyCause.PARTITIONS_ADDED,
                sentence,
                mend=widened(TRENDING_CELLS_CHANGELOG, needed),
                hub=MUSIC_EVENTS,
                partition=str(number),
            )
        for number, width in sorted(self._narrow.items()):
            sentence = (
                f"{MUSIC_EVENTS}/{number} was added and is not counted: {TRENDING_CELLS_CHANGELOG} has {width} "
                f"partitions, it needs {needed}"
            )
            mend = widened(TRENDING_CELLS_CHANGELOG, needed)
            yield not_ready(
                READER, NotReadyCause.PARTITIONS_ADDED, sentence, mend=mend, hub=MUSIC_EVENTS, partition=str(number)
            )

    async def _settle(self, number: int, committed: int | None) -> None:
        turn, tp = self._turn, TP(MUSIC_EVENTS, number)
        try:
            found = await self._standings.find(number, committed)
            if turn != self._turn or self._holder is None:
                return
            if isinstance(found, StartPosition):
                await self._app.consumer.rewind(tp, found.next)
                await self._standings.note(number, found.reached)
                if turn == self._turn:
                    self._open(number, found)
                return
        except PositionResetError:
            # Between the two an operator set it; it is found so the next time.
            return
        why, level = found
        if number not in self._refused:
            log.error("nothing of it is folded: %s", why.sentence)
            self._holder.close(number, level if level % 2 else None)
        self._refused[number] = why
        self._pending[number] = committed, self._steady() + REFUSED_S

    def _open(self, number: int, ground: StartPosition) -> None:
        assert self._holder is not None
        if self._refused.pop(number, None) is not None:
            log.warning("%s/%d is read again from %d", MUSIC_EVENTS, number, ground.next)
        self._pending.pop(number, None)
        self._grounds[number] = ground.reached
        self._holder.open(number, ground)
        self._app.unsettled.discard(TP(MUSIC_EVENTS, number))

    async def _look(self) -> None:
        """Whether the hub is still the one that is read; and note how far it is read."""
        turn, holder = self._turn, self._holder
        tps = [TP(MUSIC_EVENTS, number) for number in self._grounds]
        if holder is None or not tps:
            return
        # Before the ends are asked, or it may seem to be beyond them.
        positions = {number: holder.flushed(number) for number in self._grounds}
        hub = await self._standings.describe()
        known = self._app.consumer.known_partitions(MUSIC_EVENTS)
        self._added = frozenset(map(int, hub.partitions)) - known if known else frozenset()
        firsts: dict[Any, int | None] = await self._app.consumer.earliest_offsets(*tps)
        ends: dict[Any, int | None] = await self._app.consumer.highwaters(*tps)
        for tp in tps:
            if turn != self._turn:
                return
            first, end, before = firsts.get(tp), ends.get(tp), self._grounds.get(tp.partition)
            if first is None or end is None or before is None:
                continue
            position = max(positions[tp.partition], before.position)
            reached = structs.replace(before, position=position, through=moment(self._now_ms()))
            if mismatch(tp.partition, reached, HubState(hub.created_at, first, end - 1)) is not None:
                self.doubt(tp.partition)
                continue

    async def part(self) -> None:
        """Note how far the partitions are read that are given up."""
        try:
            async with asyncio.timeout(PARTING_S):
                await self._note()
        except (*SERVICE_ERRORS, TimeoutError) as error:
            log.warning("how far partitions are read was not noted: %s", error)

    async def _note(self) -> None:
        """Note how far the partitions are read."""
        turn, holder = self._turn, self._holder
        for number, before in list(self._grounds.items()):
            if holder is None or turn != self._turn:
                return
            position = max(holder.flushed(number), before.position)
            reached = structs.replace(before, position=position, through=moment(self._now_ms()))
            try:
                await self._standings.note(number, reached)
            except PositionResetError:
                self.doubt(number)
            else:
                if number in self._grounds:
                    self._grounds[number] = reached

    async def _is_wide_enough(self, number: int) -> bool:
        """Whether the changelog has a place for what is saved of the partition."""
        producer = self._app.producer._producer
        width = len(await producer.partitions_for(TRENDING_CELLS_CHANGELOG) or ())
        if number < width:
            self._narrow.pop(number, None)
            return True
        if number not in self._narrow:
            log.error("%s/%d is not counted: widen %s", MUSIC_EVENTS, number, TRENDING_CELLS_CHANGELOG)
        self._narrow[number] = width
        committed, _ = self._pending[number]
        self._pending[number] = committed, self._steady() + REFUSED_S
        await producer.client.force_metadata_update()
        return False
