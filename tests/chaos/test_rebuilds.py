"""All projections are rebuilt under live traffic by commands that are killed, equal the live ones, and live on.

`make rebuilds` and `make chaos` do it at full size: SONGLINE_REBUILD_EVENTS there are when it begins,
SONGLINE_REBUILD_RATE a second come in meanwhile, each rebuild is killed SONGLINE_REBUILD_KILLS times, and what was
switched lives on for SONGLINE_REBUILD_MINUTES. Here all of that is little, for the sake of time.
"""

import asyncio
import os
import random
import re
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from azure.cosmos.aio import ContainerProxy
from msgspec import Struct, structs

from songline.audit import chart_reference as reference
from songline.audit.chart_check import lasting, lines, minute
from songline.audit.library_reference import libraries
from songline.cloud import cosmos, eventhubs
from songline.cloud.settings import CloudSettings
from songline.processors.history.compare.comparison import VersionComparison
from songline.processors.history.versions.switching import FAR_S
from songline.processors.runtime.process import VERSION_CHANGED
from songline.schemas.channels import CHARTS, DATABASE, LIBRARY, LIBRARY_SHELVES, MUSIC_EVENTS, PLAYS, SONGS
from songline.schemas.documents import CURRENT, Chart
from songline.schemas.plays import SHARDS_KEY
from songline.schemas.projections import container_of
from tests.chaos.test_trending_killed import complete
from tests.integration.history.test_charts_rebuild import documents
from tests.support.catalog import CatalogWorker
from tests.support.library import Libraries, LibraryWorker
from tests.support.localcloud import LocalCloud
from tests.support.process import WorkerProcess
from tests.support.projection import Projection, told
from tests.support.traffic import Inventor, Traffic
from tests.support.trending import hours
from tests.support.versions import Operator, kill_midway
from tests.support.waiting import wait_for_async
from tests.support.worker import TrendingWorker, read_hub, shards_reached, song_days, told_apart

EVENTS = int(os.environ.get("SONGLINE_REBUILD_EVENTS", "2400"))
KILLS = int(os.environ.get("SONGLINE_REBUILD_KILLS", "2"))
RATE = int(os.environ.get("SONGLINE_REBUILD_RATE", "30"))
MINUTES = float(os.environ.get("SONGLINE_REBUILD_MINUTES", "0.1"))
PROJECTIONS = os.environ.get("SONGLINE_REBUILD_PROJECTIONS", "charts,plays,library,songs").split(",")
IS_FULL_SIZE = RATE >= 1_000
RATE_LEAST = RATE * (0.95 if IS_FULL_SIZE else 0.2)
"""What the hub has to acknowledge a second while rebuilds run. Small runs share a machine with other tests."""

SPAN_S = 1_200
DEADLINE = 180.0 + EVENTS / 200
CAPTURE = ("--capture-interval", "20") if IS_FULL_SIZE else ()
"""Most of what a rebuild reads is in the archive when it begins, in many files."""

KILL_S = (1.0, 3.0 + EVENTS / 100_000)
"""A command is killed after so long at random."""

AT_ONCE = 2
"""So many projections are rebuilt side by side: a machine of two cores has nothing to spare for more."""


class LiveSystem(Struct, frozen=True):
    """The workers, and the containers that they write."""

    settings: CloudSettings
    operator: Operator
    traffic: Traffic
    workers: Mapping[str, WorkerProcess]
    container: Callable[[str, int], ContainerProxy]

    async def ends(self) -> dict[str, int]:
        """The position of the last event of each partition."""
        async with eventhubs.producer(self.settings.eventhubs, MUSIC_EVENTS) as producer:
            return await Projection(producer, self.container(LIBRARY, 1)).ends()

    async def wait_for(self, ends: dict[str, int], version: int) -> dict[str, Chart]:
        """The current charts, once the versions have all of the hub."""
        for projection in (LIBRARY, SONGS):
            there = Projection(None, self.container(projection, version))  # type: ignore[arg-type] # it only reads
            await wait_for_async(partial(there.read_up_to, ends), f"{projection} to be at {ends}", DEADLINE)
        days = self.container(PLAYS, version)
        await wait_for_async(partial(shards_reached, days, ends), f"songs' days to be at {ends}", DEADLINE)
        charts = self.container(CHARTS, version)
        probe = partial(complete, charts, ends, {"top:24h:global"})
        return await wait_for_async(probe, f"every chart to be at {ends}", DEADLINE)

    def worker(self, projection: str) -> WorkerProcess:
        """The worker that writes a projection."""
        return self.workers[{CHARTS: "trending", PLAYS: "trending", LIBRARY: "library", SONGS: "catalog"}[projection]]

    async def restarted(self, projection: str) -> None:
        """Start a worker again that ended because another version is live, as its supervisor does."""
        worker = self.worker(projection)

        async def has_ended() -> bool:
            return not worker.running

        await wait_for_async(has_ended, f"the worker of {projection} to end", DEADLINE)
        assert worker.ended() == VERSION_CHANGED, worker.said
        worker.start()


