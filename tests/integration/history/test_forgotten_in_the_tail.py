"""Workers that read again what a listener did before they were forgotten give them the names of the archive."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec
import pytest
from azure.cosmos.aio import CosmosClient, DatabaseProxy
from msgspec import structs

from songline.audit.library_reference import libraries as libraries_of
from songline.cloud import cosmos
from songline.cloud.settings import read_cosmos
from songline.processors.history.erasure.erasure_store import ErasureStore
from songline.schemas.channels import DATABASE, ERASURES, PARKED, SONGS
from songline.schemas.erasures import Erasure, listener_hash
from songline.schemas.forgotten import ForgottenNames
from songline.schemas.parked import ParkedEvent
from tests.support.catalog import Catalog, CatalogWorker
from tests.support.erasure import events_of
from tests.support.library import Libraries, LibraryWorker, libraries_on
from tests.support.localcloud import LocalCloud
from tests.support.projection import Projection
from tests.support.waiting import wait_for_async
from tests.support.worker import TrendingWorker

USER, OTHER = "anna-2", "anna-2:b"
KEY = bytes(range(32))
BROKEN = b'{"userId": "anna-2", "more'


@pytest.fixture
async def account(song_cloud: LocalCloud) -> AsyncIterator[CosmosClient]:
    async with cosmos.client(read_cosmos(song_cloud.environment)) as client:
        yield client


async def forget(libraries: Libraries, database: DatabaseProxy) -> None:
    """Leave the receipt of an erasure, up to the hub's end as it is."""
    hub = await libraries.producer.get_eventhub_properties()
    now = datetime.now(UTC)
    receipt = Erasure(
        id="receipt", state="done", songs="keep", requested_at=now, due_at=now, by="tests", key=KEY.hex(),
        listener=listener_hash(USER, KEY), bounds=await libraries.ends(), hub_created_at=hub["created_at"],
    )  # fmt: skip
    await ErasureStore(database.get_container_client(ERASURES)).create(receipt)
    # What no erasure has written, as long as a worker reads it.
    for foreign in ({"listener": 7}, {**msgspec.to_builtins(receipt), "key": "no key"}):
        await database.get_container_client(ERASURES).upsert_item({**foreign, "id": f"foreign-{len(foreign)}"})


async def test_workers_that_read_the_hub_from_its_beginning_do_not_bring_them_back(
    song_cloud: LocalCloud, account: CosmosClient, tmp_path: Path
) -> None:
    database = account.get_database_client(DATABASE)
    workers = (
        LibraryWorker(song_cloud, tmp_path / "library.log"),
        CatalogWorker(song_cloud, tmp_path / "catalog.log"),
        TrendingWorker(song_cloud, tmp_path / "trending.log"),
    )
    async with libraries_on(song_cloud) as libraries, AsyncExitStack() as stack:
        catalog = Catalog(libraries.producer, cosmos.container(account, DATABASE, SONGS))
        await libraries.tell(*events_of(USER), BROKEN, *events_of(OTHER), partition="1")
        await forget(libraries, database)
        again = structs.replace(events_of(USER)[0], id="again")
        await libraries.tell(again, partition="1")
        for worker in workers:
            stack.callback(worker.kill)
            worker.start()
        await all_read(libraries, catalog)
        found = await libraries.all()
        assert found == libraries_of([(1, number, one) for number, one in enumerate([*events_of(OTHER), again])])
        names = ForgottenNames(KEY)
        owners = {song_id: document.owner for song_id, document in (await catalog.songs()).items()}
        assert owners == {
            **{f"{one}-of-2-anna": names.of_song(f"{one}-of-2-anna") for one in ("kept", "gone")},
            **{f"{one}-of-{OTHER[::-1]}": OTHER for one in ("kept", "gone")},
        }
        parked = database.get_container_client(PARKED)

        async def all_parked() -> bool:
            found = [msgspec.convert(item, ParkedEvent) async for item in parked.query_items("SELECT * FROM c")]
            return [{*one.readers} for one in found] == [{"library", "catalog", "trending"}]

        await wait_for_async(all_parked, "every worker to park the broken record", 120)
        (broken,) = [msgspec.convert(item, ParkedEvent) async for item in parked.query_items("SELECT * FROM c")]
        assert b"forgotten:" in broken.body_beginning
        assert USER not in msgspec.json.encode([broken.body_beginning.decode(), broken.readers]).decode()
        for worker in workers:
            assert worker.stop() == 0, worker.said


async def all_read(*projections: Projection) -> None:
    for projection in projections:
        ends = await projection.ends()
        await wait_for_async(partial(projection.read_up_to, ends), f"{projection.container.id} to be at {ends}", 120)
