"""The snapshot of the live feed: rates, the lag of each projection, and uploads by state. Pure values."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, TypeVar

from msgspec import Struct

from songline.schemas.channels import MUSIC_EVENTS
from songline.schemas.events import ACCEPTED_TYPES
from songline.schemas.ingestions import State
from songline.schemas.progress_report import NotReadyReason, ProgressReport
from songline.schemas.types import Id, Moment

N = TypeVar("N", int, float)

STALE_S = 30.0
"""The age in seconds from which a projection is stale. Each worker writes its watermark every few seconds, even without
events; this is several times as long."""
PLAYING_S = 600.0
"""The age in seconds from which a song counts as over: few songs are longer."""

Freshness = Literal["fresh", "stale", "unknown"]
KIND_NAMES = {name: name.split(".")[-2] for name in ACCEPTED_TYPES}
"""The kind under which an event is counted, by its type: `played` (of both versions), `liked`, `unliked`, `uploaded`,
`removed`, `imported`."""


class Sample(Struct, frozen=True):
    """A sample of the hubs.

    `at` is in monotonic seconds. `ends` has the sequence number of the last event by hub and partition, -1 for none.
    `kinds` counts events by kind since the first sample. `sampled` says that some of these counts are estimated.
    """

    at: float
    ends: Mapping[str, Mapping[int, int]]
    kinds: Mapping[str, float]
    sampled: bool


class HubNow(Struct, frozen=True, kw_only=True, rename="camel"):
    """A hub: `rate` in events a second over the last seconds, null until it is known, and `events`, the total."""

    name: str
    rate: float | None
    events: int


class Kinds(Struct, frozen=True, kw_only=True, rename="camel"):
    """Events of `music-events` a second, by kind. `sampled` says that the shares of the kinds are estimated from a
    sample, because there were too many events to read. Their sum is exact."""

    played: float
    liked: float
    unliked: float
    uploaded: float
    removed: float
    imported: float
    undone: float
    matched: float
    unmatched: float
    sampled: bool


class Projection(Struct, frozen=True, kw_only=True, rename="camel"):
    """The progress of a projection. `completeThrough`: every event that the hub had by then is applied. `age`: the
    seconds since then. `lag`: the events of `music-events` that are not applied. `rate`: applied events a second.
    `secondsToCatchUp` and `notReady`, the reasons with their remedies, come from the worker's report. With a report,
    `age` and `lag` are the worse of the reported and the stored ones.

    A value is null if it is unknown: the projection was never written, the hubs can't be reached, or the worker's
    address is not configured.
    """

    name: str
    freshness: Freshness
    complete_through: Moment | None
    age: float | None
    lag: int | None
    rate: float | None
    seconds_to_catch_up: float | None = None
    not_ready: tuple[str, ...] = ()


class Waiting(Struct, frozen=True, kw_only=True, rename="camel"):
    """Uploads by state, and the time of the oldest last update among those in progress."""

    states: dict[State, int]
    waiting_since: Moment | None


class NowPlaying(Struct, frozen=True, kw_only=True, rename="camel"):
    """The song that a listener started last, at `at`. Title and artist are null if they are unknown."""

    user_id: Id
    song_id: Id
    title: str | None
    artist: str | None
    at: Moment


class Live(Struct, frozen=True, kw_only=True, rename="camel"):
    """The snapshot of the live feed. `playing`: the songs of the few listeners that started one last, newest first.
    `troubles`: a sentence for each part that could not be read."""

    as_of: Moment
    kinds: Kinds | None
    hubs: tuple[HubNow, ...]
    projections: tuple[Projection, ...]
    uploads: Waiting | None
    playing: tuple[NowPlaying, ...]
    troubles: tuple[str, ...]


class ProjectionWatermark(Struct, frozen=True, kw_only=True):
    """A projection's own watermark: the sequence number of the last applied event, by partition."""

    position: dict[str, int]
    complete_through: datetime | None