def say(line: str) -> None:
    """Say how far the test is, to be seen with `-s`."""
    print(f"{datetime.now(UTC):%H:%M:%S} {line}", file=sys.stderr, flush=True)


@pytest.fixture
def cloud(start_localcloud: Callable[..., LocalCloud]) -> LocalCloud:
    return start_localcloud("--blobs", *CAPTURE)


@pytest.fixture
def workers(cloud: LocalCloud, tmp_path: Path) -> Iterator[Mapping[str, WorkerProcess]]:
    started: dict[str, WorkerProcess] = {
        "library": LibraryWorker(cloud, tmp_path / "library.log"),
        "catalog": CatalogWorker(cloud, tmp_path / "catalog.log"),
        "trending": TrendingWorker(cloud, tmp_path / "trending.log"),
    }
    yield started
    for worker in started.values():
        worker.kill()


@asynccontextmanager
async def running(
    cloud: LocalCloud, workers: Mapping[str, WorkerProcess], inventor: Inventor, events: int
) -> AsyncIterator[LiveSystem]:
    """The workers over a hub that has so many events."""
    settings = cloud.settings()
    async with told(cloud, LIBRARY_SHELVES) as (hub, _), cosmos.client(settings.cosmos) as account:
        traffic = Traffic(hub, inventor)
        await traffic.fill(settings, events, SPAN_S)
        for worker in workers.values():
            worker.start()

        def container(projection: str, version: int) -> ContainerProxy:
            return cosmos.container(account, DATABASE, container_of(projection, version))

        system = LiveSystem(settings, Operator(cloud), traffic, workers, container)
        say(f"{traffic.acknowledged:,} events are in the hub")
        await system.wait_for(await system.ends(), 1)
        say("the live versions have them")
        yield system


# In the small form some twenty commands run one after the other: about 100 s of CPU, beside three other tests.
@pytest.mark.timeout(900 + EVENTS / 20)
async def test_rebuilds_that_are_killed_equal_the_live_versions(
    cloud: LocalCloud, workers: Mapping[str, WorkerProcess]
) -> None:
    gate = asyncio.Semaphore(AT_ONCE)
    async with running(cloud, workers, Inventor(7, EVENTS), EVENTS) as system:
        async with system.traffic.running(RATE), asyncio.TaskGroup() as group:
            for projection in PROJECTIONS:
                group.create_task(rebuild_killed(system, projection, gate))
        say(f"{system.traffic.rate:,.0f} events/s were acknowledged meanwhile")
        assert system.traffic.rate >= RATE_LEAST
        ends = await system.ends()
        await system.wait_for(ends, 1)
        say(f"the live versions are at the hub's end, {ends}")
        async with asyncio.TaskGroup() as group:
            for projection in PROJECTIONS:
                group.create_task(finish_and_compare(system, projection, ends))

        await system.traffic.send(40)
        await asyncio.sleep(FAR_S + 1)
        switches = [system.operator.run("projection", "switch", projection, "2") for projection in PROJECTIONS]
        for refused in await asyncio.gather(*switches):
            assert refused.code == 2, refused.said
            behind = r"is too far behind: [0-9]+ events behind, the oldest [0-9]+ s old\. .*, or switch with --force"
            assert re.search(behind, refused.said), refused.said


