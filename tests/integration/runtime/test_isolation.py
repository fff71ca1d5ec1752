"""A record that ends its worker, by raising, hanging or killing it, costs itself: it is parked, all others are applied.

The worker is the library's with a fold that misbehaves; whoever runs it starts it again whenever it ends.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from songline.audit.library_reference import libraries
from songline.cloud import cosmos
from songline.processors.runtime.attempts import STRIDE
from songline.processors.runtime.parking_bound import IN_A_ROW
from songline.processors.runtime.process import CRASHED_IN_FOLD
from songline.schemas.channels import DATABASE, PARKED
from songline.schemas.envelope import Event, decode
from songline.schemas.events import SongPlayed
from tests.support.library import DIALS, Libraries, LibraryWorker, libraries_on
from tests.support.localcloud import LocalCloud
from tests.support.misbehaving import HANGS_ONCE, HUNG, KILLS, RAISES, RAISES_IN_FLUSH, REFUSED
from tests.support.process import WorkerProcess
from tests.support.waiting import wait_for_async
from tests.support.worker import read_hub

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
DEADLINE = 150.0


@pytest.fixture
def cloud(start_localcloud: Callable[..., LocalCloud]) -> LocalCloud:
    return start_localcloud("--blobs")


@pytest.fixture
def new_worker(cloud: LocalCloud, tmp_path: Path) -> Iterator[Callable[..., WorkerProcess]]:
    made: list[WorkerProcess] = []

    def make(**dials: str) -> WorkerProcess:
        environment = {
            **cloud.environment,
            **DIALS,
            "SONGLINE_LIBRARY_HANG": "2",
            HUNG: str(tmp_path / "hung"),
            **dials,
        }
        made.append(WorkerProcess("tests.support.misbehaving", environment, tmp_path / "worker.log"))
        return made[-1]

    yield make
    for worker in made:
        worker.kill()


def played(number: int, song_id: str) -> Event:
    data = SongPlayed(user_id=f"user-{number % 7}", song_id=song_id, played_ms=40_000, duration_ms=200_000, region="DE")
    return Event(id=f"event-{number}", source="/tests", time=NOON + timedelta(seconds=number), data=data)


def with_culprits(first: int, count: int, culprits: dict[int, str]) -> list[Event]:
    return [played(number, culprits.get(number, f"song-{number % 5}")) for number in range(first, first + count)]


@asynccontextmanager
async def kept_running(worker: WorkerProcess) -> AsyncIterator[list[int]]:
    """Starts the worker whenever it has ended; gives the exit codes so far."""
    codes: list[int] = []

    async def keep() -> None:
        while True:
            if not worker.running:
                codes.append(worker.ended())
                worker.start()
            await asyncio.sleep(0.1)

    worker.start()
    keeping = asyncio.create_task(keep())
    try:
        yield codes
    finally:
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping


async def parked(cloud: LocalCloud) -> dict[tuple[str, str], str]:
    """What is parked: partition and body to reason."""
    async with cosmos.client(cloud.settings().cosmos) as client:
        query = cosmos.container(client, DATABASE, PARKED).query_items("SELECT * FROM c")
        return {
            (item["id"], item["readers"]["library"]["reason"]): item["readers"]["library"]["detail"]
            async for item in query
        }


async def check(cloud: LocalCloud, hub: Libraries, culprits: set[str]) -> None:
    """Libraries are the reference's of all but the culprits, and these are parked."""
    log = [(partition, position, decode(body)) for partition, position, body in await read_hub(cloud.settings())]
    assert await hub.all() == libraries(place for place in log if place[2].data.song_id not in culprits)
    bad = {f"music-events:{p}:{at}" for p, at, event in log if event.data.song_id in culprits}
    assert {name for name, _ in await parked(cloud)} == bad


