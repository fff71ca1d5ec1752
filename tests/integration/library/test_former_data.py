"""Today's system goes on with the data folder that commit 64129bc left behind, without a command."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
from azure.cosmos.aio import CosmosClient
from msgspec import structs

from songline.audit.library_reference import Place, libraries
from songline.cloud import cosmos
from songline.cloud.cosmos import Container
from songline.cloud.settings import read_cosmos
from songline.processors.library import migration
from songline.processors.library.migration import MigrationParts, migrate
from songline.processors.library.shelf_store import ShelfStore
from songline.processors.runtime import live_version
from songline.projections.library.folded_cache import FoldedCache
from songline.projections.library.library_reader import LibraryReader
from songline.projections.library.lists import LibraryLists
from songline.projections.live_version import VersionedStores
from songline.projections.store import DocumentStore, StoreUnavailableError
from songline.schemas.channels import DATABASE, LIBRARY, LIBRARY_SHELVES, PROJECTIONS
from songline.schemas.envelope import decode
from songline.schemas.errors import PoisonError
from songline.schemas.library.action import event_mark
from songline.schemas.projections import LiveVersionDocument
from tests.integration.producers.reading import read_all
from tests.support.former_data import APPLIED, ENDS, former_cloud
from tests.support.library import Libraries, LibraryWorker, libraries_on
from tests.support.localcloud import LocalCloud
from tests.support.waiting import wait_for_async


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    cloud = former_cloud(tmp_path_factory.mktemp("former")).start()
    yield cloud
    cloud.stop()


async def log_of(cloud: LocalCloud) -> list[Place]:
    """Partition, position and event of all that is in the hub, but for what is no event."""
    places = []
    for partition, records in enumerate(await read_all(cloud)):
        for position, (_, body) in enumerate(records):
            try:
                places.append((partition, position, decode(body)))
            except PoisonError:
                continue
    return places


async def test_the_library_worker_goes_on_without_a_command(cloud: LocalCloud, tmp_path: Path) -> None:
    log = await log_of(cloud)
    applied = libraries([place for place in log if place[1] <= APPLIED[str(place[0])]])
    async with cosmos.client(read_cosmos(cloud.environment)) as account:
        # There is what the former version had, as in an account that nobody has prepared.
        assert not await cosmos.exists(account, DATABASE, LIBRARY_SHELVES)
        worker = LibraryWorker(cloud, tmp_path / "log").start()
        with pytest.raises(StoreUnavailableError, match="not converted yet"):
            await read_library(account, "user-0")

        async def is_live() -> bool:
            return (await live_version.read(cosmos.container(account, DATABASE, PROJECTIONS), LIBRARY)).shelves > 0

        await wait_for_async(is_live, "the live version")
        listens = (await read_library(account, "user-0")).library.listens
        assert listens >= applied["user-0"].totals[0] > 50
    async with libraries_on(cloud) as found:
        await wait_for_async(lambda: found.read_up_to(ENDS), "the libraries to be at the hub's end")
        assert await found.all() == libraries(log)
    assert worker.stop() == 0
    assert "all 22 listeners are converted" in worker.said


@pytest.mark.parametrize("seed", range(3))
async def test_a_migration_that_is_killed_goes_on(
    cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    random = Random(seed)
    monkeypatch.setattr(migration, "LISTENERS_AT_ONCE", 2)
    monkeypatch.setattr(migration, "RECORD_S", 0.0)
    monkeypatch.setattr(migration, "LEASE_S", 0.0)
    shelves = Container(f"shelves-{seed}", partition_key="/shelf", indexed=())
    projections = Container(f"projections-{seed}", partition_key="/id", indexed=())
    first = LiveVersionDocument(id=LIBRARY, version=3, shelves=8)
    async with cosmos.client(read_cosmos(cloud.environment)) as account:
        await cosmos.ensure(account, DATABASE, (shelves, projections))
        container = cosmos.container(account, DATABASE, shelves.name)
        said: list[str] = []

        def parts(worker: int) -> MigrationParts:
            return MigrationParts(
                former=cosmos.container(account, DATABASE, LIBRARY),
                shelves=container,
                store=ShelfStore(container, 1_000),
                projections=cosmos.container(account, DATABASE, projections.name),
                worker=f"worker-{worker}",
                say=said.append,
            )

        cut = 0
        for worker in range(4):
            # Two at a time, who take it from each other, for neither's lease lasts.
            trying = asyncio.gather(*(migrate(parts(2 * worker + one), first) for one in range(2)))
            try:
                await asyncio.wait_for(trying, random.uniform(0.02, 0.3))
            except TimeoutError:
                cut += 1
        assert cut > 0
        # The hub may have got a partition meanwhile: what was begun is finished.
        version = await asyncio.wait_for(migrate(parts(99), structs.replace(first, shelves=5)), 60)
        assert version == first
        found = Libraries(producer=None, container=container)  # type: ignore[arg-type]  # nothing is sent
        log = [place for place in await log_of(cloud) if place[1] <= APPLIED[str(place[0])]]
        assert await found.all() == libraries(log)
        progress = await found.progress()
        assert progress is not None
        assert {number: one.position for number, one in progress.partitions.items()} == APPLIED
        assert "22 of 22 listeners" in said[-1]


async def test_a_batch_that_takes_longer_than_the_lease_is_done_once(
    cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or two workers take it from each other for ever."""
    monkeypatch.setattr(migration, "RECORD_S", 0.1)
    monkeypatch.setattr(migration, "LEASE_S", 0.5)
    monkeypatch.setattr(migration, "_PAUSE_S", 0.1)
    convert_some, list_users, begun = migration._Migration._convert_some, migration._Migration._users, []

    async def slowly(self: migration._Migration, shelf: int, users: Sequence[str]) -> None:
        begun.append(shelf)
        await asyncio.sleep(1)
        await convert_some(self, shelf, users)

    async def list_slowly(self: migration._Migration) -> list[str]:
        await asyncio.sleep(1)
        return await list_users(self)

    monkeypatch.setattr(migration._Migration, "_convert_some", slowly)
    monkeypatch.setattr(migration._Migration, "_users", list_slowly)
    shelves = Container("shelves-slow", partition_key="/shelf", indexed=())
    projections = Container("projections-slow", partition_key="/id", indexed=())
    first = LiveVersionDocument(id=LIBRARY, version=3, shelves=2)
    async with cosmos.client(read_cosmos(cloud.environment)) as account:
        await cosmos.ensure(account, DATABASE, (shelves, projections))
        container = cosmos.container(account, DATABASE, shelves.name)

        def parts(worker: str) -> MigrationParts:
            return MigrationParts(
                former=cosmos.container(account, DATABASE, LIBRARY),
                shelves=container,
                store=ShelfStore(container, 1_000),
                projections=cosmos.container(account, DATABASE, projections.name),
                worker=worker,
                say=lambda _: None,
            )

        async with asyncio.timeout(60):
            await asyncio.gather(*(migrate(parts(worker), first) for worker in ("one", "other")))
        assert begun == [0, 1]


