"""The library worker over a hub that grows, is made anew, or cuts connections: nothing is passed over unsaid."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from songline.audit.library_reference import Place, libraries
from songline.cli import main
from songline.cloud import cosmos
from songline.cloud.settings import read_blobs
from songline.processors.library.config import LibraryConfig
from songline.processors.library.process import projection
from songline.processors.runtime.projection_config import ProjectionConfig, ProjectionEnvironment
from songline.processors.runtime.projection_worker import run_projection
from songline.schemas.channels import DATABASE, LIBRARY_SHELVES, MUSIC_EVENTS
from songline.schemas.envelope import Event
from songline.schemas.events import SongPlayed
from tests.support.library import DIALS, LibraryWorker, libraries_on
from tests.support.localcloud import LocalCloud
from tests.support.proxy import CuttingProxy
from tests.support.waiting import wait_for_async

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
DEADLINE = 90.0


@pytest.fixture
def cloud(start_localcloud: Callable[..., LocalCloud]) -> LocalCloud:
    return start_localcloud("--blobs")


@pytest.fixture
def new_worker(cloud: LocalCloud, tmp_path: Path) -> Iterator[Callable[..., LibraryWorker]]:
    made: list[LibraryWorker] = []

    def make(**settings: str) -> LibraryWorker:
        made.append(LibraryWorker(cloud, tmp_path / "worker.log", {**DIALS, **settings}))
        return made[-1].start()

    yield make
    for worker in made:
        worker.kill()


def played(number: int) -> Event:
    data = SongPlayed(
        user_id=f"user-{number % 3}", song_id=f"song-{number % 5}", played_ms=40_000, duration_ms=200_000, region="DE"
    )
    return Event(id=f"event-{number}", source="/tests", time=NOON + timedelta(seconds=number), data=data)


def places(partition: int, events: Iterable[Event], first: int = 0) -> list[Place]:
    return [(partition, first + at, event) for at, event in enumerate(events)]


def checkpoints(cloud: LocalCloud, *arguments: str) -> str:
    environment = {name: value for name, value in cloud.environment.items() if name.startswith("AZURE_")}
    result = CliRunner().invoke(main, ["checkpoints", *arguments], env=environment)
    assert result.exit_code == 0, result.output
    return result.output


@asynccontextmanager
async def health(port: int) -> AsyncIterator[Callable[[str], Awaitable[list[str]]]]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:

        async def reasons(about: str) -> list[str]:
            with suppress(httpx.TransportError):
                found: list[str] = (await client.get("/health/ready")).json().get("reasons", [])
                return [one for one in found if about in one]
            return []

        yield reasons


async def test_a_hub_that_grows_and_one_that_is_made_anew(
    cloud: LocalCloud, new_worker: Callable[..., LibraryWorker], free_port: int
) -> None:
    old, added, new = ([played(at) for at in range(*span)] for span in ((0, 40), (100, 110), (200, 260)))
    async with health(free_port) as reasons:
        async with libraries_on(cloud) as hub:
            worker = new_worker(SONGLINE_LIBRARY_PORT=str(free_port))
            await hub.tell(*old, partition="0")
            await wait_for_async(lambda: hub.read_up_to({"0": 39}), "the first to be read")
            cloud.grow_hub(MUSIC_EVENTS, 5)
        # A client of our own: one that was there before keeps to the partitions that it knows.
        async with libraries_on(cloud) as hub:
            await hub.tell(*added, partition="4")
            await wait_for_async(lambda: hub.read_up_to({"4": 9}), "the new partition to be read", DEADLINE)
            assert worker.running, worker.said
            cloud.remake_hub(MUSIC_EVENTS)
        async with libraries_on(cloud) as hub:
            # Filled beyond the old position.
            await hub.tell(*new, partition="0")
            # What the worker saw before the new events came says that the hub holds nothing.
            told = await wait_for_async(
                lambda: reasons("own position 39, the hub holds 0 to "), "it to say so", DEADLINE
            )
            assert "music-events/0: the hub was made anew" in told[0]
            assert await reasons("music-events/4: own position 9, and the hub has no such partition")
            assert "songline checkpoints reset library" in told[0]
            shown = await asyncio.to_thread(checkpoints, cloud, "show", "library", "--json")
            rows: dict[str, dict[str, Any]] = {one["partition"]: one for one in map(json.loads, shown.splitlines())}
            assert (rows["0"]["position"], rows["0"]["checkpoint"], rows["0"]["last"]) == (39, 39, 59)
            assert rows["0"]["mismatch"]
            assert rows["1"]["mismatch"] is None
            assert rows["4"]["mismatch"]
            # What is in stays as it is.
            assert await hub.all() == libraries([*places(0, old), *places(4, added)])
            said = await asyncio.to_thread(checkpoints, cloud, "reset", "library", "--note", "a test")
            assert "partition 0: library reads again from 0" in said
            await wait_for_async(lambda: hub.read_up_to({"0": 59}), "the new hub to be read", DEADLINE)
            await wait_for_async(lambda: _none(reasons("music-events/")), "it to be ready", DEADLINE)
            assert await hub.all() == libraries([*places(0, old), *places(4, added), *places(0, new, 1_000)])
            # Read again from the beginning, all is found applied.
            await asyncio.to_thread(checkpoints, cloud, "reset", "library", "--partition", "0")
            await hub.tell(played(300), partition="0")
            await wait_for_async(lambda: hub.read_up_to({"0": 60}), "all to be read again", DEADLINE)
            assert await hub.all() == libraries(
                [*places(0, old), *places(4, added), *places(0, [*new, played(300)], 1_000)]
            )
    assert worker.stop() == 0, worker.said


async def test_ten_cut_connections_lose_no_partition_and_apply_nothing_twice(
    cloud: LocalCloud, new_worker: Callable[..., LibraryWorker]
) -> None:
    async with libraries_on(cloud) as hub, CuttingProxy(cloud.ports["eventhubs"]) as proxy:
        through = cloud.eventhub_connection_string.replace(str(cloud.ports["eventhubs"]), str(proxy.port))
        worker = new_worker(AZURE_EVENTHUB_CONNECTIONSTRING=through, SONGLINE_LIBRARY_BALANCE="1")
        events = [played(at) for at in range(330)]
        for cut in range(11):
            await hub.tell(*events[cut * 30 : cut * 30 + 30], partition="2")
            end = {"2": cut * 30 + 29}
            await wait_for_async(partial(hub.read_up_to, end), f"it to read on after {cut} cuts", DEADLINE)
            if cut < 10:
                proxy.cut()
        assert await hub.all() == libraries(places(2, events))
        assert worker.said.count("partition 2 is ours") == 1
        assert "given up" not in worker.said
        assert worker.stop() == 0, worker.said


async def test_two_workers_that_both_own_every_partition_apply_nothing_twice(
    cloud: LocalCloud, start_localcloud: Callable[..., LocalCloud]
) -> None:
    """As two that start in one instant do for a round, where a claim does not guard; here for as long as they run."""
    elsewhere = start_localcloud("--blobs")
    async with libraries_on(cloud) as hub, libraries_on(elsewhere):
        stop, config = asyncio.Event(), ProjectionConfig(flush_s=0.2, look_s=0.5, balance_s=1, expire_s=3)
        both = [
            asyncio.create_task(
                run_projection(
                    projection(LibraryConfig()),
                    ProjectionEnvironment(cloud.settings(), read_blobs(one.environment), config),
                    stop,
                    lambda: 0.0,
                )
            )
            for one in (cloud, elsewhere)
        ]
        events = [played(at) for at in range(400)]
        for at in range(0, 400, 20):
            await hub.tell(*events[at : at + 20], partition="3")
            await asyncio.sleep(0.1)
        await wait_for_async(partial(hub.read_up_to, {"3": 399}), "all to be read", DEADLINE)
        stop.set()
        await asyncio.gather(*both)
        assert await hub.all() == libraries(places(3, events))


async def test_a_container_that_is_deleted_is_built_anew_from_the_log(
    cloud: LocalCloud, new_worker: Callable[..., LibraryWorker]
) -> None:
    events = [played(at) for at in range(50)]
    async with libraries_on(cloud) as hub:
        worker = new_worker()
        await hub.tell(*events, partition="1")
        await wait_for_async(partial(hub.read_up_to, {"1": 49}), "all to be read", DEADLINE)
        assert worker.stop() == 0, worker.said
    async with cosmos.client(cloud.settings().cosmos) as account:
        await account.get_database_client(DATABASE).delete_container(LIBRARY_SHELVES)
    async with libraries_on(cloud) as hub:
        worker.start()
        await wait_for_async(partial(hub.read_up_to, {"1": 49}), "all to be read again", DEADLINE)
        assert await hub.all() == libraries(places(1, events))
        assert "the checkpoint, 49, is beyond what is applied" in worker.said


async def _none(found: Awaitable[list[str]]) -> bool:
    return not await found
