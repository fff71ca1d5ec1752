"""Switches and rollbacks under reads: no read fails, none is of two versions, and a list is read to its end in one."""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from msgspec import Struct, structs

from songline.cloud import cosmos
from songline.cloud.settings import read_cosmos
from songline.processes.entities import CONTAINERS
from songline.processors.history.rebuild.folded import CATALOG_SONGS, LIBRARIES, open_libraries, open_songs
from songline.processors.history.versions.opening import VersionServices, open_versions
from songline.processors.history.versions.projections import VERSIONED
from songline.processors.runtime.hub_record import HubRecord
from songline.processors.runtime.persistent_retry import PersistentRetry
from songline.processors.runtime.watermark_store import WatermarkStore
from songline.schemas.channels import CHARTS, DATABASE, LIBRARY, PLAYS, PROJECTIONS, SONGS
from songline.schemas.documents import CURRENT, Chart, ChartEntry
from songline.schemas.envelope import Event, encode
from songline.schemas.events import Payload, SongPlayed, SongUploaded
from songline.schemas.plays import HOURS, ShardProgressDocument, SongDay, day_id
from songline.schemas.progress import PROGRESS, Freshness
from songline.schemas.projections import LiveVersionDocument, VersionDocument, container_of, version_id
from tests.support.api import ApiProcess
from tests.support.localcloud import LocalCloud
from tests.support.waiting import wait_for_async

READS_A_SECOND = int(os.environ.get("SONGLINE_SWITCH_READS", "40"))
SWITCHES = int(os.environ.get("SONGLINE_SWITCHES", "2"))
SONGS_EACH = 25
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def history(version: int) -> list[bytes]:
    """What a version is made of: in version 2 every title is another one, and every song was played twice."""

    def event(data: Payload, number: int) -> bytes:
        return encode(Event(id=f"e-{number}", source="/tests", time=NOW + timedelta(seconds=number), data=data))

    bodies = []
    for number in range(SONGS_EACH):
        title = f"Title {number} of {version}"
        bodies.append(
            event(
                SongUploaded(user_id="maker", song_id=f"song-{number}", title=title, artist="Nova", duration_ms=90_000),
                number,
            )
        )
        for again in range(version):
            played = SongPlayed(user_id="ann", song_id=f"song-{number}", played_ms=40_000, region="DE")
            bodies.append(event(played, 100 + 10 * number + again))
    return bodies


def moment(version: int) -> datetime:
    """Up to when the charts of a version count."""
    return NOW + timedelta(minutes=version)


def chart_documents(version: int) -> list[Struct | dict[str, Any]]:
    """A chart of whose entries each is as many times there as its version says, and how fresh all charts are."""
    entries = [
        ChartEntry(
            rank=number + 1,
            song_id=f"song-{number}",
            title=f"Title {number} of {version}",
            artist="Nova",
            genre=None,
            listens=version,
            likes=0,
            score=float(version),
            previous_rank=None,
        )
        for number in range(SONGS_EACH)
    ]
    fresh = Freshness(as_of=moment(version), complete_through=moment(version), position={})
    chart = Chart(kind="top", window="24h", scope="global", policy="v1", entries=entries, **structs.asdict(fresh))
    stored: list[dict[str, Any]] = [msgspec.to_builtins(one) for one in (chart, fresh)]
    return [{**stored[0], "id": CURRENT, "chart": "top:24h:global"}, {**stored[1], "id": PROGRESS, "chart": PROGRESS}]


def day_documents(version: int) -> list[Struct | dict[str, Any]]:
    """Two days of each song, with as many listens in every hour as the version says; and that all is there."""
    days: list[Struct | dict[str, Any]] = [
        SongDay(
            id=day_id(NOW - timedelta(days=day)),
            song_id=f"song-{number}",
            total=HOURS * version,
            listens=(version,) * HOURS,
            likes=(0,) * HOURS,
            unlikes=(0,) * HOURS,
        )
        for number in range(SONGS_EACH)
        for day in (1, 2)
    ]
    return [*days, ShardProgressDocument(id="0", shards=1, partitions={})]


async def make_documents(services: VersionServices, version: int) -> None:
    """Charts and songs' days in a version, which is ready."""
    for name, documents in ((CHARTS, chart_documents(version)), (PLAYS, day_documents(version))):
        projection, now = VERSIONED[name], datetime.now(UTC)
        container = structs.replace(projection.container, name=container_of(name, version))
        await cosmos.ensure(services.account, DATABASE, (container,))
        stored = cosmos.container(services.account, DATABASE, container.name)
        for document in documents:
            await stored.upsert_item(msgspec.to_builtins(document))
        if version == 1:
            await services.store.ensure(LiveVersionDocument(id=name, version=1))
        else:
            ready = VersionDocument(
                id=version_id(name, version), projection=name, version=version, state="ready", since=now, started_at=now
            )
            await services.store.create(ready)