async def test_what_raises_hangs_or_kills_is_parked_and_all_others_counted(
    cloud: LocalCloud, new_worker: Callable[..., WorkerProcess]
) -> None:
    async with libraries_on(cloud) as hub:
        await hub.tell(*with_culprits(0, 150, {50: RAISES, 51: RAISES, 140: RAISES_IN_FLUSH}), partition="0")
        await hub.tell(*with_culprits(1_000, 100, {1_013: HANGS_ONCE}), partition="1")
        await hub.tell(*with_culprits(2_000, 100, {2_099: KILLS}), partition="2")
        await hub.tell(*with_culprits(3_000, 60, {3_000: REFUSED, 3_031: REFUSED, 3_032: REFUSED}), partition="3")
        ends = await hub.ends()
        worker = new_worker()
        async with kept_running(worker) as codes:
            await wait_for_async(lambda: hub.read_up_to(ends), f"the libraries to be at {ends}", DEADLINE)
        assert worker.stop() == 0, worker.said
        await check(cloud, hub, {RAISES, RAISES_IN_FLUSH, KILLS, REFUSED})
        found = await parked(cloud)
        refused = {name for name, reason in found if reason == "refused-by-store"}
        assert refused == {f"music-events:3:{position}" for position in (0, 31, 32)}
        assert {reason for name, reason in found if name not in refused} == {"crashes-the-fold"}
        assert found["music-events:0:50", "crashes-the-fold"] == "ZeroDivisionError: no fold for the record at 50"
        assert set(codes) == {CRASHED_IN_FOLD, -signal.SIGKILL}
        # What raises and what hangs ends one life; what kills ends one as usual, one in a piece, two alone.
        assert len(codes) <= 1 + 1 + 4 + 1, codes
        assert "the process ends with code 75" in worker.said


async def test_a_record_that_kills_a_worker_that_had_written_much_is_parked_one_start_later(
    cloud: LocalCloud, new_worker: Callable[..., WorkerProcess]
) -> None:
    async with libraries_on(cloud) as hub:
        for first in range(0, STRIDE, 2_000):
            await hub.tell(*with_culprits(first, 2_000, {}), partition="0")
        await hub.tell(*with_culprits(STRIDE, 40, {}), partition="1")
        ends = await hub.ends()
        worker = new_worker()
        async with kept_running(worker) as codes:
            await wait_for_async(lambda: hub.read_up_to(ends), f"the libraries to be at {ends}", DEADLINE)
            await hub.tell(*with_culprits(2 * STRIDE, 60, {2 * STRIDE + 5: KILLS}), partition="0")
            ends = await hub.ends()
            await wait_for_async(lambda: hub.read_up_to(ends), f"the libraries to be at {ends}", DEADLINE)
        assert worker.stop() == 0, worker.said
        await check(cloud, hub, {KILLS})
        # As usual, twice; in a piece; alone, twice.
        assert codes == [-signal.SIGKILL] * 5
        assert f"music-events/0: the last reader was killed; folded as usual from {STRIDE} on" in worker.said


async def test_a_bad_deploy_parks_ten_and_then_stops_also_when_it_is_started_again(
    cloud: LocalCloud, new_worker: Callable[..., WorkerProcess], free_port: int
) -> None:
    async with (
        libraries_on(cloud) as hub,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{free_port}", timeout=60) as health,
    ):
        await hub.tell(*with_culprits(0, 40, dict.fromkeys(range(5, 40), RAISES)), partition="0")

        async def reasons() -> list[str]:
            with suppress(httpx.TransportError):
                answer = await health.get("/health/ready")
                return [one for one in answer.json().get("reasons", []) if "nothing is folded" in one]
            return []

        worker = new_worker(SONGLINE_LIBRARY_PORT=str(free_port))
        async with kept_running(worker) as codes:
            stopped = await wait_for_async(reasons, "it to stop", DEADLINE)
            assert "10 records in a row" in stopped[0]
            assert "songline parked list" in stopped[0]
            assert codes == [CRASHED_IN_FOLD]
            os.kill(worker.pid, signal.SIGKILL)
            await wait_for_async(lambda: _ends(codes, 2), "it to be started again", DEADLINE)
            await wait_for_async(reasons, "it to stop again", DEADLINE)
        assert worker.stop() == 0, worker.said
        assert len(await parked(cloud)) == IN_A_ROW
        # The next deploy has the fold right.
        mended = LibraryWorker(cloud, worker.log).start()
        ends = await hub.ends()
        await wait_for_async(lambda: hub.read_up_to(ends), f"the libraries to be at {ends}", DEADLINE)
        log = [(one, at, decode(body)) for one, at, body in await read_hub(cloud.settings())]
        assert mended.stop() == 0, mended.said
        assert await hub.all() == libraries(place for place in log if not 5 <= place[1] < 5 + IN_A_ROW)


async def _ends(codes: list[int], count: int) -> bool:
    return len(codes) >= count
