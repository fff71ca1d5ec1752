"""How far a worker is, and why it is not ready, from what its pump observes. Pure: clocks are arguments."""

from collections import deque
from collections.abc import Iterable
from datetime import datetime, timedelta

from msgspec import Struct, field

from songline.schemas.moments import later
from songline.schemas.progress_report import NotReadyCause, NotReadyReason, PartitionProgress, ProgressReport, not_ready

ON_THE_WAY_S = 5.0
"""A backlog that is applied in so many seconds is none."""


class ProgressBounds(Struct, frozen=True):
    """In seconds: how long a partition may stand still while events wait (`stall_s`), how far behind it may be
    (`behind_s`), for how long it may be further behind (`tolerated_s`), how old the last known end of the hub may be
    (`unknown_s`), and over what time rates are measured (`span_s`)."""

    stall_s: float = 30.0
    behind_s: float = 60.0
    tolerated_s: float = 30.0
    unknown_s: float = 30.0
    span_s: float = 30.0


class ObservedEnd(Struct, frozen=True):
    """`position`: sequence number of the last event that a partition had in the hub, -1 for none, when the hub was
    asked. That was at `asked_at` or later: who waits for the answer asks for the time before the question."""

    position: int
    asked_at: datetime


class ProgressObservation(Struct, frozen=True, kw_only=True):
    """What a pump observes of a partition. `position`: sequence number of the last applied event, -1 for none. `end`:
    what the hub said of its end; None where the hub was not asked or did not answer.
    `applied_enqueued_at`: when the hub enqueued the event at `position`, None where that is not known.

    `rewrites`: the partition is a queue of items that have changed and are written again, each once however often it
    changes. Its length does not say whether the worker keeps up, so only a standstill is a reason."""

    hub: str
    partition: str
    position: int
    end: ObservedEnd | None = None
    applied_enqueued_at: datetime | None = None
    rewrites: bool = False


class _Sample(Struct, frozen=True):
    at_s: float
    position: int
    end: int | None


class _Tracked(Struct):
    """A partition. `*_s` are seconds of the steady clock. All events that the hub had at `complete_at` are applied."""

    position: int
    end: int | None
    known_s: float
    moved_s: float
    waiting_s: float | None = None
    far_s: float | None = None
    complete_at: datetime | None = None
    rewrites: bool = False
    samples: deque[_Sample] = field(default_factory=deque)

    @property
    def behind(self) -> int:
        return 0 if self.end is None else max(0, self.end - self.position)


