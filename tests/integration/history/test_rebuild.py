"""Libraries and songs are rebuilt under live traffic by commands that are killed, and the new versions go on.

`make chaos` does it with 200,000 events; here it is a few thousand, for the sake of time.
"""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn
from uuid import uuid4

import msgspec
import pytest
from azure.core.exceptions import AzureError, ServiceRequestError
from azure.cosmos.aio import CosmosClient
from msgspec import structs

from songline.audit.library_reference import libraries
from songline.cloud import cosmos
from songline.cloud.cosmos import Container
from songline.cloud.settings import read_cosmos
from songline.doctor.versions import ask_versions_of
from songline.processors.history.archive.opening import open_history
from songline.processors.history.compare.comparison import VersionComparison
from songline.processors.history.rebuild import partition_fold
from songline.processors.history.rebuild.lease import RebuildLease, RebuildRefusedError
from songline.processors.history.rebuild.rebuild import RebuildOptions, RebuildServices, run_rebuild
from songline.processors.history.rebuild.registry import REBUILT
from songline.processors.history.versions import switching
from songline.processors.history.versions.listing import ListedVersion, list_versions
from songline.processors.history.versions.opening import VersionServices, open_versions
from songline.processors.history.versions.projections import VERSIONED
from songline.processors.history.versions.switching import SwitchRefusedError
from songline.processors.history.versions.version_store import NoVersionsError, VersionOvertakenError, VersionStore
from songline.processors.runtime.watermark_store import WatermarkStore
from songline.schemas.channels import DATABASE, LIBRARY, PROJECTIONS, SONGS
from songline.schemas.envelope import Event
from songline.schemas.events import Payload, SongLiked, SongPlayed, SongRemoved, SongUnliked, SongUploaded
from songline.schemas.projections import LiveVersionDocument, VersionDocument, container_of
from tests.support.catalog import Catalog, CatalogWorker, catalog_on
from tests.support.library import Libraries, LibraryWorker, libraries_on
from tests.support.localcloud import LocalCloud
from tests.support.process import WorkerProcess
from tests.support.versions import Operator, kill_midway
from tests.support.waiting import wait_for_async
from tests.support.worker import read_hub, told_apart

EVENTS = int(os.environ.get("SONGLINE_REBUILD_EVENTS", "2400"))
KILLS = int(os.environ.get("SONGLINE_REBUILD_KILLS", "2"))
RATE = int(os.environ.get("SONGLINE_REBUILD_RATE", "30"))
PAUSE_S = 0.4
PARTITIONS = 4
DEADLINE = 120.0 + EVENTS / 200
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def cloud(start_localcloud: Callable[..., LocalCloud]) -> LocalCloud:
    return start_localcloud("--blobs")


@pytest.fixture
def operator(cloud: LocalCloud) -> Operator:
    return Operator(cloud)


@pytest.fixture
def workers(cloud: LocalCloud, tmp_path: Path) -> Iterator[list[WorkerProcess]]:
    started = [LibraryWorker(cloud, tmp_path / "library.log"), CatalogWorker(cloud, tmp_path / "catalog.log")]
    yield [worker.start() for worker in started]
    for worker in started:
        worker.kill()


@pytest.fixture
async def account(cloud: LocalCloud) -> AsyncIterator[CosmosClient]:
    async with cosmos.client(read_cosmos(cloud.environment)) as client:
        yield client


def invented(chance: random.Random, number: int, partition: int) -> Event:
    """An event of one of a few listeners, about one of a few songs.

    Who uploads does so in one partition, as publishers send: else strangers beyond `ownership.OTHERS` make what is kept
    of a song depend on the order in which partitions are read.
    """
    user, song = f"user-{chance.randrange(12)}", f"song-{chance.randrange(30)}"
    uploader = f"user-{chance.randrange(3) * PARTITIONS + partition}"
    kinds: list[Callable[[], Payload]] = [
        lambda: SongPlayed(user_id=user, song_id=song, played_ms=40_000, duration_ms=90_000, region="DE"),
        lambda: SongLiked(user_id=user, song_id=song),
        lambda: SongUnliked(user_id=user, song_id=song),
        lambda: SongUploaded(
            user_id=uploader, song_id=song, title=f"Title {number}", artist="Nova", duration_ms=90_000
        ),
        lambda: SongRemoved(user_id=uploader, song_id=song),
    ]
    data = chance.choices(kinds, weights=(10, 2, 1, 3, 1))[0]()
    return Event(id=f"event-{number}", source="/tests", time=NOON + timedelta(seconds=number), data=data)


