"""A rebuild that is stopped, taken over, switched to and dropped, of libraries and songs; what refuses each of these.

`tests/chaos/test_rebuilds.py` kills rebuilds of all projections under live traffic.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import NoReturn
from uuid import uuid4

import pytest
from azure.core.exceptions import AzureError, ServiceRequestError
from msgspec import structs

from songline.audit.library_reference import libraries
from songline.cloud import cosmos
from songline.cloud.cosmos import Container
from songline.doctor.versions import ask_versions_of
from songline.processors.history.archive.opening import open_history
from songline.processors.history.rebuild import partition_fold
from songline.processors.history.rebuild.lease import RebuildLease, RebuildRefusedError
from songline.processors.history.rebuild.rebuild import RebuildOptions, RebuildServices, run_rebuild
from songline.processors.history.rebuild.registry import choose_rebuild
from songline.processors.history.versions import switching
from songline.processors.history.versions.listing import ListedVersion, list_versions
from songline.processors.history.versions.opening import VersionServices, open_versions
from songline.processors.history.versions.projections import VERSIONED
from songline.processors.history.versions.switching import SwitchRefusedError
from songline.processors.history.versions.version_store import NoVersionsError, VersionOvertakenError, VersionStore
from songline.processors.runtime.watermark_store import WatermarkStore
from songline.schemas.channels import DATABASE, LIBRARY, PROJECTIONS, SONGS
from songline.schemas.projections import LiveVersionDocument, VersionDocument, container_of
from tests.support.library import Libraries, libraries_on
from tests.support.localcloud import LocalCloud
from tests.support.traffic import Inventor, Traffic
from tests.support.waiting import wait_for_async
from tests.support.worker import read_hub, told_apart

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def cloud(own_cloud: LocalCloud) -> LocalCloud:
    return own_cloud


async def build(
    services: VersionServices, environ: Mapping[str, str], projection: str, until: datetime | None = None
) -> VersionDocument:
    """Build the next version of a projection, as `songline rebuild` does."""
    switcher = services.switcher(VERSIONED[projection])
    making = await choose_rebuild(services.account, environ, projection, None)
    async with open_history(environ) as history:
        return await run_rebuild(
            making.projection,
            RebuildServices(
                open_account=services.open_account,
                store=services.store,
                history=history,
                hub=services.hub,
                now=services.now,
            ),
            RebuildOptions(until=until, policy=making.policy),
            lambda *_: None,
            lambda version: switcher.watermarks(version.version),
        )


async def test_a_rebuild_that_is_stopped_goes_on_and_another_one_is_refused(
    cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partition_fold, "UNWRITTEN_MAX", 50)
    monkeypatch.setattr(partition_fold, "PORTION", 20)
    async with libraries_on(cloud) as first, open_versions(cloud.environment) as services:
        await Traffic(first.producer, Inventor(5, 480)).send(480)
        container = cosmos.container(services.account, DATABASE, container_of(LIBRARY, 2))
        with pytest.raises(RebuildRefusedError, match="no live version of library yet"):
            await build(services, cloud.environment, LIBRARY)
        await services.store.ensure(LiveVersionDocument(id=LIBRARY, version=1, shelves=4))

        # Stopped once something is saved.
        building = asyncio.create_task(build(services, cloud.environment, LIBRARY))
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

        done = await build(services, cloud.environment, LIBRARY)
        log, bad = told_apart(await read_hub(cloud.settings()))
        assert await Libraries(first.producer, container).all() == libraries(log)
        assert (done.state, done.version, done.worker, done.events) == ("ready", 2, "", len(log) + len(bad))
        with pytest.raises(RebuildRefusedError, match="version 2 of library was begun without --until"):
            await build(services, cloud.environment, LIBRARY, until=NOON)

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
        past = await build(services, cloud.environment, LIBRARY, until=NOON)
        assert (past.version, past.until, past.events) == (3, NOON, 0)
        with monkeypatch.context() as patch:
            # The oldest event that it lacks is as old as this test, which may be younger than ten seconds.
            patch.setattr(switching, "FAR_S", -1.0)
            refusal = r"is too far behind: .* it was built until 2026-11-22 12:00:00, .* --force"
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
