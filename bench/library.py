"""`python -m bench library`: the library worker beside that of the baseline, each over a localcloud of its own.

Two worlds with the whole log in the hub before the worker starts: the simulator's 20,000 listeners, and 200,000
listeners of whom each acts once. Then, in the first world, events that come at 50 and at 500 a second.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

from msgspec import Struct

from bench.acts import acts_in, fill, once_each, publish_at, simulated
from bench.baseline import assert_same_charges, checked_out
from bench.charged import Tally
from bench.contestants import Baseline, Contestant, RunningWorker, Today
from bench.machine import cpu_s
from bench.measurement import Measurement
from songline.schemas.envelope import Event
from tests.support.localcloud import LocalCloud

REGION = (
    "Log full: rates and CPU from the moment at which the worker says for the first time how far it is until it has "
    "applied all: reading, folding, writing, merging and checkpoints are inside; its start and the sharing out of "
    "partitions are outside. Request units are those of its whole life, every request counted, by `charges.py` as it "
    "was at the baseline. Of a worker that has applied all when it says so for the first time, as in a short run, its "
    "start is inside. Paced: request units from the first event published until all are applied. An act is an "
    "event that changes a library. The baseline reads a first part of the same log, since it takes so long. Both "
    "are compared with the reference when they have applied all."
)

PACES = {50: 60.0, 500: 30.0}
"""Seconds for each number of events a second."""


class Sizes(Struct, frozen=True):
    """How many events are read: by today's worker, and by the baseline's."""

    today: int
    baseline: int


class Cost(Struct):
    """What a worker took for `acts` acts: seconds, CPU seconds of its own and of localcloud, charges."""

    acts: int
    events: int
    seconds: float
    cpu_s: float
    server_cpu_s: float
    tally: Tally

    @property
    def rate(self) -> float:
        return self.events / self.seconds

    @property
    def ru_an_act(self) -> float:
        return self.tally.charge / self.acts


class WorldResult(Struct):
    """A contestant in a world: the log read at full speed, then the paces with the charges of each."""

    full: Cost
    paced: dict[int, Cost]


def measure(quick: bool) -> list[Measurement]:
    assert_same_charges()
    with checked_out() as checkout:
        return compare(Baseline(checkout), quick)


def compare(baseline: Contestant, quick: bool) -> list[Measurement]:
    """Both workers in both worlds."""
    busy, single = (Sizes(6_000, 2_000),) * 2 if quick else (Sizes(400_000, 60_000), Sizes(200_000, 40_000))
    paces = {pace: seconds / 10 if quick else seconds for pace, seconds in PACES.items()}
    # The same numbers of listeners whatever the length: that is what makes the world hard.
    first = simulated(busy.today + _paced_events(paces), 20_000)
    today, before = Today(), baseline
    measured = []
    worlds: tuple[tuple[str, list[Event], int, list[Event], dict[int, float]], ...] = (
        ("20,000 listeners", first[: busy.today], busy.baseline, first[busy.today :], paces),
        ("200,000 listeners, an act each", once_each(single.today), single.baseline, [], {}),
    )
    for world, log, part, later, at in worlds:
        ours, theirs = run_world(today, log, later, at), run_world(before, log[:part], later, at)
        measured += _rows(world, before.name, ours, theirs)
    return measured


def run_world(
    contestant: Contestant, log: Sequence[Event], later: Sequence[Event], paces: dict[int, float]
) -> WorldResult:
    """The worker over a full log, then with the events `later` at each pace."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cloud = LocalCloud(folder / "cloud", ["--blobs"]).start()
        try:
            contestant.prepare(cloud)
            fill(cloud.settings(), log, to_bytes=contestant.to_bytes)
            with RunningWorker(contestant, cloud, folder) as worker:
                result = asyncio.run(_measured(cloud, worker, log, later, paces, contestant.to_bytes))
            contestant.check(cloud)
            return result
        finally:
            cloud.stop()


async def _measured(
    cloud: LocalCloud,
    worker: RunningWorker,
    log: Sequence[Event],
    later: Sequence[Event],
    paces: dict[int, float],
    to_bytes: Callable[[Event], bytes],
) -> WorldResult:
    ran = await worker.run_through(len(log))
    full = Cost(acts_in(log), ran.events, ran.seconds, ran.cpu_s, ran.server_cpu_s, worker.tally)
    paced, there, coming = {}, len(log), iter(later)
    for pace, seconds in paces.items():
        events = list(islice(coming, int(pace * seconds)))
        there += len(events)
        paced[pace] = await _paced(cloud, worker, pace, events, there, to_bytes)
    return WorldResult(full, paced)


async def _paced(
    cloud: LocalCloud,
    worker: RunningWorker,
    pace: int,
    events: Sequence[Event],
    there: int,
    to_bytes: Callable[[Event], bytes],
) -> Cost:
    begun, used, served, before = time.monotonic(), worker.cpu_s(), cpu_s(cloud.pid), worker.tally
    await publish_at(cloud.settings(), pace, events, to_bytes)
    await worker.wait_until_applied(there)
    return Cost(
        acts_in(events),
        len(events),
        time.monotonic() - begun,
        worker.cpu_s() - used,
        cpu_s(cloud.pid) - served,
        worker.tally.since(before),
    )


def _paced_events(paces: dict[int, float]) -> int:
    return sum(int(pace * seconds) for pace, seconds in paces.items())


def _rows(world: str, peer: str, ours: WorldResult, theirs: WorldResult) -> list[Measurement]:
    one, other = ours.full, theirs.full
    cpu, other_cpu = one.cpu_s / one.events * 1e6, other.cpu_s / other.events * 1e6
    rows = [
        Measurement(
            row=2, what=f"log full, {world}", figure=one.rate, unit="events/s", wanted=">= 10",
            ratio=one.rate / other.rate, peer=peer, peer_figure=other.rate,
        ),
        Measurement(
            row=2, what=f"log full, {world}: the worker's CPU", figure=cpu, unit="µs an event",
            ratio=cpu / other_cpu, peer=peer, peer_figure=other_cpu,
        ),
        _ru(f"log full, {world}", peer, one, other, "<= 0.125"),
        Measurement(
            row=3, what=f"log full, {world}: writes", figure=one.tally.writes / one.acts, unit="an act",
            peer=peer, peer_figure=other.tally.writes / other.acts,
        ),
    ]  # fmt: skip
    bounds = {50: "<= 0.333", 500: "<= 0.2"}
    return rows + [
        _ru(f"at {pace} events/s, {world}", peer, ours.paced[pace], theirs.paced[pace], bounds[pace])
        for pace in ours.paced
    ]


def _ru(what: str, peer: str, one: Cost, other: Cost, wanted: str) -> Measurement:
    return Measurement(
        row=3, what=what, figure=one.ru_an_act, unit="RU an act", wanted=wanted,
        ratio=one.ru_an_act / other.ru_an_act, peer=peer, peer_figure=other.ru_an_act,
    )  # fmt: skip
