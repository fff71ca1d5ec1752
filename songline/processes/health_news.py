"""The lines that `songline up` shows about its workers' health: each change once. Pure; times are arguments."""

from songline.schemas.progress_report import NotReadyCause, ProgressReport

EVERY_S = 15.0
"""Seconds between two lines about a worker that catches up."""
BEHIND_EVENTS = 1_000
SILENT_S = 60.0
"""Seconds after a start in which no reason is shown why the worker is not ready: `up` shows the start itself."""
BEHIND_S = 10.0
"""A worker is behind when BEHIND_EVENTS events wait for it and the oldest is BEHIND_S seconds old. A smaller backlog
is only in its report."""


class HealthNews:
    """The state of one worker's health as it was last shown, over all its starts."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._first_s: float | None = None
        self._begun = False
        self._shown: frozenset[NotReadyCause] = frozenset()
        self._behind = False
        self._shown_s = 0.0

    def started(self) -> None:
        """Record a start of the worker, the first or a later one."""
        self._first_s, self._begun = None, False

    def lines(self, report: ProgressReport, now_s: float) -> list[str]:
        """The lines to show for `report`, which came at `now_s`, in seconds."""
        others = [one for one in report.reasons if one.cause is not NotReadyCause.FAR_BEHIND]
        causes = frozenset(one.cause for one in others)
        behind = is_behind(report)
        found: list[str] = []
        if self._first_s is None:
            self._first_s = now_s
        self._begun = self._begun or report.ready or now_s - self._first_s >= SILENT_S
        if not self._begun:
            return found
        if causes - self._shown:
            first = next(one for one in others if one.cause not in self._shown)
            more = f" ({len(others) - 1} more: `songline doctor`)" if len(others) > 1 else ""
            found.append(f"{self._name} is not ready: {first.sentence}{more}. To mend it: {first.mend}")
        elif behind and (not self._behind or now_s - self._shown_s >= EVERY_S):
            found.append(f"{self._name} catches up: {left(report)}")
            self._shown_s = now_s
        elif (self._shown or self._behind) and not causes and not behind:
            found.append(f"{self._name} keeps up again")
        self._shown, self._behind = causes, behind
        return found


def is_behind(report: ProgressReport) -> bool:
    """Whether the worker has a large backlog: it reports so, or BEHIND_EVENTS and BEHIND_S are reached."""
    if any(one.cause is NotReadyCause.FAR_BEHIND for one in report.reasons):
        return True
    events = sum(one.events_behind or 0 for one in report.partitions)
    return events >= BEHIND_EVENTS and any((one.age_seconds or 0) >= BEHIND_S for one in report.partitions)


def left(report: ProgressReport) -> str:
    """The backlog as text: the events, the rate, and the time to catch up if it is known."""
    events = sum(one.events_behind or 0 for one in report.partitions)
    rate = sum(one.events_per_second or 0 for one in report.partitions)
    waits = [one.seconds_to_catch_up for one in report.partitions if one.events_behind]
    text = f"{events:,} events left, {rate:,.0f} events/s"
    known = [wait for wait in waits if wait is not None]
    return f"{text}, about {max(known):.0f} s" if known and len(known) == len(waits) else text


def catching_up(report: ProgressReport) -> bool:
    """Whether the backlog is the only reason why the worker is not ready."""
    return bool(report.reasons) and all(one.cause is NotReadyCause.FAR_BEHIND for one in report.reasons)


def gets_ready(report: ProgressReport) -> bool:
    """Whether the worker becomes ready by itself. It may take long: state that moves or is rebuilt may be large."""
    passing = {NotReadyCause.FAR_BEHIND, NotReadyCause.PARTITIONS_MOVING, NotReadyCause.CONVERTING}
    return bool(report.reasons) and all(one.cause in passing for one in report.reasons)