class Traffic:
    """Up to RATE events a second without end while the context lasts, a batch in each partition every PAUSE_S
    seconds."""

    def __init__(self, hub: Libraries, seed: int) -> None:
        self._hub = hub
        self._chance = random.Random(seed)
        self._number = 0

    async def send(self, batches: int, size: int = 10) -> None:
        for _ in range(batches):
            for partition in range(PARTITIONS):
                events: list[Event | bytes] = [
                    invented(self._chance, self._number + one, partition) for one in range(size)
                ]
                self._number += size
                if self._chance.random() < 0.1:
                    events.insert(3, b"\xffnonsense")
                await self._hub.tell(*events, partition=str(partition))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async def run() -> None:
            while True:
                await self.send(1, max(1, round(RATE * PAUSE_S / PARTITIONS)))
                await asyncio.sleep(PAUSE_S)

        sending = asyncio.create_task(run())
        try:
            yield
        finally:
            sending.cancel()
            with suppress(asyncio.CancelledError):
                await sending


async def restarted(worker: WorkerProcess) -> None:
    """Start a worker again that ended because another version is live, as its supervisor does."""

    async def has_ended() -> bool:
        return not worker.running

    await wait_for_async(has_ended, "the worker to end", DEADLINE)
    assert worker.ended() == 76, worker.said
    worker.start()


