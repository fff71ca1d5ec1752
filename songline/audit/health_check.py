"""Checks what processes said of themselves: ready only when they were, not ready only while something was wrong. Pure.

Moments are Unix seconds of one machine, as the hub's own times are.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from songline.audit.hub_log import HubLog
from songline.audit.proof import Difference, Proof, proof

EVERYTHING = "*"
"""The place of a fault that reaches every process: localcloud, its disk, its storage, the supervisor."""

BEHIND_S = 60.0 + 30.0
"""A worker may be this far behind, and for so long, before it must say so."""
SEEN_LATE_S = 20.0
"""What a worker has applied is seen in answers so much later at most."""
READY_S = 30.0 + 5.0
"""A worker that has just started finds out for so long how far behind it is."""
NEAR_S = 2.0
HICCUP_S = 45.0
"""A busy machine may leave a question unanswered for so long: only what a process says itself counts at once."""


class HealthSample(Struct, frozen=True):
    """What a process answered at a moment; `why` is its first reason, or what came instead of an answer where it is
    not `is_answered`."""

    process: str
    at_s: float
    is_ready: bool
    why: str = ""
    is_answered: bool = True


class PositionSample(Struct, frozen=True):
    """How far a worker's answers were at a moment: the position of each partition of `music-events`."""

    worker: str
    at_s: float
    position: Mapping[str, int]


class FaultSpan(Struct, frozen=True):
    """Something was done to a process, or to all (`EVERYTHING`), from `begin_s` to `end_s`."""

    kind: str
    process: str
    begin_s: float
    end_s: float


def check_health(
    samples: Sequence[HealthSample],
    positions: Sequence[PositionSample],
    faults: Sequence[FaultSpan],
    log: HubLog,
    recovers_s: float,
) -> list[Proof]:
    """`recovers_s`: how long a process may take to be ready again after what was done to it has ended."""
    ready = [one for one in samples if one.is_ready]
    return [
        proof(
            "ready-is-true",
            f"No worker said for more than {READY_S:.0f} s that it is ready while its answers lacked an event for more "
            f"than {BEHIND_S:.0f} s.",
            {"answers that it is ready": len(ready), "looks at positions": len(positions)},
            _ready_though_behind(samples, positions, faults, log),
        ),
        proof(
            "not-ready-is-true",
            f"No process was not ready for more than {recovers_s:.0f} s after what was done to it had ended.",
            {"answers": len(samples), "not ready": len(samples) - len(ready), "faults": len(faults)},
            _not_ready_too_long(samples, faults, recovers_s),
        ),
    ]


def _ready_though_behind(
    samples: Sequence[HealthSample], positions: Sequence[PositionSample], faults: Sequence[FaultSpan], log: HubLog
) -> Iterator[Difference]:
    enqueued: dict[str, list[tuple[int, float]]] = {}
    for one in log.records:
        enqueued.setdefault(str(one.partition), []).append((one.position, one.enqueued_s))
    said: dict[str, list[tuple[HealthSample, float]]] = {}
    """Each answer, and since when the process has given the same."""
    for sample in sorted(samples, key=lambda one: one.at_s):
        before = said.setdefault(sample.process, [])
        is_same = bool(before) and before[-1][0].is_ready == sample.is_ready
        before.append((sample, before[-1][1] if is_same else sample.at_s))
    kills = [one for one in faults if one.kind in ("kill", "start")]
    starts = {name: [one.end_s for one in kills if one.process in (name, EVERYTHING)] for name in said}
    for seen in positions:
        answers = said.get(seen.worker, [])
        at = bisect_right(answers, seen.at_s, key=lambda one: one[0].at_s) - 1
        if at < 0:
            continue
        health, same_s = answers[at]
        if not health.is_ready or seen.at_s - health.at_s > NEAR_S:
            continue
        # A quick start may lie between two questions.
        began_s = max([same_s, *(end_s for end_s in starts.get(seen.worker, ()) if end_s <= health.at_s)])
        if health.at_s - began_s <= READY_S:
            continue
        for partition, records in enqueued.items():
            first = bisect_right(records, seen.position.get(partition, -1), key=lambda one: one[0])
            if first == len(records):
                continue
            position, enqueued_s = records[first]
            age_s = health.at_s - enqueued_s
            if age_s > BEHIND_S + SEEN_LATE_S:
                what = f"{seen.worker} was ready, and its answers lacked position {position} of partition {partition}"
                where = f"{seen.worker}'s log at {health.at_s:.0f}"
                yield Difference(what, f"at most {BEHIND_S:.0f} s", f"{age_s:.0f} s", where)


def _not_ready_too_long(
    samples: Sequence[HealthSample], faults: Sequence[FaultSpan], recovers_s: float
) -> Iterator[Difference]:
    said: dict[str, list[HealthSample]] = {}
    for sample in sorted(samples, key=lambda one: one.at_s):
        said.setdefault(sample.process, []).append(sample)
    for process, health in said.items():
        mine = [one for one in faults if one.process in (process, EVERYTHING)]
        for begin_s, end_s, why in _unready(health):
            left_s = _unexplained(begin_s, end_s, mine, recovers_s)
            if left_s > 0:
                what = f"{process} was not ready from {begin_s:.0f} to {end_s:.0f}, {left_s:.0f} s of it for no cause"
                yield Difference(what, "ready", why, f"logs/{process}.log")


def _unready(health: Iterable[HealthSample]) -> Iterator[tuple[float, float, str]]:
    """The spans of one process without a ready answer: from the first other one to the next ready one."""
    span: list[HealthSample] = []
    for one in health:
        if one.is_ready and span:
            yield from _unready_span(span, one.at_s)
            span = []
        elif not one.is_ready:
            span.append(one)
    if span:
        yield from _unready_span(span, span[-1].at_s)


def _unready_span(span: Sequence[HealthSample], end_s: float) -> Iterator[tuple[float, float, str]]:
    if end_s - span[0].at_s > HICCUP_S or any(one.is_answered for one in span):
        yield span[0].at_s, end_s, next((one.why for one in span if one.is_answered), span[0].why)


def _unexplained(begin_s: float, end_s: float, faults: Iterable[FaultSpan], recovers_s: float) -> float:
    """How many seconds of a span lie in no fault and in no time after one."""
    left_s, at_s = 0.0, begin_s
    for one in sorted(faults, key=lambda one: one.begin_s):
        if one.begin_s > end_s:
            break
        left_s += max(0.0, one.begin_s - at_s)
        at_s = max(at_s, one.end_s + recovers_s)
    return left_s + max(0.0, end_s - at_s)
