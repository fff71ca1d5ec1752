"""The feed is closed at any moment."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import cast

import pytest
from azure.cosmos.aio import ContainerProxy

from songline.projections.live.feed import FeedStores, LiveFeed
from songline.projections.live.now_playing import Broadcast
from songline.projections.live.worker_reports import WorkerReports
from songline.projections.live_version import VersionedStores
from songline.projections.songs.served_songs import SongVersions
from songline.projections.store import DocumentStore
from songline.schemas.progress_report import NotReadyReason, ProgressReport

PATIENCE_S = 10.0


class SilentContainer:
    """Does not answer."""

    async def read_item(self, *_: object, **__: object) -> None:
        await asyncio.Event().wait()

    async def query_items(self, *_: object, **__: object) -> AsyncIterator[None]:
        await asyncio.Event().wait()
        yield


class FailingReports(WorkerReports):
    """Fails when it is told to."""

    def __init__(self) -> None:
        super().__init__({})
        self.asked = asyncio.Event()
        self.answer: asyncio.Future[dict[str, ProgressReport | NotReadyReason]] = asyncio.Future()

    async def read(self) -> dict[str, ProgressReport | NotReadyReason]:
        self.asked.set()
        return await self.answer


@pytest.mark.parametrize("turns", range(8))
async def test_it_ends_where_a_snapshot_fails_in_the_same_moment(turns: int) -> None:
    store = DocumentStore(cast(ContainerProxy, SilentContainer()))
    versions = VersionedStores(store, lambda _: store, lambda: 0.0)
    reports = FailingReports()
    stores = FeedStores(versions, SongVersions(versions), store)
    feed = LiveFeed(stores, None, Broadcast(), lambda: datetime.now(UTC), workers=reports)
    async with asyncio.timeout(PATIENCE_S), feed.watching():
        await reports.asked.wait()
        reports.answer.set_exception(KeyError("a fault of the program"))
        for _ in range(turns):
            await asyncio.sleep(0)
        await feed.close()
