"""`POST /v1/events` beside EventPublisher alone: events a second, acknowledged by the hub or by the disk.

The best of three interleaved rounds of EventPublisher without an outbox; with one, which a hub that is there leaves
idle; and with every event on disk before it is sent, as an outbox that is always on the way would have it (the outbox's
own append and delete around the publisher's send, in groups of 500).

Then the API, a process of its own: batches of 500 from 4 callers, and single events from 32, each answered with its
position; at last the same batches while the hub is away, answered when they are on disk.
"""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter

import httpx

from songline.cloud.settings import EventHubsSettings
from songline.processes.environment import OUTBOX
from songline.producers import EventPublisher
from songline.producers.publishing.outbox import Outbox
from songline.producers.publishing.state import Outcome
from songline.producers.simulation.config import SimulationConfig
from songline.producers.simulation.simulator import Due, Simulation
from songline.schemas.envelope import encode
from tests.support.api import ApiProcess
from tests.support.localcloud import LocalCloud

EVENTS = 10_000
ROUNDS = 3
SINGLE = 1_000
GROUP = 500

Bodies = Sequence[tuple[bytes, str]]


def bodies(simulated: Iterator[Due], count: int) -> Bodies:
    """The next events; each is new, since the API knows one that it had already."""
    return [(encode(event), event.partition_key) for _, event in islice(simulated, count)]


@contextmanager
def timed(name: str, count: int) -> Iterator[None]:
    begun = perf_counter()
    yield
    tell(name, count / (perf_counter() - begun))


def tell(name: str, rate: float) -> None:
    print(f"  {name:46} {rate:9,.0f} events/s", flush=True)


async def publish(publisher: EventPublisher, events: Bodies) -> None:
    outcomes = await asyncio.gather(*[await publisher.submit(body, key) for body, key in events])
    assert set(outcomes) == {"sent"}, set(outcomes)


async def alone(settings: EventHubsSettings, folder: Path, simulated: Iterator[Due]) -> None:
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
                events = bodies(simulated, EVENTS)
                begun = perf_counter()
                await way(events)
                best[name] = max(best[name], EVENTS / (perf_counter() - begun))
    for name, rate in best.items():
        tell(name, rate)


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


async def over_http(
    http: httpx.AsyncClient, requests: Sequence[bytes], callers: int, kind: str, status: int
) -> list[float]:
    """Seconds that each request took; `callers` send them one after the other."""
    left = iter(requests)
    took: list[float] = []

    async def call() -> None:
        for body in left:
            begun = perf_counter()
            response = await http.post("/v1/events", content=body, headers={"content-type": kind})
            took.append(perf_counter() - begun)
            # A hub that is slower than a second is helped out by the disk.
            assert status <= response.status_code <= 202, response.text[:300]

    await asyncio.gather(*(call() for _ in range(callers)))
    return took


def batches(events: Bodies) -> list[bytes]:
    groups = [events[begin : begin + GROUP] for begin in range(0, len(events), GROUP)]
    return [b"[" + b",".join(body for body, _ in group) + b"]" for group in groups]


async def api(cloud: LocalCloud, address: str, simulated: Iterator[Due]) -> None:
    one, batch = "application/cloudevents+json", "application/cloudevents-batch+json"
    async with httpx.AsyncClient(base_url=address, timeout=60, trust_env=False) as http:
        for body, _ in bodies(simulated, 200):
            # The first ones open the links, which may take long enough for the disk to be faster.
            await http.post("/v1/events", content=body, headers={"content-type": one})
        requests = batches(bodies(simulated, EVENTS))
        with timed(f"POST /v1/events, batches of {GROUP}, 4 callers", EVENTS):
            await over_http(http, requests, 4, batch, 200)
        singles = [body for body, _ in bodies(simulated, SINGLE)]
        with timed("POST /v1/events, one by one, 32 callers", SINGLE):
            took = await over_http(http, singles, 32, one, 200)
        print(f"  {'':46} {median(took) * 1000:9.1f} ms, the median of a request")
        await asyncio.to_thread(cloud.kill)
        # The first to find the hub gone wait a moment for it.
        await over_http(http, batches(bodies(simulated, GROUP)), 1, batch, 202)
        requests = batches(bodies(simulated, EVENTS))
        with timed("the same batches, the hub away, on disk", EVENTS):
            await over_http(http, requests, 4, batch, 202)


def main() -> None:
    """Print all of it, against a localcloud and an API of their own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        simulated: Iterator[Due] = iter(Simulation(1, datetime.now(UTC), SimulationConfig(rate=1_000, duplicates=0)))
        cloud = LocalCloud(folder / "cloud").start()
        api_process = ApiProcess({**cloud.environment, OUTBOX: str(folder / "api.db")}, folder / "api.log")
        try:
            asyncio.run(alone(cloud.settings().eventhubs, folder, simulated))
            asyncio.run(api(cloud, api_process.start().address, simulated))
        finally:
            api_process.kill()
            cloud.stop()


if __name__ == "__main__":
    main()