def apportioned(total: int, counted: Mapping[str, int]) -> dict[str, float]:
    """`total` events, split in proportion to those that were `counted`; exact if all were counted."""
    seen = sum(counted.values())
    return {kind: total * count / seen for kind, count in counted.items()} if seen else {}


def arrived(before: Sample, after: Sample, hub: str) -> int:
    """The number of events that the hub received between two samples."""
    ends = before.ends.get(hub, {})
    return sum(end - ends.get(partition, end) for partition, end in after.ends.get(hub, {}).items())


def hubs(samples: Sequence[Sample]) -> tuple[HubNow, ...]:
    """Every hub as of the last sample, with its rate over all samples (oldest first)."""
    if not samples:
        return ()
    first, last = samples[0], samples[-1]
    return tuple(
        HubNow(
            name=name,
            rate=_rate(arrived(first, last, name), first, last),
            events=sum(end + 1 for end in ends.values()),
        )
        for name, ends in last.ends.items()
    )


def kinds(samples: Sequence[Sample]) -> Kinds | None:
    """Rates by kind; None before the second sample."""
    if len(samples) < 2:
        return None
    first, last = samples[0], samples[-1]
    span = last.at - first.at
    rates = {
        verb: round(max(0.0, last.kinds.get(verb, 0) - first.kinds.get(verb, 0)) / span, 2)
        for verb in KIND_NAMES.values()
    }
    return Kinds(**rates, sampled=any(sample.sampled for sample in samples))


def projection(
    name: str,
    mark: ProjectionWatermark | None,
    ends: Mapping[int, int] | None,
    rate: float | None,
    now: datetime,
    stale_s: float = STALE_S,
    report: ProgressReport | NotReadyReason | None = None,
) -> Projection:
    """A projection as of `now`.

    `ends` are the last sequence numbers of `music-events` by partition. `report` is the worker's report, or the reason
    why there is none.
    """
    through = None if mark is None else mark.complete_through
    age = None if through is None else max(0.0, (now - through).total_seconds())
    behind = None if mark is None or ends is None else lag(mark.position, ends)
    reasons: tuple[NotReadyReason, ...] = ()
    left_s: float | None = None
    if isinstance(report, NotReadyReason):
        reasons = (report,)
    elif report is not None:
        reasons, left_s = report.reasons, slowest(report)
        age = _worse(age, *(one.age_seconds for one in report.partitions))
        reported = [one.events_behind for one in report.partitions if one.hub == MUSIC_EVENTS]
        known = bool(reported) and None not in reported
        behind = _worse(behind, sum(one or 0 for one in reported)) if known else behind
    stale = bool(reasons) or (age is not None and age > stale_s)
    freshness: Freshness = "stale" if stale else "unknown" if age is None else "fresh"
    return Projection(
        name=name,
        freshness=freshness,
        complete_through=through,
        age=None if age is None else round(age, 1),
        lag=behind,
        rate=rate,
        seconds_to_catch_up=left_s,
        not_ready=tuple(reason_text(reason) for reason in reasons),
    )


def reason_text(reason: NotReadyReason) -> str:
    """A reason with its remedy, as text."""
    return f"{reason.sentence}. To mend it: {reason.mend}."


def slowest(report: ProgressReport) -> float | None:
    """The seconds until every partition has caught up; None if one doesn't catch up."""
    waits = [one.seconds_to_catch_up for one in report.partitions]
    known = [wait for wait in waits if wait is not None]
    return max(known) if known and len(known) == len(waits) else None


def _worse(*numbers: N | None) -> N | None:
    return max((number for number in numbers if number is not None), default=None)


def lag(position: Mapping[str, int], ends: Mapping[int, int]) -> int:
    """The number of events in the hub after `position`."""
    return sum(max(0, end - position.get(str(partition), -1)) for partition, end in ends.items())


def _rate(count: int, first: Sample, last: Sample) -> float | None:
    return None if last.at <= first.at else round(max(0, count) / (last.at - first.at), 2)
