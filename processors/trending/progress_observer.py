"""How far the worker is, and why it is not ready: what the stages show, told to the rule of all workers."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any, Protocol

from faust.types import TP

from songline.cloud.service_fault import ServiceFault, fault_of
from songline.processors.runtime.progress import ProgressObservation, ProgressTracker
from songline.processors.runtime.service_errors import SERVICE_ERRORS, last_line
from songline.processors.trending.faust.batched_app import BatchedApp
from songline.processors.trending.parking_queue import READER
from songline.processors.trending.policy import moment
from songline.schemas.channels import PLAYS
from songline.schemas.progress_report import NotReadyCause, NotReadyReason, ProgressReport, not_ready

log = logging.getLogger(__name__)

ASK_AGAIN_MS = 10_000
"""A partition that is not fetched is asked for its end so often."""
ANSWER_S = 5.0
TROUBLE_S = 5.0
"""What is mended sooner is no news."""
UNHEARD = "unheard"
UNHEARD_S = 90.0
"""Each shard tells everything twice a minute."""
TIMES = 2
"""A gap that was read so often is no matter of moments."""

_CAUSES = {
    ServiceFault.ACCESS_DENIED: NotReadyCause.ACCESS_DENIED,
    ServiceFault.ITEM_REFUSED: NotReadyCause.WRITES_REFUSED,
}


class ProgressSource(Protocol):
    """What has partitions of a hub."""

    def progress(self) -> Iterable[tuple[TP, int, int | None]]:
        """Of each partition: the position up to which it is done, and when (Unix ms) the hub took what is there."""


class ProgressObserver:
    """The worker's progress. `troubles` give, by what it is that can't be done, the error that it met last; `reasons`
    are whatever else keeps the worker from being ready. `now_ms` is the wall clock's, `steady` gives seconds."""

    def __init__(
        self,
        app: BatchedApp,
        tracker: ProgressTracker,
        stages: Iterable[ProgressSource],
        backlogs: Callable[[], Iterable[tuple[int, int, int]]],
        unheard: Callable[[], list[int]],
        troubles: Callable[[], Iterable[tuple[str, Exception | None]]],
        reasons: Callable[[], Iterable[NotReadyReason]],
        now_ms: Callable[[], int],
        steady: Callable[[], float],
    ) -> None:
        self._app = app
        self._tracker = tracker
        self._stages = list(stages)
        self._backlogs = backlogs
        self._unheard = unheard
        self._troubles = troubles
        self._since_s: dict[str, float] = {}
        self._reasons = reasons
        self._now_ms = now_ms
        self._steady = steady
        self._known: set[tuple[str, str]] = set()

    async def observe(self) -> None:
        """Look at all partitions that are held."""
        seen = {tp: (position, logged_ms) for stage in self._stages for tp, position, logged_ms in stage.progress()}
        ends = await self._ends(list(seen))
        now_ms = self._now_ms()
        for tp, (position, logged_ms) in seen.items():
            logged = None if logged_ms is None or logged_ms < 0 else moment(min(logged_ms, now_ms))
            self._observe(tp.topic, str(tp.partition), position, ends.get(tp), logged, moment(now_ms))
        held = {(tp.topic, str(tp.partition)) for tp in seen}
        for number, begin, end in self._backlogs():
            self._observe(PLAYS, str(number), begin - 1, end - 1, None, moment(now_ms), rewrites=True)
            held.add((PLAYS, str(number)))
        for hub, partition in self._known - held:
            self._tracker.forget(hub, partition)
        self._known = held
        self._time([what for what, error in self._troubles() if error is not None] + [UNHEARD] * bool(self._unheard()))

    def report(self) -> ProgressReport:
        return self._tracker.report(self._steady(), moment(self._now_ms()), self._given())

    def _observe(
        self,
        hub: str,
        partition: str,
        position: int,
        end: int | None,
        logged: datetime | None,
        now: datetime,
        *,
        rewrites: bool = False,
    ) -> None:
        seen = ProgressObservation(
            hub=hub,
            partition=partition,
            position=position,
            end=end,
            applied_enqueued_at=logged,
            rewrites=rewrites,
        )
        self._tracker.observe(seen, self._steady(), now)

    def _time(self, troubles: Iterable[str]) -> None:
        """Note since when there is each of these."""
        now_s = self._steady()
        self._since_s = {what: self._since_s.get(what, now_s) for what in troubles}

    def _lasts(self, what: str, seconds: float) -> bool:
        since_s = self._since_s.get(what)
        return since_s is not None and self._steady() - since_s >= seconds

    async def _ends(self, tps: list[TP]) -> dict[TP, int]:
        """The last positions of partitions, of those that told them just now."""
        consumer, now_ms = self._app.consumer, self._now_ms()
        reaches = {tp: reach for tp in tps if (reach := consumer.reach(tp)) is not None}
        ends = {tp: reach.end - 1 for tp, reach in reaches.items() if now_ms - reach.polled_ms < ASK_AGAIN_MS}
        if stale := [tp for tp in tps if tp not in ends]:
            try:
                async with asyncio.timeout(ANSWER_S):
                    asked: dict[Any, int | None] = await consumer.highwaters(*stale)
            except (*SERVICE_ERRORS, TimeoutError) as error:
                log.info("%d partitions do not tell their end: %s", len(stale), error)
            else:
                ends |= {tp: end - 1 for tp, end in asked.items() if end is not None}
        return ends

    def _given(self) -> Iterator[NotReadyReason]:
        app = self._app
        if app.rebalancing or not app.tables.actives_ready:
            yield not_ready(
                READER, NotReadyCause.PARTITIONS_MOVING, "partitions are being shared out and their state is being read"
            )
        for tp, found in sorted(app.missing.items()):
            if found.times >= TIMES:
                sentence = (
                    f"{tp.topic}/{tp.partition}: expected offset {found.gap.expected}, the hub gives {found.gap.seen}, "
                    f"read {found.times} times; nothing is passed over"
                )
                where = {"hub": tp.topic, "partition": str(tp.partition)}
                yield not_ready(READER, NotReadyCause.STANDS_STILL, sentence, **where)
        if (unheard := self._unheard()) and self._lasts(UNHEARD, UNHEARD_S):
            sentence = f"charts are not made: shard {', '.join(map(str, unheard))} has not told its lists"
            yield not_ready(READER, NotReadyCause.STANDS_STILL, sentence)
        for what, error in self._troubles():
            if error is not None and self._lasts(what, TROUBLE_S):
                fault = fault_of(error) or ServiceFault.UNAVAILABLE
                sentence = f"{what}: {fault.value}: {last_line(error)[:300]}"
                yield not_ready(READER, _CAUSES.get(fault, NotReadyCause.SERVICE_AWAY), sentence)
        yield from self._reasons()
