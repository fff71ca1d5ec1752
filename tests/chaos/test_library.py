"""Library workers come and go, Cosmos DB throttles and loses answers, links break, bad records come between the good
ones: every library is what the log says, and each bad record is parked once.

`make chaos` runs it with 200,000 events of 5,000 listeners; here it is a few thousand, for the sake of time.
"""

import asyncio
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path

import pytest

from songline.audit.library_reference import libraries
from songline.producers.publishing.publisher import EventPublisher
from songline.producers.simulation.config import SimulationConfig
from songline.producers.simulation.simulator import Simulation
from songline.schemas.envelope import Event, encode
from tests.support.bad_bytes import BAD_RECORDS
from tests.support.library import Libraries, LibraryWorker, libraries_on
from tests.support.localcloud import LocalCloud
from tests.support.waiting import wait_for_async
from tests.support.worker import parked_records, read_hub, told_apart

EVENTS = int(os.environ.get("SONGLINE_CHAOS_EVENTS", "6000"))
LISTENERS = EVENTS // 40
TURNS = 6
INSTANCES = 3
PARTITIONS = 4
DEADLINE = 60 + EVENTS / 100

# On a busy machine a worker that lives must not lose its partitions for being late; a killed one is missed soon enough.
PACE = {"SONGLINE_LIBRARY_LOOK": "0.5", "SONGLINE_LIBRARY_BALANCE": "1", "SONGLINE_LIBRARY_EXPIRE": "6"}

FAULTS = (
    {
        "service": "cosmos",
        "operation": "batch",
        "kind": "throttle",
        "retry_after_ms": 50,
        "probability": 0.15,
        "seed": 1,
    },
    {"service": "cosmos", "operation": "batch", "kind": "lose", "probability": 0.05, "seed": 2},
    {
        "service": "cosmos",
        "operation": "read",
        "kind": "throttle",
        "retry_after_ms": 20,
        "probability": 0.02,
        "seed": 3,
    },
    {"service": "cosmos", "operation": "patch", "kind": "drop", "probability": 0.02, "seed": 4},
    {"service": "eventhubs", "operation": "attach", "kind": "busy", "probability": 0.2, "seed": 5, "count": 20},
    {"service": "eventhubs", "operation": "receive", "kind": "detach", "probability": 0.0005, "seed": 6, "count": 10},
)


def simulated() -> list[Event]:
    """Listeners of the last twenty minutes, with duplicates, late events, bots, uploads, removals and unlikes."""
    start = datetime.now(UTC) - timedelta(minutes=20)
    dials = SimulationConfig(
        rate=EVENTS / 1_200, listeners=LISTENERS, songs=400, duplicates=0.05, late=0.03, uploads=0.01
    )
    return [event for _, event in islice(Simulation(7, start, dials), EVENTS)]


# A broken connection leaves sockets behind in the SDKs, which the garbage collector finds.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.timeout(int(120 + EVENTS / 50))
async def test_libraries_equal_the_reference_whatever_comes_and_goes(tmp_path: Path) -> None:
    cloud = LocalCloud(tmp_path / "cloud", ["--blobs"]).start()
    workers = [LibraryWorker(cloud, tmp_path / f"worker-{number}.log", PACE) for number in range(INSTANCES)]
    try:
        async with (
            libraries_on(cloud) as hub,
            EventPublisher(cloud.settings().eventhubs, patience_s=DEADLINE) as publisher,
        ):
            shares = list(batched(simulated(), EVENTS // (TURNS + 1) + 1))
            with cloud.faults(*FAULTS) as fired:
                for worker in workers:
                    worker.start()
                await publish(publisher, shares[0])
                before, in_hub = 0, len(shares[0])
                for turn, share in enumerate(shares[1:]):
                    await wait_for_async(partial(applied, hub, before + 1), f"more than {before} events", DEADLINE)
                    await publish(publisher, share)
                    bad_share = list(BAD_RECORDS.values())[turn::TURNS]
                    for place, body in enumerate(bad_share):
                        await hub.tell(body, partition=str((turn + place) % PARTITIONS))
                    in_hub += len(share) + len(bad_share)
                    before = await applied(hub, 0)
                    assert before < in_hub, "all was done before this turn: it has shown nothing"
                    worker = workers[turn % INSTANCES]
                    if turn % 2:
                        # One that has just started knows no signals yet.
                        assert worker.stop() in (0, -signal.SIGTERM), worker.said
                    else:
                        worker.kill()
                    worker.start()
                ends = await hub.ends()
                await wait_for_async(partial(hub.read_up_to, ends), f"the libraries to be at {ends}", DEADLINE)
                struck = fired()
            log, bad = told_apart(await read_hub(cloud.settings()))
            assert len(log) == EVENTS
            assert len(bad) == len(BAD_RECORDS)
            assert await hub.all() == libraries(log)
            assert [one.id for one in await parked_records(cloud.settings())] == bad
            assert all(struck[:2]), struck
    finally:
        for worker in workers:
            worker.kill()
        cloud.stop()


async def applied(hub: Libraries, least: int) -> int:
    """How many events are applied, once that is at least so many."""
    progress = await hub.progress()
    count = 0 if progress is None else sum(one.position + 1 for one in progress.partitions.values())
    return count if count >= least else 0


def batched(events: list[Event], size: int) -> Iterator[list[Event]]:
    return (events[start : start + size] for start in range(0, len(events), size))


async def publish(publisher: EventPublisher, events: list[Event]) -> None:
    await asyncio.gather(*[await publisher.submit(encode(event), event.partition_key) for event in events])
