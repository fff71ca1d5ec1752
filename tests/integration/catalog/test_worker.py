"""Songs from the hub to Cosmos DB, by catalog workers as they run: killed, several, and before anything is there."""

import re
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from msgspec import structs

from songline.processors.catalog.fold import apply_facts, parse_songs
from songline.processors.runtime.hub_record import HubRecord
from songline.processors.runtime.watermark_store import WatermarkStore
from songline.schemas import examples
from songline.schemas.envelope import Event, encode
from songline.schemas.events import SongPlayed, SongRemoved, SongUploaded
from songline.schemas.ownership import UNDATED_S, Claim
from songline.schemas.progress import Watermark
from songline.schemas.songs import SongDocument
from tests.support.catalog import DIALS, Catalog, CatalogWorker, catalog_on
from tests.support.localcloud import LocalCloud
from tests.support.waiting import wait_for, wait_for_async

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
PARTITIONS = ("0", "1", "2", "3")


@pytest.fixture
async def catalog(own_cloud: LocalCloud) -> AsyncIterator[Catalog]:
    async with catalog_on(own_cloud) as catalog:
        yield catalog


@pytest.fixture
def new_worker(own_cloud: LocalCloud, tmp_path: Path) -> Iterator[Callable[..., CatalogWorker]]:
    workers: list[CatalogWorker] = []

    def start(cloud: LocalCloud = own_cloud, **dials: str) -> CatalogWorker:
        workers.append(CatalogWorker(cloud, tmp_path / f"worker-{len(workers)}.log", {**DIALS, **dials}))
        return workers[-1].start()

    yield start
    for worker in workers:
        worker.kill()


def uploaded(song_id: str, title: str = "Paper Lanterns", at: datetime = NOON) -> bytes:
    data = SongUploaded(user_id="user-3", song_id=song_id, title=title, artist="Nova Reed", duration_ms=1_000)
    return encode(Event(id=f"up-{song_id}", source="/tests", time=at, data=data))


def removed(song_id: str) -> bytes:
    data = SongRemoved(user_id="user-3", song_id=song_id)
    return encode(Event(id=f"down-{song_id}", source="/tests", time=NOON, data=data))


async def read_all(catalog: Catalog) -> None:
    ends = await catalog.ends()
    await wait_for_async(lambda: catalog.read_up_to(ends), f"the catalog to be at {ends}")


async def test_songs_come_and_go_and_poison_stops_nothing(
    catalog: Catalog, new_worker: Callable[..., CatalogWorker]
) -> None:
    worker = new_worker()
    played = encode(examples.EVENTS[SongPlayed])
    await catalog.tell(uploaded("song-1"), played, b"\xffnonsense", uploaded("song-2"), partition="0")
    await catalog.tell(b"", uploaded("song-3"), removed("song-1"), removed("song-9"), partition="3")
    await read_all(catalog)
    found = await catalog.songs()
    assert {song_id: document.song is not None for song_id, document in found.items()} == {
        "song-1": False,
        "song-2": True,
        "song-3": True,
        "song-9": False,
    }
    assert re.search(
        r"partition 0: 1 of \d records can.t be decoded and are parked; the first is at 2: not-an-event", worker.said
    )
    assert worker.stop() == 0, worker.said


async def test_an_idle_partition_says_that_it_is_complete(
    catalog: Catalog, new_worker: Callable[..., CatalogWorker]
) -> None:
    new_worker()
    began = datetime.now(UTC)

    async def complete() -> bool:
        progress = await catalog.progress()
        moments = [] if progress is None else [reached.through for reached in progress.partitions.values()]
        return len(moments) == 4 and all(moment is not None and moment > began for moment in moments)

    await wait_for_async(complete, "every partition to be complete through a moment after the start")
    progress = await catalog.progress()
    assert progress is not None
    assert all(reached.through and reached.through < datetime.now(UTC) for reached in progress.partitions.values())


async def test_a_killed_worker_on_this_machine_is_followed_before_its_claims_expire(
    catalog: Catalog, new_worker: Callable[..., CatalogWorker], tmp_path: Path
) -> None:
    worker = new_worker(SONGLINE_DATA=str(tmp_path), SONGLINE_CATALOG_EXPIRE="600")
    await catalog.tell(uploaded("song-1"), partition="0")
    await read_all(catalog)
    worker.kill()
    worker.start()
    await catalog.tell(uploaded("song-2"), partition="2")
    await read_all(catalog)
    assert "4 partitions of a process that is gone are released" in worker.said