# It runs twenty commands one after the other: about 100 s of CPU, beside three other tests on two cores.
@pytest.mark.timeout(900 + EVENTS / 20)
async def test_rebuilds_that_are_killed_equal_the_live_versions_and_go_on(
    cloud: LocalCloud, operator: Operator, workers: list[WorkerProcess], account: CosmosClient
) -> None:
    chance = random.Random(11)
    async with libraries_on(cloud) as first, catalog_on(cloud) as songs:
        traffic = Traffic(first, 7)
        await traffic.send(EVENTS // 80, 20)
        ends = await first.ends()
        await wait_for_async(partial(first.read_up_to, ends), "the libraries to be at the hub's end", DEADLINE)
        killed = 0
        async with traffic.running():
            for _ in range(KILLS):
                for projection in (LIBRARY, SONGS):
                    process = await operator.begin("rebuild", projection)
                    killed += await kill_midway(process, chance.uniform(1.0, 3.0))
            built = [await operator.done("rebuild", projection) for projection in (LIBRARY, SONGS)]
            assert all("version 2 of" in said for said in built), built
        assert killed, "no kill met a rebuild"
        ends = await first.ends()
        for hub in (first, songs):
            await wait_for_async(partial(hub.read_up_to, ends), "the live versions to be at the hub's end", DEADLINE)
        # The last of what came in while it was built.
        for projection in (LIBRARY, SONGS):
            await operator.done("rebuild", projection)
        log, bad = told_apart(await read_hub(cloud.settings()))
        built_libraries = Libraries(first.producer, cosmos.container(account, DATABASE, container_of(LIBRARY, 2)))
        built_songs = Catalog(first.producer, cosmos.container(account, DATABASE, container_of(SONGS, 2)))
        assert await built_libraries.all() == await first.all() == libraries(log)
        assert await built_songs.songs() == await songs.songs()
        for projection in (LIBRARY, SONGS):
            said = await operator.done("projection", "compare", projection, "--json")
            compared = msgspec.json.decode(said, type=VersionComparison)
            assert (compared.differing, compared.missing, compared.later) == (0, {}, 0)
            assert compared.equal == len(await (first.all() if projection == LIBRARY else songs.songs()))
            live, ready = await operator.versions(projection)
            assert (live.state, ready.state) == ("live", "ready")
            assert (ready.positions, ready.events_behind) == (ends, 0)
            assert ready.positions == live.positions
            assert ready.events == len(log) + len(bad)
            # What a rebuild that is killed had counted in its last seconds is not known.
            assert ready.unreadable <= len(bad)

        async with traffic.running():
            for projection, worker in zip((LIBRARY, SONGS), workers, strict=True):
                assert f"version 2 of {projection} is live" in await operator.done("rebuild", projection, "--switch")
                await restarted(worker)
            ends = await first.ends()
            for hub in (built_libraries, built_songs):
                await wait_for_async(partial(hub.read_up_to, ends), "the new versions to go on", DEADLINE)
            for worker in workers:
                worker.kill()
                worker.start()
        ends = await first.ends()
        for hub in (built_libraries, built_songs):
            await wait_for_async(partial(hub.read_up_to, ends), "the new versions to be at the hub's end", DEADLINE)
        log, _ = told_apart(await read_hub(cloud.settings()))
        assert await built_libraries.all() == libraries(log)

        # Back, and what was missed comes to the version that was live before.
        await operator.done("projection", "rollback", LIBRARY)
        await restarted(workers[0])
        await wait_for_async(partial(first.read_up_to, ends), "the first version to be at the hub's end", DEADLINE)
        assert await first.all() == libraries(log)
        refused = await operator.run("projection", "drop", LIBRARY, "1")
        assert (refused.code, "is live: switch to another one first" in refused.said) == (2, True)
        await operator.done("projection", "drop", LIBRARY, "2")
        assert not await cosmos.exists(account, DATABASE, container_of(LIBRARY, 2))
        assert [one.state for one in await operator.versions(LIBRARY)] == ["live", "dropped"]
        for command in ("switch", "drop"):
            gone = await operator.run("projection", command, LIBRARY, "2")
            assert (gone.code, "was dropped at" in gone.said) == (2, True)


async def _build(
    services: VersionServices, environ: Mapping[str, str], projection: str, until: datetime | None = None
) -> VersionDocument:
    switcher = services.switcher(VERSIONED[projection])
    async with open_history(environ) as history:
        return await run_rebuild(
            REBUILT[projection],
            RebuildServices(
                account=services.account,
                store=services.store,
                history=history,
                hub=services.hub,
                now=services.now,
            ),
            RebuildOptions(until=until),
            lambda *_: None,
            lambda version: switcher.watermarks(version.version),
        )


async def test_a_rebuild_that_is_stopped_goes_on_and_another_one_is_refused(
    cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partition_fold, "UNWRITTEN_MAX", 50)
    monkeypatch.setattr(partition_fold, "PORTION", 20)
    async with libraries_on(cloud) as first, open_versions(cloud.environment) as services:
        await Traffic(first, 5).send(6, 20)
        container = cosmos.container(services.account, DATABASE, container_of(LIBRARY, 2))
        with pytest.raises(RebuildRefusedError, match="no live version of library yet"):
            await _build(services, cloud.environment, LIBRARY)
        await services.store.ensure(LiveVersionDocument(id=LIBRARY, version=1, shelves=4))

        # Stopped once something is saved.
        building = asyncio.create_task(_build(services, cloud.environment, LIBRARY))
        watermarks = WatermarkStore(container, "shelf")

        async def has_saved() -> bool:
            with suppress(AzureError):
                return any(one.position >= 0 for one in (await watermarks.read_all()).values())
            return False

        await wait_for_async(has_saved, "a part to be saved")
        with pytest.raises(RebuildRefusedError, match="is built by another process"):
            stored = await services.store.read(LIBRARY, 2)
            assert stored is not None
            other = VersionStore(cosmos.container(services.account, DATABASE, PROJECTIONS), services.now)
            await RebuildLease(other, stored, "another-machine:7", services.now).take()
        building.cancel()
        with suppress(asyncio.CancelledError):
            await building

        done = await _build(services, cloud.environment, LIBRARY)
        log, bad = told_apart(await read_hub(cloud.settings()))
        assert await Libraries(first.producer, container).all() == libraries(log)
        assert (done.state, done.version, done.worker, done.events) == ("ready", 2, "", len(log) + len(bad))
        with pytest.raises(RebuildRefusedError, match="version 2 of library was begun with neither"):
            await _build(services, cloud.environment, LIBRARY, until=NOON)

        switched = await services.switcher(VERSIONED[LIBRARY]).switch(None, force=False)
        assert (switched.before, switched.after.version, switched.lag.events) == (1, 2, 0)
        # What becomes live again while a drop waits for its readers stays.
        switcher = services.switcher(VERSIONED[LIBRARY])

        async def roll_back(seconds: float) -> None:
            await switcher.roll_back(force=True)

        with monkeypatch.context() as patch:
            patch.setattr(switching, "SETTLING_S", 60.0)
            patch.setattr(switching, "asyncio", SimpleNamespace(sleep=roll_back))
            with pytest.raises(SwitchRefusedError, match="version 1 of library is live"):
                await switcher.drop(1)
        await switcher.roll_back(force=True)
        # What had come in by a moment: nothing, for it is before the first event.
        past = await _build(services, cloud.environment, LIBRARY, until=NOON)
        assert (past.version, past.until, past.events) == (3, NOON, 0)
        with monkeypatch.context() as patch:
            # The oldest event that it lacks is as old as this test, which may be younger than ten seconds.
            patch.setattr(switching, "FAR_S", -1.0)
            refusal = r"is too far behind: .* it was built until 2026-11-22 12:00:00"
            with pytest.raises(SwitchRefusedError, match=refusal):
                await switcher.switch(3, force=False)

        # What a rebuild that was killed has left is dropped, and what a drop has left that was cut off.
        stored = await services.store.read(LIBRARY, 3)
        assert stored is not None
        worker = structs.replace(stored.document, worker="another-machine:7", recorded_at=services.now())
        stored = await services.store.replace(stored, worker)
        for refused in (switcher.drop(3), switcher.switch(3, force=True)):
            with pytest.raises(SwitchRefusedError, match="is being built"):
                await refused
        assert [one.is_being_built for one in await _listed(services)] == [False, False, True]
        await services.store.replace(stored, structs.replace(worker, recorded_at=NOON - timedelta(minutes=1)))
        assert [one.is_being_built for one in await _listed(services)] == [False, False, False]
        with monkeypatch.context() as patch:
            patch.setattr(services.account, "get_database_client", _unreachable)
            with pytest.raises(AzureError):
                await switcher.drop(3)
        await switcher.drop(3)
        assert not await cosmos.exists(services.account, DATABASE, container_of(LIBRARY, 3))
        with pytest.raises(SwitchRefusedError, match="was dropped at"):
            await switcher.drop(3)


async def test_a_state_that_changed_meanwhile_is_not_written_over(
    shared_localcloud: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_versions(shared_localcloud.environment) as services:
        place = Container(f"versions-{uuid4().hex}", partition_key="/id", indexed=())
        store = VersionStore(cosmos.container(services.account, DATABASE, place.name), services.now)
        with pytest.raises(NoVersionsError, match="start the worker of a projection, which makes it"):
            await store.read_all(SONGS)
        asked = await ask_versions_of(store, SONGS)
        assert (asked.live, asked.others) == ({SONGS: 1}, ())
        await cosmos.ensure(services.account, DATABASE, (place,))
        await store.ensure(LiveVersionDocument(id=SONGS, version=1, shelves=0))
        second = VersionDocument(
            id=f"{SONGS}:2", projection=SONGS, version=2, state="former", since=NOON, started_at=NOON
        )
        stored = await store.create(second)

        async def live_while_it_is_dropped(projection: str) -> LiveVersionDocument:
            await store.replace(stored, structs.replace(second, state="dropped"))
            return LiveVersionDocument(id=projection, version=2, shelves=0)

        with monkeypatch.context() as patch:
            patch.setattr(store, "live", live_while_it_is_dropped)
            with pytest.raises(VersionOvertakenError):
                await store.settle(SONGS)
        assert [one.state for one in await store.settle(SONGS)] == ["live", "dropped"]
        third = structs.replace(second, id=f"{SONGS}:3", version=3)
        stored, before = await store.create(third), await store.live(SONGS)
        looks = 0

        async def live_while_it_is_changed(projection: str) -> LiveVersionDocument:
            nonlocal looks
            looks += 1
            if looks == 2:
                await store.replace(stored, structs.replace(third, events=7))
            return LiveVersionDocument(id=projection, version=1 if looks == 1 else 3, shelves=0)

        with monkeypatch.context() as patch:
            patch.setattr(store, "live", live_while_it_is_changed)
            await store.make_live(before, third)
        assert looks == 2
        assert (await store.live(SONGS)).version == 3, "what was changed beside it takes nothing back"
        assert [one.state for one in await store.settle(SONGS)] == ["former", "dropped", "live"]
        await services.account.get_database_client(DATABASE).delete_container(place.name)


async def _listed(services: VersionServices) -> list[ListedVersion]:
    return await list_versions(VERSIONED[LIBRARY], services.account, services.store, services.lag)


def _unreachable(database: str) -> NoReturn:
    raise ServiceRequestError(f"{database} can't be reached")