async def make_version(services: VersionServices, version: int) -> None:
    """Libraries and songs in a version, which is ready."""
    now = datetime.now(UTC)
    for projection, opens in ((LIBRARIES, open_libraries), (CATALOG_SONGS, open_songs)):
        name = container_of(projection.name, version)
        await cosmos.ensure(services.account, DATABASE, (structs.replace(projection.container, name=name),))
        container = cosmos.container(services.account, DATABASE, name)
        document = VersionDocument(
            id=version_id(projection.name, version),
            projection=projection.name,
            version=version,
            state="ready",
            since=now,
            started_at=now,
            shelves=projection.shelves(4),
        )
        processor = opens(container, document)("0", PersistentRetry("0"))
        await processor.process([HubRecord(at, NOW, body) for at, body in enumerate(history(version))])
        await processor.flush()
        processor.close()
        await WatermarkStore(container, projection.key).add("0123")
        if version == 1:
            live = LiveVersionDocument(id=projection.name, version=1, shelves=document.shelves)
            await services.store.ensure(live)
        else:
            await services.store.create(document)


@pytest.fixture
def cloud(start_localcloud: Callable[..., LocalCloud]) -> LocalCloud:
    return start_localcloud("--blobs")


@pytest.fixture
async def services(cloud: LocalCloud) -> AsyncIterator[VersionServices]:
    async with cosmos.client(read_cosmos(cloud.environment)) as account:
        await cosmos.ensure(account, DATABASE, CONTAINERS)
    async with open_versions(cloud.environment) as found:
        for version in (1, 2):
            await make_version(found, version)
            await make_documents(found, version)
        yield found


class Reader:
    """Reads without end, and holds every answer to be of one version. `answers` counts them, `lists` those lists that
    were read to their ends. `read_versions` has what was read of each projection."""

    def __init__(self, client: httpx.AsyncClient, seed: int) -> None:
        self._client = client
        self._chance = random.Random(seed)
        self.answers = 0
        self.lists = 0
        self.read_versions: set[tuple[str, int]] = set()

    async def run(self, until: asyncio.Event, pause_s: float) -> None:
        async with self._client:
            while not until.is_set():
                began_s = time.monotonic()
                before = self.answers
                reads = [self._library, self._recent, self._songs, self._song, self._chart, self._plays]
                await self._chance.choice(reads)()
                await asyncio.sleep(max(0.0, pause_s * (self.answers - before) - (time.monotonic() - began_s)))

    async def _get(self, path: str, **params: str | int) -> dict[str, Any]:
        answer = await self._client.get(path, params=params)
        assert answer.status_code == 200, answer.text
        self.answers += 1
        found: dict[str, Any] = answer.json()
        return found

    async def _library(self) -> None:
        seen: list[tuple[int, int]] = []
        cursor: dict[str, str] = {}
        count = 0
        while True:
            body = await self._get("/v1/users/ann/library", limit=5, **cursor)
            seen += [(entry["plays"], of_title(entry["title"])) for entry in body["entries"]]
            count += len(body["entries"])
            if body["next"] is None:
                break
            cursor = {"cursor": body["next"]}
        assert len(set(seen)) == 1, f"a list of several versions: {seen}"
        assert count == SONGS_EACH
        self.read_versions.add((LIBRARY, seen[0][0]))
        self.lists += 1

    async def _recent(self) -> None:
        body = await self._get("/v1/users/ann/recent", limit=50)
        titles = {of_title(listen["title"]) for listen in body["listens"]}
        assert len(titles) == 1, body
        assert len(body["listens"]) in (SONGS_EACH, 2 * SONGS_EACH)

    async def _songs(self) -> None:
        titles: list[int] = []
        cursor: dict[str, str] = {}
        while True:
            body = await self._get("/v1/songs", limit=7, **cursor)
            titles += [of_title(song["title"]) for song in body["songs"]]
            if body["next"] is None:
                break
            cursor = {"cursor": body["next"]}
        assert len(titles) == SONGS_EACH
        assert len(set(titles)) == 1, f"a list of several versions: {titles}"
        self.read_versions.add((SONGS, titles[0]))
        self.lists += 1

    async def _song(self) -> None:
        body = await self._get(f"/v1/songs/song-{self._chance.randrange(SONGS_EACH)}")
        assert of_title(body["song"]["title"]) in (1, 2)

    async def _chart(self) -> None:
        body = await self._get("/v1/charts/top/24h")
        assert len(body["entries"]) == SONGS_EACH
        (version,) = {of_title(entry["title"]) for entry in body["entries"]}
        assert {datetime.fromisoformat(body[field]) for field in ("asOf", "completeThrough")} == {moment(version)}
        self.read_versions.add((CHARTS, version))

    async def _plays(self) -> None:
        song, until = self._chance.randrange(SONGS_EACH), NOW.replace(hour=0).isoformat()
        body = await self._get(f"/v1/songs/song-{song}/plays", until=until, hours=2 * HOURS)
        assert len(body["hours"]) == 2 * HOURS
        (version,) = {hour["listens"] for hour in body["hours"]}
        self.read_versions.add((PLAYS, version))


