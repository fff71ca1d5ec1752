"""The hub is made anew while a version is built, or between the rebuild and the switch: no event is passed over, and
none counts twice."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from msgspec import structs

from songline.audit import chart_reference as reference
from songline.audit.chart_check import lines, minute
from songline.audit.library_reference import Place, libraries
from songline.cloud import cosmos
from songline.processors.history.charts.rebuilding import SETTLED_S
from songline.processors.history.rebuild import partition_fold
from songline.processors.history.rebuild.hub_life import HubLife, HubMadeAnewError, LivesChangedError
from songline.processors.history.versions.opening import VersionServices, open_versions
from songline.processors.history.versions.projections import VERSIONED
from songline.processors.history.versions.switching import SwitchRefusedError
from songline.schemas.channels import CHARTS, DATABASE, LIBRARY, MUSIC_EVENTS, SONGS
from songline.schemas.documents import CURRENT
from songline.schemas.envelope import Event
from songline.schemas.events import SongLiked, SongPlayed, SongUploaded
from songline.schemas.projections import LiveVersionDocument, container_of
from tests.integration.history.test_as_of import write_archive
from tests.integration.history.test_charts_rebuild import documents
from tests.integration.history.test_rebuild import build
from tests.support.catalog import Catalog
from tests.support.history import HistoryEvent
from tests.support.library import Libraries, LibraryWorker, libraries_on
from tests.support.localcloud import LocalCloud
from tests.support.waiting import wait_for_async
from tests.support.worker import read_hub, told_apart

PARTITIONS = 4
EACH = 60
BEGIN = datetime.now(UTC) - timedelta(hours=2)
BEFORE = 1_000_000
"""Added to the positions of events of the hub that is read, which are behind those of the archive."""


def event(number: int) -> Event:
    at = BEGIN + timedelta(milliseconds=100 * number)
    user, song = f"user-{number % PARTITIONS}", f"song-{number % 7}"
    data = (
        SongPlayed(user_id=user, song_id=song, played_ms=40_000, duration_ms=90_000, region="DE"),
        SongLiked(user_id=user, song_id=song),
        SongUploaded(
            user_id=user, song_id=f"{song}-of-{user}", title=f"Title {number}", artist="Nova", duration_ms=90_000
        ),
    )[number % 3]
    return Event(id=f"event-{number}", source="/tests", time=at, data=data)


def archived() -> list[HistoryEvent]:
    """What a hub had taken that is not there any more, hours ago."""
    second = int(time.time()) - 7_200
    return [
        HistoryEvent(partition, position, second + position, event(position * PARTITIONS + partition))
        for partition in range(PARTITIONS)
        for position in range(EACH)
    ]


@asynccontextmanager
async def history_of_two_hubs(cloud: LocalCloud) -> AsyncIterator[tuple[VersionServices, list[Place]]]:
    """An archive of a hub that was there before, and what it has."""
    before = archived()
    await write_archive(cloud, before)
    async with libraries_on(cloud), open_versions(cloud.environment) as services:
        await services.store.ensure(LiveVersionDocument(id=LIBRARY, version=1, shelves=4))
        for projection in (SONGS, CHARTS):
            await services.store.ensure(LiveVersionDocument(id=projection, version=1, shelves=0))
        yield services, [(one.partition, one.position, one.event) for one in before]


async def tell(cloud: LocalCloud, numbers: range, partitions: range) -> None:
    """Events into some partitions of the hub as it is now."""
    async with libraries_on(cloud) as hub:
        for partition in partitions:
            events = [event(10_000 + number * PARTITIONS + partition) for number in numbers]
            await hub.tell(*events, partition=str(partition))


async def places(cloud: LocalCloud) -> list[Place]:
    """What the hub has now, behind what the archive has."""
    log, _ = told_apart(await read_hub(cloud.settings()))
    return [(partition, BEFORE + position, one) for partition, position, one in log]


def built(services: VersionServices, version: int) -> Libraries:
    """A version of the libraries."""
    return Libraries(None, cosmos.container(services.account, DATABASE, container_of(LIBRARY, version)))  # type: ignore[arg-type]


@pytest.fixture
def cloud(own_cloud: LocalCloud) -> LocalCloud:
    return own_cloud


@pytest.fixture(autouse=True)
def saves_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition_fold, "UNWRITTEN_MAX", 50)
    monkeypatch.setattr(partition_fold, "PORTION", 20)


async def test_a_version_of_two_hubs_goes_on_in_the_second(cloud: LocalCloud, tmp_path: Path) -> None:
    """Its positions are lower than those of the first, and in one partition nothing came in yet."""
    async with history_of_two_hubs(cloud) as (services, before):
        await tell(cloud, range(EACH // 2), range(PARTITIONS - 1))
        for projection in (LIBRARY, SONGS):
            done = await build(services, cloud.environment, projection)
            assert done.events == EACH * PARTITIONS + EACH // 2 * (PARTITIONS - 1)
            switched = await services.switcher(VERSIONED[projection]).switch(None, force=False)
            assert (switched.after.version, switched.lag.events) == (2, 0)
        assert await built(services, 2).all() == libraries([*before, *await places(cloud)])
        songs = Catalog(None, cosmos.container(services.account, DATABASE, container_of(SONGS, 2)))  # type: ignore[arg-type]
        assert len(await songs.songs()) == 7 * PARTITIONS

        worker = LibraryWorker(cloud, tmp_path / "library.log").start()
        try:
            await tell(cloud, range(100, 110), range(PARTITIONS))
            ends = {"0": 39, "1": 39, "2": 39, "3": 9}
            await wait_for_async(partial(built(services, 2).read_up_to, ends), "the worker to go on", 120)
            assert await built(services, 2).all() == libraries([*before, *await places(cloud)])
        finally:
            worker.stop()


@pytest.mark.parametrize("is_stopped", [False, True])
async def test_files_of_an_older_hub_that_are_put_back_double_nothing(
    cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch, *, is_stopped: bool
) -> None:
    """Whether a version is at the hub's end, or was stopped while it read what the archive has."""
    async with history_of_two_hubs(cloud) as (services, _):
        await tell(cloud, range(EACH // 2), range(PARTITIONS))
        projections = (LIBRARY,) if is_stopped else (LIBRARY, SONGS, CHARTS)
        if is_stopped:
            check, asked = HubLife.check, 0

            async def stopped(life: HubLife) -> None:
                nonlocal asked
                asked += 1
                if asked > PARTITIONS:
                    raise HubMadeAnewError("stopped")
                await check(life)

            monkeypatch.setattr(HubLife, "check", stopped)
            with pytest.raises(HubMadeAnewError, match="stopped"):
                await build(services, cloud.environment, LIBRARY)
            monkeypatch.setattr(HubLife, "check", check)
        else:
            for projection in projections:
                await build(services, cloud.environment, projection)
        day_s = 86_400
        await write_archive(cloud, [structs.replace(one, second=one.second - day_s) for one in archived()])
        for projection in projections:
            words = f"Drop it with `songline projection drop {projection} 2`, and rebuild"
            with pytest.raises(LivesChangedError, match=words):
                await build(services, cloud.environment, projection)


@pytest.mark.parametrize(("projection", "at"), [(LIBRARY, PARTITIONS + 1), (CHARTS, 1)])
async def test_a_hub_that_is_made_anew_while_it_is_read_stops_the_rebuild(
    cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch, projection: str, at: int
) -> None:
    """It is made anew before the save `at`: of libraries, each partition has saved something of the archive."""
    async with history_of_two_hubs(cloud) as (services, before):
        await tell(cloud, range(EACH // 2), range(PARTITIONS))
        check, asked = HubLife.check, 0

        async def made_anew(life: HubLife) -> None:
            nonlocal asked
            asked += 1
            if asked == at:
                cloud.remake_hub(MUSIC_EVENTS)
            await check(life)

        with monkeypatch.context() as patch:
            patch.setattr(HubLife, "check", made_anew)
            with pytest.raises(HubMadeAnewError, match=r"while its events were read.*Repeat the command"):
                await build(services, cloud.environment, projection)
        await tell(cloud, range(200, 200 + EACH), range(PARTITIONS))
        await asyncio.sleep(SETTLED_S + 1)
        await build(services, cloud.environment, projection)
        await check_built(services, projection, 2, [*before, *await places(cloud)])

        # Once more, between the rebuild and the switch: more comes in than the version has of the hub before.
        cloud.remake_hub(MUSIC_EVENTS)
        await tell(cloud, range(400, 400 + 2 * EACH), range(PARTITIONS))
        switcher = services.switcher(VERSIONED[projection])
        with pytest.raises(SwitchRefusedError, match=rf"the hub was made anew at .*songline rebuild {projection}"):
            await switcher.switch(2, force=False)
        with pytest.raises(HubMadeAnewError, match=f"songline projection drop {projection} 2"):
            await build(services, cloud.environment, projection)
        await switcher.drop(2)
        await asyncio.sleep(SETTLED_S + 1)
        done = await build(services, cloud.environment, projection)
        assert done.version == 3
        await check_built(services, projection, 3, [*before, *await places(cloud)])
        assert (await switcher.switch(3, force=False)).lag.events == 0


async def check_built(services: VersionServices, projection: str, version: int, log: list[Place]) -> None:
    """Hold a version to what the log makes by the rules in words."""
    if projection == LIBRARY:
        assert await built(services, version).all() == libraries(log)
        return
    charts = await documents(cosmos.container(services.account, DATABASE, container_of(CHARTS, version)))
    found = {key: one for (key, name), one in charts.items() if name == CURRENT and one.entries}
    expected = reference.charts(log, minute(next(iter(found.values()))))
    assert {key: lines(one) for key, one in found.items()} == expected
