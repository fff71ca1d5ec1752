"""How far the worker is and why it is not ready: what the stages show, given to the rule of all workers."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any, Protocol

from faust.types import TP

from songline.cloud.service_fault import ServiceFault, fault_of
from songline.processors.runtime.progress import ObservedEnd, ProgressObservation, ProgressTracker
from songline.processors.runtime.service_errors import last_line
from songline.processors.trending.cells.source_partition import AT_END_MARGIN_MS
from songline.processors.trending.faust.batched_app import BatchedApp
from songline.processors.trending.sdk_errors import SERVICE_ERRORS
from songline.processors.trending.spans import READER, has_passed
from songline.schemas.channels import PLAYS
from songline.schemas.moments import moment_at
from songline.schemas.progress_report import NotReadyCause, NotReadyReason, ProgressReport, not_ready

log = logging.getLogger(__name__)

ASK_AGAIN_MS = 10_000
"""The end of a partition that is not fetched is asked for so often."""
ANSWER_TIMEOUT_S = 5.0
ERROR_S = 5.0
"""An error that lasts less long is not reported."""
MISSING_SHARDS = "missing shards"
MISSING_SHARDS_S = 90.0
"""Each shard reports everything twice a minute."""
GAP_TIMES = 2
"""A gap that was read so often does not pass by itself."""

_CAUSES = {
    ServiceFault.ACCESS_DENIED: NotReadyCause.ACCESS_DENIED,
    ServiceFault.ITEM_REFUSED: NotReadyCause.WRITES_REFUSED,
}


class ProgressSource(Protocol):
    """A stage, which holds partitions of a hub."""

    def progress(self) -> Iterable[tuple[TP, int, int | None]]:
        """Of each partition: the position up to which it is done, and when the hub took the record there (Unix ms)."""


class ProgressObserver:
    """Observes the partitions of all stages, and reports the worker's progress.

    `backlogs` returns, of each shard, how many of its songs' days were written and how many have come. `missing_shards`
    returns the shards of which the merge has no report. `errors` returns, by what can't be done, the error that was met
    last; `reasons` whatever else keeps the worker from being ready. `now_ms` is the wall clock's, `steady` returns
    seconds.
    """

    def __init__(
        self,
        app: BatchedApp,
        tracker: ProgressTracker,
        stages: Iterable[ProgressSource],
        backlogs: Callable[[], Iterable[tuple[int, int, int]]],
        missing_shards: Callable[[], list[int]],
        errors: Callable[[], Iterable[tuple[str, Exception | None]]],
        reasons: Callable[[], Iterable[NotReadyReason]],
        now_ms: Callable[[], int],
        steady: Callable[[], float],
    ) -> None:
        self._app = app
        self._tracker = tracker
        self._stages = list(stages)
        self._backlogs = backlogs
        self._missing_shards = missing_shards
        self._errors = errors
        self._since_s: dict[str, float] = {}
        self._reasons = reasons
        self._now_ms = now_ms
        self._steady = steady
        self._observed: set[tuple[str, str]] = set()

    async def observe(self) -> None:
        """Observe all partitions that this worker holds."""
        seen = {tp: (position, logged_ms) for stage in self._stages for tp, position, logged_ms in stage.progress()}
        ends = await self._ends(list(seen))
        now_ms = self._now_ms()
        for tp, (position, logged_ms) in seen.items():
            logged = None if logged_ms is None or logged_ms < 0 else moment_at(min(logged_ms, now_ms))
            self._observe(tp.topic, str(tp.partition), position, ends.get(tp), logged)
        held = {(tp.topic, str(tp.partition)) for tp in seen}
        for number, begin, end in self._backlogs():
            self._observe(PLAYS, str(number), begin - 1, ObservedEnd(end - 1, moment_at(now_ms)), None, rewrites=True)
            held.add((PLAYS, str(number)))
        for hub, partition in self._observed - held:
            self._tracker.forget(hub, partition)
        self._observed = held
        found = [what for what, error in self._errors() if error is not None]
        self._time(found + [MISSING_SHARDS] * bool(self._missing_shards()))

    def report(self) -> ProgressReport:
        """The progress as it was observed last, and why the worker is not ready now."""
        return self._tracker.report(self._steady(), moment_at(self._now_ms()), self._not_ready_reasons())

    def _observe(
        self,
        hub: str,
        partition: str,
        position: int,
        end: ObservedEnd | None,
        logged: datetime | None,
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
        self._tracker.observe(seen, self._steady(), moment_at(self._now_ms()))

    def _time(self, present: Iterable[str]) -> None:
        """Record since when each of `present` lasts."""
        now_s = self._steady()
        self._since_s = {what: self._since_s.get(what, now_s) for what in present}

    def _lasts(self, what: str, seconds: float) -> bool:
        since_s = self._since_s.get(what)
        return since_s is not None and self._steady() - since_s >= seconds

    async def _ends(self, tps: list[TP]) -> dict[TP, ObservedEnd]:
        """The ends of partitions, without those that the hub does not answer with now."""
        consumer, now_ms = self._app.consumer, self._now_ms()
        fetched = {tp: found for tp in tps if (found := consumer.fetch_position(tp)) is not None}
        # Of a fetch it is known when its answer came.
        ends = {
            tp: ObservedEnd(found.end - 1, moment_at(found.polled_ms - AT_END_MARGIN_MS))
            for tp, found in fetched.items()
            if not has_passed(ASK_AGAIN_MS, found.polled_ms, now_ms)
        }
        if stale := [tp for tp in tps if tp not in ends]:
            try:
                async with asyncio.timeout(ANSWER_TIMEOUT_S):
                    answered: dict[Any, int | None] = await consumer.highwaters(*stale)
            except (*SERVICE_ERRORS, TimeoutError) as error:
                log.info("the ends of %d partitions are not known: %s", len(stale), error)
            else:
                asked_at = moment_at(now_ms)
                ends |= {tp: ObservedEnd(end - 1, asked_at) for tp, end in answered.items() if end is not None}
        return ends

    def _not_ready_reasons(self) -> Iterator[NotReadyReason]:
        app = self._app
        if app.rebalancing or not app.tables.actives_ready:
            sentence = "partitions are being shared out and their state is being read"
            if app.unknown_hubs:
                hubs = ", ".join(app.unknown_hubs)
                sentence = (
                    f"partitions are not shared out: the namespace names no hub {hubs}; `songline doctor` says why"
                )
            yield not_ready(READER, NotReadyCause.PARTITIONS_MOVING, sentence)
        for tp, found in sorted(app.gaps.items()):
            if found.times >= GAP_TIMES:
                sentence = (
                    f"{tp.topic}/{tp.partition}: expected offset {found.gap.expected}, the hub gives {found.gap.seen}, "
                    f"read {found.times} times; nothing is passed over"
                )
                where = {"hub": tp.topic, "partition": str(tp.partition)}
                yield not_ready(READER, NotReadyCause.STANDS_STILL, sentence, **where)
        if (missing := self._missing_shards()) and self._lasts(MISSING_SHARDS, MISSING_SHARDS_S):
            sentence = f"charts are not made: shard {', '.join(map(str, missing))} has not reported its lists"
            yield not_ready(READER, NotReadyCause.STANDS_STILL, sentence)
        for what, error in self._errors():
            if error is not None and self._lasts(what, ERROR_S):
                yield _error_reason(what, error)
        yield from self._reasons()


def _error_reason(what: str, error: Exception) -> NotReadyReason:
    fault = fault_of(error) or ServiceFault.UNAVAILABLE
    sentence = f"{what}: {fault.value}: {last_line(error)[:300]}"
    return not_ready(READER, _CAUSES.get(fault, NotReadyCause.SERVICE_AWAY), sentence)
