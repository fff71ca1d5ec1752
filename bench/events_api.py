"""`POST /v1/events` beside EventPublisher alone: events a second, acknowledged by the hub or by the disk.

The best of three interleaved rounds of EventPublisher without an outbox; with one, which a hub that is there leaves
idle; and with every event on disk before it is sent, as an outbox that is always on the way would have it (the outbox's
own append and delete around the publisher's send, in groups of 500).

Then the API, a process of its own: batches of 500 from 4 callers; single events from 32 callers, each of whom waits for
its answer, and 1,000 a second whatever the answers take (a request's time runs from the moment when it is due); at last
the same batches while the hub is away, answered when they are on disk. What sends them is a third process.
"""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from time import perf_counter

from bench.http_load import LoadReport, request, run_load
from bench.measurement import Measurement
from songline.cloud.settings import EventHubsSettings
from songline.identity.scopes import Scope
from songline.identity.token_source import token_source
from songline.processes.environment import OUTBOX
from songline.producers import EventPublisher
from songline.producers.http.event_endpoint import BATCH, ONE
from songline.producers.http.event_routes import PATH
from songline.producers.publishing.outbox import Outbox
from songline.producers.publishing.state import Outcome
from songline.producers.simulation.config import SimulationConfig
from songline.producers.simulation.simulator import Due, Simulation
from songline.schemas.envelope import encode
from songline.schemas.events import SongRemoved, SongUploaded
from tests.support.api import ApiProcess
from tests.support.localcloud import LocalCloud

EVENTS = 10_000
REGION = (
    "Inside: a request from the moment when it is due to its whole answer, which has its position; the load comes from "
    "a third process. Outside: opening links. The publisher alone: from the first event handed in to the last outcome."
)
ROUNDS = 3
CALLERS = 32
RATE = 1_000
GROUP = 500

Bodies = Sequence[tuple[bytes, str]]


def bodies(simulated: Iterator[Due], count: int) -> Bodies:
    """The next events; each is new, since the API knows one that it had already."""
    return [(encode(event), event.partition_key) for _, event in islice(simulated, count)]


def told(what: str, rate: float, row: int = 0, wanted: str = "") -> Measurement:
    return Measurement(row=row, what=what, figure=round(rate), unit="events/s", wanted=wanted)


async def publish(publisher: EventPublisher, events: Bodies) -> None:
    outcomes = await asyncio.gather(*[await publisher.submit(body, key) for body, key in events])
    assert set(outcomes) == {"sent"}, set(outcomes)


async def alone(settings: EventHubsSettings, folder: Path, simulated: Iterator[Due], count: int) -> list[Measurement]:
    async with (
        EventPublisher(settings) as bare,
        EventPublisher(settings, outbox=folder / "idle.db", spill_after_s=30) as insured,
    ):
        ways: dict[str, Callable[[Bodies], Awaitable[None]]] = {
            "EventPublisher": partial(publish, bare),
            "EventPublisher, outbox idle": partial(publish, insured),
            "EventPublisher, every event on disk first": partial(disk_first, bare, folder / "first.db"),
        }
        best = dict.fromkeys(ways, 0.0)
        for way in ways.values():
            await way(bodies(simulated, 1_000))
        for _ in range(ROUNDS):
            for name, way in ways.items():
                events = bodies(simulated, count)
                begun = perf_counter()
                await way(events)
                best[name] = max(best[name], count / (perf_counter() - begun))
    return [told(name, rate) for name, rate in best.items()]


async def disk_first(publisher: EventPublisher, path: Path, events: Bodies) -> None:
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as thread:
        outbox = await loop.run_in_executor(thread, Outbox, path)
        waiting: list[tuple[int, list[asyncio.Future[Outcome]]]] = []
        for begin in range(0, len(events), GROUP):
            group = events[begin : begin + GROUP]
            for body, key in group:
                outbox.reserve(key, body)
            rows = [(key, 0.0, body) for body, key in group]
            last = await loop.run_in_executor(thread, outbox.append, rows)
            waiting.append((last, [await publisher.submit(body, key) for body, key in group]))
        for last, sent in waiting:
            await asyncio.gather(*sent)
            await loop.run_in_executor(thread, outbox.delete, last)
        await loop.run_in_executor(thread, outbox.close)