class ProgressTracker:
    """The progress of one worker. `now_s` is of a steady clock and never falls, `now` is the time of day.

    The pump calls `observe` whenever it has applied events or asked for the hub's end, at least every ten seconds for
    each partition that it owns, and `forget` when it owns one no longer.
    """

    def __init__(self, worker: str, bounds: ProgressBounds | None = None) -> None:
        self._worker = worker
        self._bounds = bounds or ProgressBounds()
        self._tracked: dict[tuple[str, str], _Tracked] = {}

    def observe(self, seen: ProgressObservation, now_s: float, now: datetime) -> None:
        """Record an observation. Another `position` than before, also a lower one, is a movement."""
        key = seen.hub, seen.partition
        one = self._tracked.get(key)
        if one is None:
            one = _Tracked(seen.position, None, known_s=now_s, moved_s=now_s, rewrites=seen.rewrites)
            self._tracked[key] = one
        self._pass(one, now_s, now)
        if seen.position != one.position:
            one.moved_s = now_s
        if seen.position < one.position:
            # Events are applied anew: the time up to which it was complete is void.
            one.complete_at = None
            one.samples.clear()
        one.position = seen.position
        if seen.end is not None:
            one.end, one.known_s = seen.end.position, now_s
        one.complete_at = later(one.complete_at, seen.applied_enqueued_at)
        if seen.end is not None and seen.position >= seen.end.position:
            one.complete_at = later(one.complete_at, seen.end.asked_at)
        if not one.behind:
            one.waiting_s = None
        elif one.waiting_s is None:
            one.waiting_s = now_s
        if not self._is_far(one, now):
            one.far_s = None
        elif one.far_s is None:
            one.far_s = now_s
        self._sample(one, now_s)

    def forget(self, hub: str, partition: str) -> None:
        """Remove a partition that this worker does not own any more."""
        self._tracked.pop((hub, partition), None)

    def report(self, now_s: float, now: datetime, given: Iterable[NotReadyReason] = ()) -> ProgressReport:
        """The progress of all partitions; the reasons are those `given` by the pump and those of the observations."""
        partitions, reasons = [], list(given)
        for (hub, partition), one in sorted(self._tracked.items(), key=_numeric):
            self._pass(one, now_s, now)
            found = self._progress(hub, partition, one, now_s, now)
            partitions.append(found)
            reasons += self._reasons(found, one, now_s)
        return ProgressReport(worker=self._worker, as_of=now, partitions=tuple(partitions), reasons=tuple(reasons))

    def _pass(self, one: _Tracked, now_s: float, now: datetime) -> None:
        """Note since when the partition is too far behind: that may begin between two observations."""
        if one.far_s is None and self._is_far(one, now):
            age = _age(one, now)
            assert age is not None
            crossed_s = now_s - (age - self._bounds.behind_s)
            one.far_s = max(crossed_s, one.samples[-1].at_s if one.samples else now_s)

    def _is_far(self, one: _Tracked, now: datetime) -> bool:
        age = _age(one, now)
        return age is not None and age > self._bounds.behind_s

    def _sample(self, one: _Tracked, now_s: float) -> None:
        one.samples.append(_Sample(now_s, one.position, one.end))
        # One sample from before the span stays, as the start of the rates; a hundred between are enough.
        while len(one.samples) > 2 and one.samples[1].at_s <= now_s - self._bounds.span_s:
            one.samples.popleft()
        if len(one.samples) > 2 and one.samples[-1].at_s - one.samples[-3].at_s < self._bounds.span_s / 100:
            del one.samples[-2]

    def _progress(self, hub: str, partition: str, one: _Tracked, now_s: float, now: datetime) -> PartitionProgress:
        known = one.end is not None and now_s - one.known_s <= self._bounds.unknown_s
        age = _age(one, now) if known else None
        applied, arrived = _rates(one, now_s)
        behind = one.behind if known else None
        left_s: float | None = None
        if behind == 0:
            left_s = 0.0
        elif behind and applied and behind <= applied * ON_THE_WAY_S:
            # It keeps pace: these events are about to be applied.
            left_s = round(behind / applied, 1)
        elif behind and applied is not None and applied > (arrived or 0.0):
            left_s = round(behind / (applied - (arrived or 0.0)), 1)
        return PartitionProgress(
            hub=hub,
            partition=partition,
            position=one.position,
            end=one.end,
            events_behind=behind,
            age_seconds=None if age is None else round(age, 1),
            events_per_second=None if applied is None else round(applied, 2),
            seconds_to_catch_up=left_s,
        )

    def _reasons(self, found: PartitionProgress, one: _Tracked, now_s: float) -> Iterable[NotReadyReason]:
        place, bounds = f"{found.hub}/{found.partition}", self._bounds

        def reason(cause: NotReadyCause, sentence: str) -> NotReadyReason:
            return not_ready(self._worker, cause, sentence, hub=found.hub, partition=found.partition)

        unknown_s = now_s - one.known_s
        if unknown_s > bounds.unknown_s:
            yield reason(NotReadyCause.END_UNKNOWN, f"{place}: the hub has not told its end for {unknown_s:.0f} s")
        still_s = 0.0 if one.waiting_s is None else now_s - max(one.moved_s, one.waiting_s)
        if still_s > bounds.stall_s:
            waiting = "1 event waits" if one.behind == 1 else f"{one.behind:,} events wait"
            sentence = f"{place}: {waiting} behind {one.position}, and none was applied for {still_s:.0f} s"
            yield reason(NotReadyCause.STANDS_STILL, sentence)
        elif found.age_seconds is not None and one.far_s is not None and now_s - one.far_s > bounds.tolerated_s:
            sentence = f"{place}: {found.events_behind:,} events behind, the oldest {found.age_seconds:.0f} s old"
            if found.events_per_second is not None:
                sentence += f", at {found.events_per_second:,.0f} events/s"
            if found.seconds_to_catch_up is not None:
                sentence += f", {found.seconds_to_catch_up:.0f} s to catch up"
            yield reason(NotReadyCause.FAR_BEHIND, sentence)


def unexplained_stall(report: ProgressReport) -> NotReadyReason | None:
    """The stall that no other reason explains, so that only a restart may help; None where there is none."""
    others = [one for one in report.reasons if one.cause not in (NotReadyCause.STANDS_STILL, NotReadyCause.FAR_BEHIND)]
    stalls = [one for one in report.reasons if one.cause is NotReadyCause.STANDS_STILL]
    return stalls[0] if stalls and not others else None


def _age(one: _Tracked, now: datetime) -> float | None:
    """For how many seconds at most the oldest event that is not applied has waited; None where not known."""
    if one.end is not None and not one.behind:
        return 0.0
    if one.complete_at is None or one.end is None or one.rewrites:
        return None
    return max(timedelta(0), now - one.complete_at).total_seconds()


def _rates(one: _Tracked, now_s: float) -> tuple[float | None, float | None]:
    """Events a second that were applied, and that arrived; None while the samples span less than a second."""
    first = one.samples[0]
    passed_s = now_s - first.at_s
    if passed_s < 1:
        return None, None
    applied = max(0, one.position - first.position) / passed_s
    arrived = None if one.end is None or first.end is None else max(0, one.end - first.end) / passed_s
    return applied, arrived


def _numeric(item: tuple[tuple[str, str], _Tracked]) -> tuple[str, int, str]:
    hub, partition = item[0]
    return hub, int(partition) if partition.isdecimal() else 0, partition
