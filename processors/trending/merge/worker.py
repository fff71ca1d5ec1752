"""The pump of the merge: the shards' reports in `trending-tops` to charts, which the chart writer writes."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from faust.types import TP

from songline.processors.trending.faust.batch import Batch
from songline.processors.trending.faust.batched_app import BatchedApp
from songline.processors.trending.faust.gap_detection import GapDetector
from songline.processors.trending.fold_guard import FoldGuard
from songline.processors.trending.merge.chart_writer import ChartWriter
from songline.processors.trending.merge.hour_merges import HourMerges
from songline.processors.trending.merge.state import Merge, Place
from songline.processors.trending.parking_queue import ParkingQueue, unapplied_record
from songline.processors.trending.shards import wire as reports
from songline.processors.trending.shards.validation import check_report_part
from songline.processors.trending.shards.wire import ReportPart
from songline.processors.trending.state_version import FIRST, StateVersion
from songline.processors.trending.validation import StageLimits
from songline.schemas.channels import TRENDING_TOPS
from songline.schemas.errors import PoisonError
from songline.schemas.policy import ChartPolicy


class MergeWorker:
    """The merge, while this worker holds the only partition of `trending-tops`.

    Offsets are committed up to the oldest whole report that is still needed, so that the next owner finds one of every
    shard as soon as it starts.
    """

    def __init__(
        self,
        app: BatchedApp,
        writer: ChartWriter,
        shards: int,
        limits: Callable[[], StageLimits],
        parking: ParkingQueue,
        guard: FoldGuard,
        policy: ChartPolicy,
        version: StateVersion = FIRST,
    ) -> None:
        self._version = version
        self._app = app
        self._writer = writer
        self._limits = limits
        self._parking = parking
        self._guard = guard
        self._policy = policy
        self._owner = ""
        self._logged_ms: int | None = None
        self._shards = shards
        self._gaps = GapDetector(app, TRENDING_TOPS)
        self._merge: Merge | None = None
        self._hours = HourMerges(shards, policy)
        self._messages: deque[Any] = deque()
        self._whole_at: dict[Place, int] = {}
        self._begun_at: dict[Place, int] = {}
        self._applied = -1
        self.news = asyncio.Event()
        """Set when all reports are applied that there are."""
        self.has_written = False
        """Whether the last call of `write` had charts to look at."""

    async def consume(self, stream: Any) -> None:
        """Apply the batches of a stream, for as long as it lasts."""
        async for event in stream.noack().events():
            if not await self._gaps.follows(event.message.partition, event.value) or self._merge is None:
                continue
            merge = self._merge
            await self._fold(merge, event.value)
            if self._merge is merge:
                self._applied = event.message.offset
                self._logged_ms = event.value.logged_ms[-1] if event.value.logged_ms else None
                # Its offset is acknowledged once whole reports follow it; its bodies may be megabytes until then.
                event.message.value = None
                self._messages.append(event.message)
                if self._is_at_end():
                    self.news.set()

    async def _fold(self, merge: Merge, batch: Batch) -> None:
        tp = TP(TRENDING_TOPS, 0)
        fetched = self._app.consumer.fetch_position(tp)

        async def complete(position: int) -> None:
            # What is applied may also end the worker later, when it makes charts of it.
            for key in sorted(merge.changed):
                merge.chart(key, {})
            await self._parking.park_all(TRENDING_TOPS, 0)
            if self._merge is merge:
                # The next owner may have to wait for the next whole reports.
                await self._app.consumer.commit_through(tp, position)

        end = None if fetched is None else fetched.end
        await self._guard.fold(0, batch, self._owner, end, partial(self._apply, merge), complete)

    def _apply(self, merge: Merge, batch: Batch) -> None:
        limits = self._limits()
        for index, message in enumerate(batch.bodies):
            if (body := self._version.unwrap(message)) is None:
                continue
            try:
                part = reports.decode(body)
                check_report_part(part, limits)
                if part.hour is not None:
                    self._hours.apply(part.hour, part, batch.offsets[index])
                    continue
                merge.apply(part, batch.logged_ms[index])
            except PoisonError as why:
                self._parking.add(TRENDING_TOPS, 0, unapplied_record(why, batch, index))
            else:
                self._record(part, batch.offsets[index])

    async def assigned(self, start: int | None, owner: str) -> None:
        """Hold the merge, reading from the offset `start`; None: another worker holds it."""
        await self.revoked()
        if start is not None:
            self._owner = owner
            self._gaps.start({0: start})
            self._merge = Merge(self._shards, self._policy)
            self._hours = HourMerges(self._shards, self._policy)
            self._applied = start - 1

    async def revoked(self) -> None:
        """Hold the merge no more."""
        self._gaps.start({})
        self._merge = None
        self._messages.clear()
        self._whole_at.clear()
        self._begun_at.clear()
        self._writer.forget()
        self._parking.forget(TRENDING_TOPS)
        await self._guard.close()

    def progress(self) -> Iterator[tuple[TP, int, int | None]]:
        if self._merge is not None:
            yield TP(TRENDING_TOPS, 0), self._applied, self._logged_ms

    @property
    def missing_shards(self) -> list[int]:
        """The shards that have not reported everything yet, while this worker makes the charts."""
        return [] if self._merge is None else self._merge.missing_shards

    async def write(self) -> None:
        """Write what is due, once every report is applied: an owner that has just started reads old reports."""
        if await self._parking.park(TRENDING_TOPS, 0):
            self._acknowledge()
        self.has_written = self._merge is not None and self._merge.ready and self._is_at_end()
        if self._merge is not None and self.has_written:
            await self._writer.write(self._merge)
            await self._write_snapshots(self._hours)

    def _is_at_end(self) -> bool:
        fetched = self._app.consumer.fetch_position(TP(TRENDING_TOPS, 0))
        return fetched is not None and self._applied + 1 >= fetched.end

    async def _write_snapshots(self, hours: HourMerges) -> None:
        """Write snapshots of an hour that all shards have reported."""
        hours.expire(self._limits().now_ms)
        if (found := hours.complete()) is not None and await self._writer.snapshots.write(found):
            hours.remove(found.hour)

    def _record(self, part: ReportPart, offset: int) -> None:
        """Record at which offset the last complete whole report of each owner of a shard begins."""
        place = part.shard, part.owner
        if part.whole and part.first:
            self._begun_at[place] = offset
        if part.whole and part.watermark is not None and place in self._begun_at:
            self._whole_at[place] = self._begun_at.pop(place)

    def _acknowledge(self) -> None:
        """Acknowledge what stands before the oldest whole report that is still needed."""
        if self._merge is None:
            return
        kept = self._merge.places
        self._whole_at = {place: at for place, at in self._whole_at.items() if place in kept}
        self._begun_at = {place: at for place, at in self._begun_at.items() if place in kept}
        if len({shard for shard, _ in self._whole_at}) < self._shards:
            return
        oldest = min(self._whole_at.values())
        if self._hours.begin is not None:
            oldest = min(oldest, self._hours.begin)
        while self._messages and self._messages[0].offset < oldest:
            self._app.consumer.ack(self._messages.popleft())