async def rebuild_killed(system: LiveSystem, projection: str, gate: asyncio.Semaphore) -> None:
    """Rebuild a projection by commands that are killed at random moments, and by one that is not."""
    chance = random.Random(projection)
    async with gate:
        killed = 0
        for _ in range(KILLS):
            process = await system.operator.begin("rebuild", projection)
            killed += await kill_midway(process, chance.uniform(*KILL_S))
        began_s = time.monotonic()
        said = await system.operator.done("rebuild", projection)
        passed_s = time.monotonic() - began_s
        say(f"killed {killed} times, the last one took {passed_s:.0f} s: {said.splitlines()[-2]}")
        assert "version 2 of" in said
        assert killed, "no kill met a rebuild"


async def finish_and_compare(system: LiveSystem, projection: str, ends: dict[str, int]) -> None:
    """Rebuild the last of what came in while a version was built, and hold it to be that of the worker."""
    if projection == CHARTS:
        await compare_charts(system, ends)
        return
    await system.operator.done("rebuild", projection)
    live, ready = await system.operator.versions(projection)
    assert (live.state, ready.state) == ("live", "ready")
    assert (ready.positions, ready.events_behind) == (ends, 0)
    assert live.positions == ends
    assert ready.events == sum(ends.values()) + len(ends)
    await compare_documents(system, projection)
    say(f"{projection} is equal")


async def compare_documents(system: LiveSystem, projection: str, versions: tuple[int, int] = (1, 2)) -> None:
    """Hold a version to be that of the worker, by the command and, except libraries, by the documents themselves."""
    said = await system.operator.done("projection", "compare", projection, "--json")
    compared = msgspec.json.decode(said, type=VersionComparison)
    assert (compared.differing, compared.missing, compared.later) == (0, {}, 0), compared.differences
    found = [await contents(system.container(projection, version), projection) for version in versions]
    assert found[0], projection
    if projection != LIBRARY:
        # Shelves hold the same actions in other nodes.
        assert found[1] == found[0]
        assert compared.equal == len(found[0])


async def contents(container: ContainerProxy, projection: str) -> dict[tuple[str, str], dict[str, Any]]:
    """The documents of a version, without those that say how far it is."""
    key = {SONGS: "id", PLAYS: "songId", LIBRARY: "shelf"}[projection]
    found = {}
    async for item in container.query_items("SELECT * FROM c", max_item_count=1_000):
        if not item["id"].startswith("@") and not item[key].startswith("@") and item[key] != SHARDS_KEY:
            place = (item[key], item["id"])
            found[place] = {name: value for name, value in item.items() if not name.startswith("_")}
    return found


async def compare_charts(system: LiveSystem, ends: dict[str, int]) -> None:
    """Hold the current charts to be those of the worker at the same position, in a minute of both: what differs within
    a minute is the moment alone. And the snapshots of all hours whose first moment the worker has met."""
    live, by_minute = system.container(CHARTS, 1), dict[datetime, dict[str, Chart]]()

    async def watch() -> None:
        while True:
            charts = await complete(live, ends, {"top:24h:global"})
            if len(found := {minute(one) for one in charts.values()}) == 1:
                by_minute[found.pop()] = charts
            await asyncio.sleep(0.5)

    watching = asyncio.create_task(watch())
    try:
        for _ in range(5):
            await system.operator.done("rebuild", CHARTS)
            built = await documents(system.container(CHARTS, 2))
            charts = {key: one for (key, name), one in built.items() if name == CURRENT and one.entries}
            assert {tuple(one.position.items()) for one in charts.values()} == {tuple(ends.items())}
            moment = minute(next(iter(charts.values())))
            with suppress(AssertionError):
                await wait_for_async(partial(_has, by_minute, moment), f"live charts of {moment}", 10)
                break
        assert moment in by_minute, (moment, sorted(by_minute))
    finally:
        watching.cancel()
    kept = await documents(live)
    met = {place: one for place, one in kept.items() if place[1] != CURRENT and _is_first_moment(one.as_of)}
    is_met = len(met) == sum(name != CURRENT for _, name in kept)
    expected = {key: _still(one, is_met=is_met) for key, one in by_minute[moment].items() if one.entries}
    assert {key: _still(one, is_met=is_met) for key, one in charts.items()} == expected
    for place, snapshot in met.items():
        assert built[place] == snapshot, place
    say(f"{len(expected)} charts of {moment:%H:%M} are equal, and {len(met)} snapshots")