async def test_killed_workers_leave_what_a_fold_of_the_log_gives(
    catalog: Catalog, new_worker: Callable[..., CatalogWorker]
) -> None:
    log: dict[str, list[bytes]] = {partition: [] for partition in PARTITIONS}

    async def tell(number: int) -> None:
        for partition in PARTITIONS:
            song_id = f"song-{partition}-{number % 25}"
            body = removed(song_id) if number % 3 == 2 else uploaded(song_id, f"title {number}")
            log[partition].append(body)
            await catalog.tell(body, partition=partition)

    worker = new_worker()
    for number in range(60):
        await tell(number)
        if number % 20 == 19:
            # In the middle of it: some are applied, some of these noted, and the checkpoint is behind.
            at_least = {"0": number // 2}
            await wait_for_async(lambda at_least=at_least: catalog.read_up_to(at_least), "it to be under way")  # type: ignore[misc] # a default has no type
            worker.kill()
            worker = new_worker()
    await read_all(catalog)
    expected: dict[str, SongDocument] = {}
    for partition, bodies in log.items():
        for position, body in enumerate(bodies):
            for song_id, facts in parse_songs([HubRecord(position, None, body)]).facts.items():
                expected[song_id] = apply_facts(expected.get(song_id), song_id, partition, facts)
    assert {song_id: undated(document) for song_id, document in (await catalog.songs()).items()} == expected


def undated(document: SongDocument) -> SongDocument:
    """The document without the seconds that the hub gave."""
    facts = {
        partition: structs.replace(fact, claim=fact.claim and Claim(UNDATED_S, fact.claim.position))
        for partition, fact in document.facts.items()
    }
    return structs.replace(document, facts=facts)


async def test_workers_share_the_partitions_and_take_over_from_one_that_died(
    catalog: Catalog, new_worker: Callable[..., CatalogWorker]
) -> None:
    workers = [new_worker(), new_worker()]
    wait_for(lambda: all(" is ours" in worker.said for worker in workers), "each worker to have a partition")
    await catalog.tell(uploaded("before"), partition="1")
    await read_all(catalog)
    workers[0].kill()
    for partition in PARTITIONS:
        await catalog.tell(uploaded(f"after-{partition}"), partition=partition)
    await read_all(catalog)
    assert (await catalog.songs()).keys() == {"before", *(f"after-{partition}" for partition in PARTITIONS)}
    assert workers[1].stop() == 0, workers[1].said


async def test_it_waits_for_what_is_not_there_yet_and_says_for_what(
    own_cloud: LocalCloud, new_worker: Callable[..., CatalogWorker], free_port: int
) -> None:
    worker = new_worker(SONGLINE_CATALOG_PORT=str(free_port))
    wait_for(lambda: "waiting: CosmosResourceNotFoundError" in worker.said, "it to say that it waits")
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{free_port}", timeout=60) as health:
        assert (await health.get("/health/live")).status_code == 200
        waits = await health.get("/health/ready")
        assert waits.status_code == 503
        assert "CosmosResourceNotFoundError" in waits.json()["reasons"][0]
        async with catalog_on(own_cloud) as catalog:
            await catalog.tell(uploaded("song-1"))
            await read_all(catalog)

            async def ready() -> bool:
                return (await health.get("/health/ready")).status_code == 200

            await wait_for_async(ready, "it to be ready")
    assert worker.stop() == 0, worker.said


async def test_it_goes_on_when_the_cloud_does(
    start_localcloud: Callable[..., LocalCloud], new_worker: Callable[..., CatalogWorker]
) -> None:
    cloud = start_localcloud("--blobs")
    # A client of our own for before and one for after: a connection that broke leaves sockets behind in the SDK.
    async with catalog_on(cloud) as before:
        new_worker(cloud)
        await before.tell(uploaded("song-1"))
        await read_all(before)
    cloud.restart()
    async with catalog_on(cloud) as after:
        await after.tell(uploaded("song-2"))
        await read_all(after)
        assert (await after.songs()).keys() == {"song-1", "song-2"}


async def test_a_late_reader_does_not_move_the_watermark_back(catalog: Catalog) -> None:
    positions = WatermarkStore(catalog.container)
    await positions.add(PARTITIONS)
    ahead = Watermark(position=7, through=NOON)
    await positions.advance("2", ahead)
    await positions.advance("2", Watermark(position=6, through=NOON + timedelta(hours=1)))
    await positions.add(PARTITIONS)
    assert await positions.read("2") == ahead
    assert await positions.read("1") == Watermark(position=-1, through=None)