@pytest.mark.parametrize(
    ("name", "user_id", "content"),
    [
        ("song:foreign", "user-0", {"songId": "foreign", "plays": "many"}),
        (
            "song:foreign",
            "user-0",
            {"songId": "foreign", "likes": {"first": {"on": True, "at": "2026-11-22T12:00:00Z"}}},
        ),
        ("song:foreign", "user-0", {"songId": "foreign", "plays": -1, "msPlayed": -40_000}),
        ("summary", "stranger", {"applied": {"first": 7}}),
        ("summary", "stranger", {"applied": {"0": 7}, "seen": {"0": "no base64"}}),
        ("summary", "stranger", {"applied": {"0": 2**64}}),
    ],
)
async def test_a_document_that_cannot_be_understood_ends_no_migration(
    cloud: LocalCloud,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
    user_id: str,
    content: dict[str, Any],
) -> None:
    monkeypatch.setattr(migration, "_PAUSE_S", 0.0)
    foreign = {"id": name, "userId": user_id, **content}
    number = event_mark(repr(foreign))
    shelves = Container(f"shelves-{number}", partition_key="/shelf", indexed=())
    projections = Container(f"projections-{number}", partition_key="/id", indexed=())
    async with cosmos.client(read_cosmos(cloud.environment)) as account:
        await cosmos.ensure(account, DATABASE, (shelves, projections))
        container, former = (cosmos.container(account, DATABASE, name) for name in (shelves.name, LIBRARY))
        await former.create_item(foreign)
        try:
            parts = MigrationParts(
                former=former,
                shelves=container,
                store=ShelfStore(container, 1_000),
                projections=cosmos.container(account, DATABASE, projections.name),
                worker="one",
                say=lambda _: None,
            )
            await migrate(parts, LiveVersionDocument(id=LIBRARY, version=3, shelves=2))
        finally:
            await former.delete_item(foreign["id"], foreign["userId"])
        found = Libraries(producer=None, container=container)  # type: ignore[arg-type]  # nothing is sent
        log = [place for place in await log_of(cloud) if place[1] <= APPLIED[str(place[0])]]
        assert await found.all() == libraries(log)
    assert f"document {name!r} of listener {user_id!r}" in caplog.text


async def read_library(account: CosmosClient, user_id: str) -> LibraryLists:
    def store(name: str) -> DocumentStore:
        return DocumentStore(cosmos.container(account, DATABASE, name))

    versions = VersionedStores(store(PROJECTIONS), store, time.monotonic)
    return await LibraryReader(store(LIBRARY), FoldedCache()).read(await versions.live(LIBRARY), user_id)
