"""What is going on at this moment: rates, how far each projection is behind, and what waits or died. Values only."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, TypeVar

from msgspec import Struct

from songline.schemas.channels import MUSIC_EVENTS
from songline.schemas.events import EVENTS
from songline.schemas.ingestions import State
from songline.schemas.progress_report import NotReadyReason, ProgressReport
from songline.schemas.types import Id, Moment

N = TypeVar("N", int, float)

STALE_S = 30.0
"""After so many seconds a projection is told as stale. Each worker notes every few seconds how far it is, though
nothing changes: several times that is silence."""
PLAYING_S = 600.0
"""What began longer ago, in seconds, is over: few songs are as long."""

Freshness = Literal["fresh", "stale", "unknown"]
KIND_NAMES = {f"{name}.v{version}": name.rpartition(".")[2] for name, (version, _) in EVENTS.items()}
"""Type on the wire to the verb that it is counted under: `played`, `liked`, `unliked`, `uploaded`, `removed`."""


class Sample(Struct, frozen=True):
    """A look at the hubs. `at`: seconds of a steady clock. `ends`: hub to partition to the number of the last event in
    it, -1 for none. `kinds`: events of each kind since the looks began. `sampled`: of these, some are estimated."""

    at: float
    ends: Mapping[str, Mapping[int, int]]
    kinds: Mapping[str, float]
    sampled: bool


class HubNow(Struct, frozen=True, kw_only=True, rename="camel"):
    """A hub: `rate` in events a second over the last seconds, None while too little is known, and all it ever got."""

    name: str
    rate: float | None
    events: int


class Kinds(Struct, frozen=True, kw_only=True, rename="camel"):
    """Events of `music-events` a second, by kind. `sampled`: more came than are read here, and the split is that of a
    sample; their sum is exact even then."""

    played: float
    liked: float
    unliked: float
    uploaded: float
    removed: float
    sampled: bool


class Projection(Struct, frozen=True, kw_only=True, rename="camel"):
    """How far a projection is. `complete_through`: every event that the hub had by then is in it. `age`: seconds since.
    `lag`: events of `music-events` that are not in it yet. `rate`: events a second that it took in.
    `seconds_to_catch_up` and `not_ready`, the reasons with what mends each, are what its worker says; where that is
    asked, `age` and `lag` are the worse of what it says and of what it has written.

    None is for what is not known: the projection was never written, the hubs can't be reached, or where the worker is.
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
    """Uploads by state, and since when the one on its way that moved longest ago has not moved."""

    states: dict[State, int]
    waiting_since: Moment | None


class NowPlaying(Struct, frozen=True, kw_only=True, rename="camel"):
    """A listener began a song at `at`, and no other since; title and artist are None while they are not known."""

    user_id: Id
    song_id: Id
    title: str | None
    artist: str | None
    at: Moment


class Live(Struct, frozen=True, kw_only=True, rename="camel"):
    """Everything that is shown live, as of a moment. `playing`: what this process heard of those who began a song last,
    the newest first, a few. `troubles`: what could not be looked at, a sentence each."""

    as_of: Moment
    kinds: Kinds | None
    hubs: tuple[HubNow, ...]
    projections: tuple[Projection, ...]
    uploads: Waiting | None
    playing: tuple[NowPlaying, ...]
    troubles: tuple[str, ...]


class ProjectionWatermark(Struct, frozen=True, kw_only=True):
    """What a projection says of itself: the numbers of the last events that are in it, by partition."""

    position: dict[str, int]
    complete_through: datetime | None


def apportioned(total: int, counted: Mapping[str, int]) -> dict[str, float]:
    """`total` events in the shares of those that were `counted`; exact where all of them were."""
    seen = sum(counted.values())
    return {kind: total * count / seen for kind, count in counted.items()} if seen else {}


def arrived(before: Sample, after: Sample, hub: str) -> int:
    """Events that came into the hub between two looks."""
    ends = before.ends.get(hub, {})
    return sum(end - ends.get(partition, end) for partition, end in after.ends.get(hub, {}).items())


def hubs(samples: Sequence[Sample]) -> tuple[HubNow, ...]:
    """Every hub, as of the last of the samples (oldest first), which span the time that rates are taken over."""
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
    """A projection as of `now`; `ends` are those of `music-events`, `report` is its worker's."""
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
        told = [one.events_behind for one in report.partitions if one.hub == MUSIC_EVENTS]
        behind = _worse(behind, sum(one or 0 for one in told)) if told and None not in told else behind
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
    """A reason as a sentence, with what mends it."""
    return f"{reason.sentence}. To mend it: {reason.mend}."


def slowest(report: ProgressReport) -> float | None:
    """Seconds until every partition has caught up; None where one of them does not."""
    waits = [one.seconds_to_catch_up for one in report.partitions]
    known = [wait for wait in waits if wait is not None]
    return max(known) if known and len(known) == len(waits) else None


def _worse(*numbers: N | None) -> N | None:
    return max((number for number in numbers if number is not None), default=None)


def lag(position: Mapping[str, int], ends: Mapping[int, int]) -> int:
    """Events that are in the hub and not in a projection at `position`."""
    return sum(max(0, end - position.get(str(partition), -1)) for partition, end in ends.items())


def _rate(count: int, first: Sample, last: Sample) -> float | None:
    return None if last.at <= first.at else round(max(0, count) / (last.at - first.at), 2)