def batches(events: Bodies, token: str) -> list[bytes]:
    groups = [events[begin : begin + GROUP] for begin in range(0, len(events), GROUP)]
    return [request(PATH, BATCH, b"[" + b",".join(body for body, _ in group) + b"]", token) for group in groups]


def singles(simulated: Iterator[Due], count: int, token: str) -> list[bytes]:
    """One event a request, as listeners send them: an upload's facts come rarely, and one of them asks Cosmos DB."""
    listened = (event for _, event in simulated if not isinstance(event.data, SongUploaded | SongRemoved))
    return [request(PATH, ONE, encode(event), token) for event in islice(listened, count)]


def over_http(api_process: ApiProcess, run: Callable[[], LoadReport]) -> tuple[LoadReport, Measurement]:
    """What `run` finds, and the CPU of the API a request."""
    before = api_process.cpu_s()
    report = run()
    cpu_us = (api_process.cpu_s() - before) / len(report.seconds) * 1e6
    # A hub that is slower than a second is helped out by the disk.
    assert set(report.statuses) <= {200, 202}, report.statuses
    return report, Measurement(row=0, what="its CPU of the API a request", figure=round(cpu_us), unit="µs")


def times(report: LoadReport, what: str, median_ms: str = "", p99_ms: str = "") -> Iterator[Measurement]:
    for percent, wanted in ((50, median_ms), (99, p99_ms)):
        yield Measurement(
            row=7,
            what=f"{what}, p{percent} of a request",
            figure=round(report.percentile_ms(percent), 1),
            unit="ms",
            wanted=wanted,
        )


def api(cloud: LocalCloud, api_process: ApiProcess, simulated: Iterator[Due], count: int) -> Iterator[Measurement]:
    port = int(api_process.address.rpartition(":")[2])
    token = token_source(cloud.environment, scopes=[Scope.EVENTS_WRITE_ANY]).token()
    # The first ones open the links, which may take long enough for the disk to be faster.
    run_load(port, singles(simulated, 500, token), callers=8)
    what = f"{CALLERS} callers, one event a request"
    report, cpu = over_http(api_process, partial(run_load, port, singles(simulated, count, token), callers=CALLERS))
    yield told(what, report.rate, 7, ">= 1500")
    yield from times(report, what)
    yield cpu
    what = f"{RATE:,} requests a second, one event each"
    report, cpu = over_http(api_process, partial(run_load, port, singles(simulated, count, token), rate=RATE))
    yield from times(report, what, "<= 15", "<= 50")
    yield cpu
    report, _ = over_http(api_process, partial(run_load, port, batches(bodies(simulated, count), token), callers=4))
    yield told(f"batches of {GROUP}, 4 callers", report.rate * GROUP)
    cloud.kill()
    # The first to find the hub gone wait a moment for it.
    run_load(port, batches(bodies(simulated, GROUP), token), callers=1)
    report, _ = over_http(api_process, partial(run_load, port, batches(bodies(simulated, count), token), callers=4))
    assert set(report.statuses) == {202}, report.statuses
    yield told("the same batches, the hub away, on disk", report.rate * GROUP)


def measure(quick: bool) -> list[Measurement]:
    count = 2_000 if quick else EVENTS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        simulated: Iterator[Due] = iter(Simulation(1, datetime.now(UTC), SimulationConfig(rate=1_000, duplicates=0)))
        cloud = LocalCloud(folder / "cloud").start()
        api_process = ApiProcess({**cloud.environment, OUTBOX: str(folder / "api.db")}, folder / "api.log")
        try:
            found = asyncio.run(alone(cloud.settings().eventhubs, folder, simulated, count))
            return [*api(cloud, api_process.start(), simulated, count), *found]
        finally:
            api_process.kill()
            cloud.stop()
