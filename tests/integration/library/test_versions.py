"""The library worker runs the live version, and begins as another one once that is live."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from azure.cosmos.aio import ContainerProxy, CosmosClient
from msgspec import structs

from songline.audit.library_reference import libraries
from songline.cloud import cosmos
from songline.cloud.settings import read_cosmos
from songline.processors.library import shelf_store
from songline.processors.runtime.process import VERSION_CHANGED
from songline.processors.runtime.watermark_store import WatermarkStore
from songline.schemas.channels import DATABASE, LIBRARY, PROJECTIONS
from songline.schemas.projections import FIRST_VERSION, LiveVersionDocument, container_of, version_id
from tests.integration.library.test_worker import played
from tests.support.library import Libraries, LibraryWorker, libraries_on
from tests.support.localcloud import LocalCloud
from tests.support.waiting import wait_for_async


@pytest.fixture
async def account(song_cloud: LocalCloud) -> AsyncIterator[CosmosClient]:
    async with cosmos.client(read_cosmos(song_cloud.environment)) as client:
        yield client


async def make_version(account: CosmosClient, version: int) -> ContainerProxy:
    name = container_of(LIBRARY, version)
    await cosmos.ensure(account, DATABASE, (structs.replace(shelf_store.CONTAINER, name=name),))
    return cosmos.container(account, DATABASE, name)


async def make_live(account: CosmosClient, document: dict[str, Any]) -> None:
    await cosmos.container(account, DATABASE, PROJECTIONS).upsert_item(document)


async def test_a_worker_ends_and_goes_on_from_the_other_versions_own_watermark(
    song_cloud: LocalCloud, account: CosmosClient, tmp_path: Path
) -> None:
    worker = LibraryWorker(song_cloud, tmp_path / "log").start()
    async with libraries_on(song_cloud) as first:
        before = [played("ann", "song-1", number) for number in range(5)]
        after = [played("ann", "song-2", number) for number in range(5, 9)]
        await first.tell(*before, partition="1")
        await wait_for_async(partial(first.read_up_to, {"1": 4}), "the first events to be applied")
        # It has what came before, as a rebuild leaves it: its events are not read again.
        second = Libraries(first.producer, await make_version(account, 2))
        watermarks = WatermarkStore(second.container, "shelf")
        of_first = (await first.progress() or pytest.fail("no progress")).partitions
        await watermarks.add(of_first)
        await watermarks.advance("1", structs.replace(of_first["1"], position=4))
        await first.tell(*after, partition="1")
        await wait_for_async(partial(first.read_up_to, {"1": 8}), "the other events to be applied")
        assert (await first.all())["ann"] == libraries([(1, n, one) for n, one in enumerate([*before, *after])])["ann"]

        await make_live(account, msgspec.to_builtins(LiveVersionDocument(id=LIBRARY, version=2, shelves=8)))
        assert worker.wait() == VERSION_CHANGED, worker.said
        assert "version 2 of library is live, and this worker runs version 1" in worker.said
        worker.start()
        await wait_for_async(partial(second.read_up_to, {"1": 8}), "the second version to be at the hub's end")
        assert (await second.all())["ann"] == libraries([(1, 5 + n, one) for n, one in enumerate(after)])["ann"]
        assert "the checkpoint, 8, is beyond what is applied: it is read from behind 4 on" in worker.said

        # And back: the first version goes on from where it was.
        more = [played("ann", "song-3", number) for number in range(9, 12)]
        await make_live(account, msgspec.to_builtins(LiveVersionDocument(id=LIBRARY, version=1, shelves=4)))
        assert worker.wait() == VERSION_CHANGED, worker.said
        await first.tell(*more, partition="1")
        worker.start()
        await wait_for_async(partial(first.read_up_to, {"1": 11}), "the first version to be at the hub's end")
        every = [*before, *after, *more]
        assert (await first.all())["ann"] == libraries([(1, n, one) for n, one in enumerate(every)])["ann"]
        assert worker.stop() == 0, worker.said


@pytest.mark.parametrize("damaged", [{"id": LIBRARY, "version": "2", "shelves": 4}, None])
async def test_a_damaged_live_version_is_waited_out(
    song_cloud: LocalCloud, account: CosmosClient, tmp_path: Path, damaged: dict[str, Any] | None
) -> None:
    async with libraries_on(song_cloud) as first:
        projections = cosmos.container(account, DATABASE, PROJECTIONS)
        if damaged is None:
            # Other versions were made, so that its absence is not that of a system without any.
            await projections.upsert_item({"id": version_id(LIBRARY, FIRST_VERSION)})
            await projections.delete_item(LIBRARY, LIBRARY)
        else:
            await make_live(account, damaged)
        worker = LibraryWorker(song_cloud, tmp_path / "log").start()
        said = "which version of library is live is not known"

        async def has_said(text: str) -> bool:
            return text in worker.said

        await wait_for_async(partial(has_said, said), "the worker to say what it waits for")
        assert "Traceback" not in worker.said
        await make_live(account, msgspec.to_builtins(LiveVersionDocument(id=LIBRARY, version=1, shelves=4)))
        await first.tell(played("mended", "song-1", 1), partition="2")
        ends = await first.ends()
        await wait_for_async(partial(first.read_up_to, ends), "the worker to go on")
        assert "mended" in await first.all()

        # A worker that runs goes on with its version, and says that it is not known whether it is live.
        await make_live(account, {"id": LIBRARY, "version": "2"})
        await wait_for_async(partial(has_said, "version 1 goes on"), "the worker to see it")
        await first.tell(played("mended", "song-2", 2), partition="2")
        await wait_for_async(partial(first.read_up_to, await first.ends()), "the worker to go on")
        await make_live(account, msgspec.to_builtins(LiveVersionDocument(id=LIBRARY, version=1, shelves=4)))
        assert worker.stop() == 0, worker.said