def _is_first_moment(at: datetime) -> bool:
    """Whether it is an hour's. A worker that is too far behind to meet it keeps the first chart that it makes later."""
    return at == at.replace(minute=0, second=0, microsecond=0)


async def _has(found: Mapping[datetime, object], moment: datetime) -> bool:
    return moment in found


def _still(chart: Chart, *, is_met: bool) -> Chart:
    """A chart without the second that it is of. Where the worker has missed the first moment of an hour (`is_met`),
    charts are compared with another one before."""
    kept = structs.replace(chart, as_of=minute(chart), complete_through=None)
    if is_met:
        return kept
    entries = [structs.replace(one, previous_rank=None) for one in chart.entries]
    return structs.replace(kept, compared_with=None, entries=entries)


@pytest.mark.timeout(900 + EVENTS / 20 + 120 * MINUTES)
async def test_versions_live_on_after_the_switch(cloud: LocalCloud, workers: Mapping[str, WorkerProcess]) -> None:
    """Also after a kill of every worker; and nobody goes on with the versions before."""
    events = min(EVENTS, 20_000)
    async with running(cloud, workers, Inventor(5, events, sole_uploaders=True), events) as system:
        async with system.traffic.running(RATE):
            for projection in (CHARTS, PLAYS, LIBRARY, SONGS):
                said = await system.operator.done("rebuild", projection, "--switch")
                assert f"version 2 of {projection} is live" in said
                await system.restarted(projection)
            say("all versions are switched")
            before = [await system.operator.versions(projection) for projection in (CHARTS, PLAYS, LIBRARY, SONGS)]
            await asyncio.sleep(30 * MINUTES)
            for worker in workers.values():
                worker.kill()
                worker.start()
            await asyncio.sleep(30 * MINUTES)
        say(f"{system.traffic.rate:,.0f} events/s were acknowledged meanwhile")
        assert system.traffic.rate >= RATE_LEAST
        ends = await system.ends()
        charts = await system.wait_for(ends, 2)
        log, _ = told_apart(await read_hub(system.settings))
        libraries_now = Libraries(None, system.container(LIBRARY, 2))  # type: ignore[arg-type] # it only reads
        assert await libraries_now.all() == libraries(log)
        assert hours(await song_days(system.container(PLAYS, 2))) == reference.plays(log)
        keys = lasting(reference.charts(log, minute(next(iter(charts.values())))))
        probe = partial(complete, system.container(CHARTS, 2), ends, keys)
        charts = await wait_for_async(probe, "all charts", DEADLINE)
        wanted = {at: reference.charts(log, at) for at in {minute(one) for one in charts.values()}}
        for key, chart in charts.items():
            assert lines(chart) == wanted[minute(chart)].get(key, []), (key, chart.as_of)

        after = [await system.operator.versions(projection) for projection in (CHARTS, PLAYS, LIBRARY, SONGS)]
        for (former_then, _), (former, live) in zip(before, after, strict=True):
            assert (former.state, live.state, live.positions) == ("former", "live", ends)
            assert former.positions == former_then.positions, "a worker goes on with the version before"
        # Songs have no reference in words: they are those of another rebuild.
        await system.operator.done("rebuild", SONGS)
        await compare_documents(system, SONGS, (2, 3))

        # Back, and what was missed comes to the version that was live before.
        await system.operator.done("projection", "rollback", LIBRARY)
        await system.restarted(LIBRARY)
        first = Libraries(None, system.container(LIBRARY, 1))  # type: ignore[arg-type] # it only reads
        await wait_for_async(partial(first.read_up_to, ends), "the first version to be at the hub's end", DEADLINE)
        assert await first.all() == libraries(log)
        refused = await system.operator.run("projection", "drop", LIBRARY, "1")
        assert (refused.code, "is live: switch to another one first" in refused.said) == (2, True)
        await system.operator.done("projection", "drop", LIBRARY, "2")
        assert [one.state for one in await system.operator.versions(LIBRARY)] == ["live", "dropped"]
        for command in ("switch", "drop"):
            gone = await system.operator.run("projection", command, LIBRARY, "2")
            assert (gone.code, "was dropped at" in gone.said) == (2, True)