def of_title(title: str) -> int:
    """The version that a title is of."""
    return int(title.rpartition(" ")[2])


@pytest.fixture
def api(cloud: LocalCloud, services: VersionServices, tmp_path: Path) -> Iterator[ApiProcess]:
    process = ApiProcess(cloud.environment, tmp_path / "api.log").start()
    yield process
    process.kill()


async def test_no_read_fails_and_none_is_of_two_versions(services: VersionServices, api: ApiProcess) -> None:
    until, readers = asyncio.Event(), [Reader(api.client(), seed) for seed in range(8)]
    reading = [asyncio.create_task(one.run(until, len(readers) / READS_A_SECOND)) for one in readers]
    seen: set[tuple[str, int]] = set()

    async def all_are_read(version: int) -> None:
        """Return once every projection was read in this version."""
        for one in readers:
            one.read_versions.clear()

        async def are_read() -> bool:
            for one in reading:
                if one.done():
                    one.result()
            seen.update(*(one.read_versions for one in readers))
            return {(projection, version) for projection in VERSIONED} <= {
                read for one in readers for read in one.read_versions
            }

        await wait_for_async(are_read, f"all projections to be read in version {version}")

    try:
        for turn in range(SWITCHES):
            await all_are_read(2 if turn % 2 else 1)
            for projection in VERSIONED:
                switcher = services.switcher(VERSIONED[projection])
                if turn % 2:
                    await switcher.roll_back(force=False)
                else:
                    await switcher.switch(2, force=False)
            live = [(await services.store.live(projection)).version for projection in VERSIONED]
            assert live == [1 if turn % 2 else 2] * len(VERSIONED)
            assert not [one for one in reading if one.done()]
        await all_are_read(1 if turn % 2 else 2)
    finally:
        until.set()
        results = await asyncio.gather(*reading, return_exceptions=True)
    assert results == [None] * len(readers)
    assert seen == {(projection, version) for projection in VERSIONED for version in (1, 2)}

    # A list whose version is dropped says so; the live one goes on.
    async with api.client() as client:
        if (await services.store.live(LIBRARY)).version != 2:
            await services.switcher(VERSIONED[LIBRARY]).switch(2, force=False)
        first = await wait_for_async(partial(first_page, client, 2), "the API to serve version 2")
        assert first is not None
        await services.switcher(VERSIONED[LIBRARY]).roll_back(force=False)
        await wait_for_async(partial(first_page, client, 1), "the API to serve version 1 again")
        following = await client.get("/v1/users/ann/library", params={"limit": 5, "cursor": first["next"]})
        assert [entry["plays"] for entry in following.json()["entries"]] == [2] * 5
        await services.switcher(VERSIONED[LIBRARY]).drop(2)
        gone = await client.get("/v1/users/ann/library", params={"limit": 5, "cursor": first["next"]})
        assert (gone.status_code, "was dropped" in gone.text) == (400, True)
        assert (await client.get("/v1/users/ann/library")).status_code == 200

        # Nothing is guessed where the live document is damaged, and other projections are served.
        projections = cosmos.container(services.account, DATABASE, PROJECTIONS)
        await projections.upsert_item({"id": LIBRARY, "version": 0, "shelves": 4})

        async def is_told() -> bool:
            damaged = await client.get("/v1/users/ann/library")
            return damaged.status_code == 503 and "songline projection switch library" in damaged.text

        await wait_for_async(is_told, "the API to say what is damaged, and what mends it")
        assert (await client.get("/v1/songs")).status_code == 200
        report = (await client.get("/health/progress")).json()
        assert [one["cause"] for one in report["reasons"]] == ["version-unknown"]
        await services.switcher(VERSIONED[LIBRARY]).switch(1, force=True)
        await wait_for_async(partial(first_page, client, 1), "the API to serve the version that was chosen")


async def first_page(client: httpx.AsyncClient, version: int) -> dict[str, Any] | None:
    """The first page of a library, None where it is not of this version: the API hears of a switch a moment later."""
    body: dict[str, Any] = (await client.get("/v1/users/ann/library", params={"limit": 5})).json()
    return body if [entry["plays"] for entry in body.get("entries", ())] == [version] * 5 else None
