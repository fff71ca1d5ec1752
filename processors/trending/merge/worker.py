"""The pump of the merge: frames of `trending-tops` to charts, handed to whoever writes them."""

from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from faust.types import TP

from songline.processors.trending.crash_isolation import FoldGuard
from songline.processors.trending.faust.batch import Batch
from songline.processors.trending.faust.batched_app import BatchedApp
from songline.processors.trending.faust.gap_detection import GapDetector
from songline.processors.trending.merge.chart_writer import ChartWriter
from songline.processors.trending.merge.state import Merge
from songline.processors.trending.parking_queue import ParkingQueue, passed_over
from songline.processors.trending.shards import wire as frames
from songline.processors.trending.shards.wire import ReportPart
from songline.processors.trending.validation import StageLimits, check_frame
from songline.schemas.channels import TRENDING_TOPS
from songline.schemas.errors import PoisonError


class MergeWorker:
    """The merge, while this worker holds the only partition of `trending-tops`.

    Offsets are committed up to the oldest whole frame that is still needed, so that the next owner finds one of every
    shard as soon as it starts.
    """

    def __init__(
        self,
        app: BatchedApp,
        sink: ChartWriter,
        shards: int,
        limits: Callable[[], StageLimits],
        parking: ParkingQueue,
        guard: FoldGuard,
    ) -> None:
        self._app = app
        self._sink = sink
        self._limits = limits
        self._parking = parking
        self._guard = guard
        self._owner = ""
        self._logged_ms: int | None = None
        self._shards = shards
        self._order = GapDetector(app, TRENDING_TOPS)
        self._merge: Merge | None = None
        self._messages: deque[Any] = deque()
        self._needed: dict[int, int] = {}
        self._begun: dict[int, int] = {}
        self._applied = -1

    async def consume(self, stream: Any) -> None:
        async for event in stream.noack().events():
            if not await self._order.admits(event.message.partition, event.value) or self._merge is None:
                continue
            merge = self._merge
            await self._fold(merge, event.value)
            if self._merge is merge:
                self._messages.append(event.message)
                self._applied = event.message.offset
                self._logged_ms = event.value.logged_ms[-1] if event.value.logged_ms else None

    async def _fold(self, merge: Merge, batch: Batch) -> None:
        tp = TP(TRENDING_TOPS, 0)
        reach = self._app.consumer.reach(tp)

        async def settle(position: int) -> None:
            # What was heard may also end the worker later, when it makes charts of it.
            for key in sorted(merge.changed):
                merge.chart(key, {})
            await self._parking.park_all(TRENDING_TOPS, 0)
            if self._merge is merge:
                # The next owner may have to wait for the next whole frames.
                await self._app.consumer.commit_through(tp, position)

        end = None if reach is None else reach.end
        await self._guard.fold(0, batch, self._owner, end, partial(self._apply, merge), settle)

    def _apply(self, merge: Merge, batch: Batch) -> None:
        limits = self._limits()
        for index, body in enumerate(batch.bodies):
            try:
                frame = frames.decode(body)
                check_frame(frame, limits)
                merge.hear(frame)
            except PoisonError as why:
                self._parking.add(TRENDING_TOPS, 0, passed_over(why, batch, index))
            else:
                self._note(frame, batch.offsets[index])

    async def assigned(self, start: int | None, owner: str) -> None:
        """Hold the merge, reading from the offset `start`; None: another worker holds it."""
        await self.revoked()
        if start is not None:
            self._owner = owner
            self._order.start({0: start})
            self._merge = Merge(self._shards)
            self._applied = start - 1

    async def revoked(self) -> None:
        self._order.start({})
        self._merge = None
        self._messages.clear()
        self._needed.clear()
        self._begun.clear()
        self._sink.forget()
        self._parking.forget(TRENDING_TOPS)
        await self._guard.close()

    def progress(self) -> Iterator[tuple[TP, int, int | None]]:
        if self._merge is not None:
            yield TP(TRENDING_TOPS, 0), self._applied, self._logged_ms

    @property
    def unheard(self) -> list[int]:
        """Shards that have not told everything yet, while this worker makes the charts."""
        return [] if self._merge is None else self._merge.unheard

    async def write(self) -> None:
        """Write what is due, if all that was said has been heard: an owner that has just started hears old frames."""
        if await self._parking.park(TRENDING_TOPS, 0):
            self._let_go()
        reach = self._app.consumer.reach(TP(TRENDING_TOPS, 0))
        if self._merge is not None and self._merge.ready and reach is not None and self._applied + 1 >= reach.end:
            await self._sink.write(self._merge)

    def _note(self, frame: ReportPart, offset: int) -> None:
        if frame.whole and frame.first:
            self._begun[frame.shard] = offset
        if frame.whole and frame.mark is not None and frame.shard in self._begun:
            self._needed[frame.shard] = self._begun.pop(frame.shard)

    def _let_go(self) -> None:
        if len(self._needed) < self._shards:
            return
        oldest = min(self._needed.values())
        while self._messages and self._messages[0].offset < oldest:
            self._app.consumer.ack(self._messages.popleft())
