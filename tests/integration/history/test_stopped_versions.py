"""Processes that change which version is live, or build one, and were stopped while others went on."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from azure.cosmos.aio import ContainerProxy
from msgspec import structs

from songline.cloud import cosmos
from songline.cloud.cosmos import Container
from songline.cloud.settings import read_cosmos
from songline.processors.history.rebuild.lease import RebuildLease
from songline.processors.history.versions.version_store import StoredVersion, VersionOvertakenError, VersionStore
from songline.schemas.channels import DATABASE, SONGS
from songline.schemas.projections import LiveVersionDocument, VersionDocument, version_id
from tests.support.localcloud import LocalCloud

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
READY = VersionDocument(
    id=version_id(SONGS, 2), projection=SONGS, version=2, state="ready", since=NOON, started_at=NOON
)


class StoppedStore(VersionStore):
    """A store whose process is stopped, once it has been asked for a version or has written one, while something else
    happens."""

    def __init__(self, documents: ContainerProxy, now: Callable[[], datetime]) -> None:
        super().__init__(documents, now)
        self.meanwhile: Callable[[], Awaitable[None]] | None = None

    async def read(self, projection: str, version: int) -> StoredVersion | None:
        found = await super().read(projection, version)
        await self._stop()
        return found

    async def replace(self, stored: StoredVersion, after: VersionDocument) -> StoredVersion:
        written = await super().replace(stored, after)
        await self._stop()
        return written

    async def _stop(self) -> None:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            await meanwhile()


class Stopped:
    """The second version of the songs, which is ready; the store of a process that is stopped, and that of another."""

    def __init__(self, documents: ContainerProxy) -> None:
        self.slept = timedelta()
        self.store, self.other = StoppedStore(documents, self.now), VersionStore(documents, self.now)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.slept

    async def change(self, **changes: Any) -> None:
        """The other process changes the version's document, an hour later."""
        self.slept += timedelta(hours=1)
        stored = await self.other.read(SONGS, READY.version)
        assert stored is not None
        await self.other.replace(stored, structs.replace(stored.document, **changes))

    async def drop(self) -> None:
        """The other process drops the version, as far as documents go."""
        await self.change(state="dropped")
        assert (await self.other.keep_live(SONGS)).version == 1


@pytest.fixture
async def stopped(shared_localcloud: LocalCloud) -> AsyncIterator[Stopped]:
    place = Container(f"versions-{uuid4().hex}", partition_key="/id", indexed=())
    async with cosmos.opened(read_cosmos(shared_localcloud.environment)) as account:
        await cosmos.ensure(account, DATABASE, (place,))
        found = Stopped(cosmos.container(account, DATABASE, place.name))
        await found.other.ensure(LiveVersionDocument(id=SONGS, version=1, shelves=0))
        await found.other.create(READY)
        yield found
        await cosmos.delete(account, DATABASE, place.name)


@pytest.mark.parametrize("has_looked", [False, True])
async def test_a_version_that_was_dropped_meanwhile_is_not_made_live(stopped: Stopped, has_looked: bool) -> None:
    """Its container has gone. The process had measured that it is near enough, or was about to write."""
    live = await stopped.store.live(SONGS)
    if has_looked:
        stopped.store.meanwhile = stopped.drop
    else:
        await stopped.drop()
    with pytest.raises(VersionOvertakenError, match="meanwhile: look again"):
        await stopped.store.make_live(live, READY)
    assert (await stopped.other.live(SONGS)).version == 1


async def test_a_version_that_became_live_meanwhile_is_kept(stopped: Stopped) -> None:
    await stopped.other.make_live(await stopped.other.live(SONGS), READY)
    assert (await stopped.store.keep_live(SONGS)).version == READY.version


async def test_a_lease_is_asked_for_again_whose_answer_came_late(stopped: Stopped) -> None:
    """It was renewed, and taken while the process waited to hear that."""
    stored = await stopped.store.read(SONGS, READY.version)
    assert stored is not None
    lease = RebuildLease(stopped.store, stored, "here:1", stopped.now)
    await lease.take()
    await lease.check()
    stopped.slept += timedelta(seconds=7)
    stopped.store.meanwhile = partial(stopped.change, worker="")
    with pytest.raises(VersionOvertakenError, match="version 2 of songs was taken from this process"):
        await lease.check()
