"""What `songline up` tells of its workers' health: what changes, each thing once. The rule; clocks are arguments."""

from songline.schemas.progress_report import NotReadyCause, ProgressReport

EVERY_S = 15.0
"""Between two lines about one worker's catching up."""
BEHIND_EVENTS = 1_000
SILENT_S = 60.0
"""So long a worker that was started may be not ready before it is told why: until then its start is told."""
BEHIND_S = 10.0
"""A worker catches up when so many events wait for it and the oldest is so many seconds old: what is less is told by
its report, and passes while one reads."""


class HealthNews:
    """Of one worker, over all its starts."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._first_s: float | None = None
        self._begun = False
        self._told: frozenset[NotReadyCause] = frozenset()
        self._behind = False
        self._told_s = 0.0

    def started(self) -> None:
        """The worker was started, once more perhaps."""
        self._first_s, self._begun = None, False

    def lines(self, report: ProgressReport, now_s: float) -> list[str]:
        """What to tell now that `report` has come."""
        others = [one for one in report.reasons if one.cause is not NotReadyCause.FAR_BEHIND]
        causes = frozenset(one.cause for one in others)
        behind = is_behind(report)
        found: list[str] = []
        if self._first_s is None:
            self._first_s = now_s
        self._begun = self._begun or report.ready or now_s - self._first_s >= SILENT_S
        if not self._begun:
            return found
        if causes - self._told:
            first = next(one for one in others if one.cause not in self._told)
            more = f" ({len(others) - 1} more: `songline doctor`)" if len(others) > 1 else ""
            found.append(f"{self._name} is not ready: {first.sentence}{more}. To mend it: {first.mend}")
        elif behind and (not self._behind or now_s - self._told_s >= EVERY_S):
            found.append(f"{self._name} catches up: {left(report)}")
            self._told_s = now_s
        elif (self._told or self._behind) and not causes and not behind:
            found.append(f"{self._name} keeps up again")
        self._told, self._behind = causes, behind
        return found


def is_behind(report: ProgressReport) -> bool:
    """Whether the worker has much to catch up with."""
    if any(one.cause is NotReadyCause.FAR_BEHIND for one in report.reasons):
        return True
    events = sum(one.events_behind or 0 for one in report.partitions)
    return events >= BEHIND_EVENTS and any((one.age_seconds or 0) >= BEHIND_S for one in report.partitions)


def left(report: ProgressReport) -> str:
    """What there is to catch up with: events, how fast, and for how long."""
    events = sum(one.events_behind or 0 for one in report.partitions)
    rate = sum(one.events_per_second or 0 for one in report.partitions)
    waits = [one.seconds_to_catch_up for one in report.partitions if one.events_behind]
    said = f"{events:,} events left, {rate:,.0f} events/s"
    known = [wait for wait in waits if wait is not None]
    return f"{said}, about {max(known):.0f} s" if known and len(known) == len(waits) else said


def catching_up(report: ProgressReport) -> bool:
    """Whether the worker does all that it can, and only has much to do."""
    return bool(report.reasons) and all(one.cause is NotReadyCause.FAR_BEHIND for one in report.reasons)


def gets_ready(report: ProgressReport) -> bool:
    """Whether nothing but time is needed until the worker is ready: its state may be as large as its life is long."""
    passing = {NotReadyCause.FAR_BEHIND, NotReadyCause.PARTITIONS_MOVING}
    return bool(report.reasons) and all(one.cause in passing for one in report.reasons)
