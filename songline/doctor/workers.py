"""Derives the findings from a worker's report: one if it is ready, else one for each reason. Pure."""

from collections.abc import Iterator, Mapping

from songline.doctor.facts import MissingEntity
from songline.doctor.finding import Finding
from songline.schemas import channels
from songline.schemas.progress_report import NotReadyReason, ProgressReport

READERS = ("trending", "catalog", "library")
"""Workers that read every partition of `music-events`."""


def worker_findings(check: str, report: ProgressReport, hubs: Mapping[str, int | MissingEntity]) -> Iterator[Finding]:
    """The findings, named `check`. `hubs` has the known numbers of partitions, by hub."""
    for reason in report.reasons:
        yield Finding(_place(check, reason), "fail", reason.sentence, reason.mend)
    if report.ready:
        yield Finding(check, "ok", _figures(report))
    if left := _unread(report, hubs):
        seen = f"does not read {', '.join(left)} of {channels.MUSIC_EVENTS}"
        mend = f"another {report.worker} worker may; if there is none, wait for half a minute and restart this one"
        yield Finding(f"{check}, partitions", "warn", seen, mend)


def _place(check: str, reason: NotReadyReason) -> str:
    return check if reason.hub is None else f"{check}, {reason.hub}/{reason.partition}"


def _figures(report: ProgressReport) -> str:
    known = [one for one in report.partitions if one.events_behind is not None]
    behind = sum(one.events_behind or 0 for one in known)
    if not behind:
        return "ready"
    age = max((one.age_seconds or 0) for one in known)
    return f"keeps up: {behind:,} events to apply, the oldest {age:.0f} s old at most"


def _unread(report: ProgressReport, hubs: Mapping[str, int | MissingEntity]) -> list[str]:
    count = hubs.get(channels.MUSIC_EVENTS)
    if report.worker not in READERS or not report.ready or not isinstance(count, int):
        return []
    read = {one.partition for one in report.partitions if one.hub == channels.MUSIC_EVENTS}
    return [str(number) for number in range(count) if str(number) not in read]
