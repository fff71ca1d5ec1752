"""Reads that allow an age, with workers that run, stand still, or were never started."""

import os
import signal
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest
from azure.cosmos.aio import ContainerProxy
from msgspec import structs

from songline.cloud import cosmos
from songline.cloud.settings import read_cosmos, read_eventhubs
from songline.projections import hub_ends
from songline.projections.api import create
from songline.schemas.channels import CHARTS, DATABASE
from songline.schemas.documents import CURRENT, chart_key
from songline.schemas.envelope import Event
from songline.schemas.events import SongLiked
from songline.schemas.examples import CHART
from songline.schemas.progress import PROGRESS, ChartsFreshness
from tests.support.library import Libraries, LibraryWorker, libraries_on
from tests.support.localcloud import LocalCloud
from tests.support.waiting import wait_for_async

# It writes what it has read to the end seldom: an idle hub is asked for its ends.
SELDOM = {"SONGLINE_LIBRARY_FLUSH": "0.2", "SONGLINE_LIBRARY_LOOK": "300", "SONGLINE_LIBRARY_BALANCE": "0.5"}
ANA = "/v1/users/ana/summary"
SONG = "/v1/songs/song-1/history"


@pytest.fixture
async def hub(song_cloud: LocalCloud) -> AsyncIterator[Libraries]:
    async with libraries_on(song_cloud) as found:
        yield found


@pytest.fixture
async def api(song_cloud: LocalCloud, hub: Libraries) -> AsyncIterator[httpx.AsyncClient]:
    environment = song_cloud.environment
    app = create(read_cosmos(environment), hubs=read_eventhubs(environment))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://songline", timeout=60) as client,
    ):
        yield client


@pytest.fixture
def worker(song_cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LibraryWorker]:
    found = LibraryWorker(song_cloud, tmp_path_factory.mktemp("worker") / "log", SELDOM).start()
    yield found
    found.kill()


def liked(song_id: str) -> Event:
    return Event(
        id=f"like-{song_id}", source="/tests", time=datetime.now(UTC), data=SongLiked(user_id="ana", song_id=song_id)
    )


async def answered(api: httpx.AsyncClient, path: str, allowed: str, **params: str) -> dict[str, Any]:
    """The answer, once there is one, which keeps the age that is allowed."""
    found: list[dict[str, Any]] = []

    async def is_answered() -> bool:
        response = await api.get(path, params={"maxStaleness": allowed, **params})
        if response.status_code == 200:
            found.append(response.json())
        return bool(found)

    await wait_for_async(is_answered, f"{path} no older than {allowed}")
    return found[0]


def refusal(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 503, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert int(response.headers["retry-after"]) >= 1
    body: dict[str, Any] = response.json()
    assert body["title"] == "Too stale"
    return body


async def test_an_answer_is_as_young_as_asked_or_none_comes(
    api: httpx.AsyncClient, hub: Libraries, worker: LibraryWorker
) -> None:
    await hub.tell(liked("song-1"), partition="1")
    # The answer says itself how old it is.
    first = await answered(api, ANA, "5s", min_position="1:0")
    assert first["liked"] == 1
    assert datetime.fromisoformat(first["asOf"]) - datetime.fromisoformat(first["completeThrough"]) <= timedelta(
        seconds=5
    )

    async def has_written_all() -> bool:
        return (await api.get(ANA)).json()["completeThrough"] is not None

    # What the first answer said of partitions without events is of the hub: the worker may not have taken them yet.
    await wait_for_async(has_written_all, "the worker to write how far each partition is")
    os.kill(worker.pid, signal.SIGSTOP)
    try:
        # Of an idle hub nothing is missing, though nobody writes that any more. What the worker wrote last is old soon.
        async def has_aged() -> bool:
            through = (await api.get(ANA)).json()["completeThrough"]
            return datetime.now(UTC) - datetime.fromisoformat(through) > timedelta(seconds=2)

        await wait_for_async(has_aged, "what the worker wrote to be two seconds old")
        asked_at = datetime.now(UTC)
        assert (await answered(api, ANA, "2s"))["liked"] == 1
        await hub.tell(liked("song-2"), partition="1")

        async def is_refused() -> bool:
            return (await api.get(ANA, params={"maxStaleness": "2s"})).status_code == 503

        await wait_for_async(is_refused, "an answer that lacks an event to be too old")
        body = refusal(await api.get(ANA, params={"maxStaleness": "2s"}))
        # Up to the last question for the hub's ends, which is asked again after KEPT_S; the age is rounded.
        assert 2 <= body["age"] <= (datetime.now(UTC) - asked_at).total_seconds() + hub_ends.KEPT_S + 0.1
        assert "saw that they lack what the hub got in the last" in body["detail"]
        assert "expected 2s at most" in body["detail"]
        for path in ("/v1/users/ana/library", "/v1/users/ana/recent", "/v1/users/bob/summary"):
            refusal(await api.get(path, params={"maxStaleness": "2s"}))
        # Who allows more, or says nothing, has an answer.
        for params in ({"maxStaleness": "1d"}, {}):
            assert (await api.get(ANA, params=params)).json()["liked"] == 1
        # The catalog's worker was never started.
        unknown = refusal(await api.get("/v1/songs", params={"maxStaleness": "1d"}))
        assert "age" not in unknown
        assert "is not known, for the catalog worker has not said it" in unknown["detail"]
        # The position is waited for first.
        behind = await api.get(ANA, params={"min_position": "1:1", "wait": "0", "maxStaleness": "1d"})
        assert (behind.status_code, behind.json()["title"]) == (503, "Not there yet")
    finally:
        os.kill(worker.pid, signal.SIGCONT)
    assert (await answered(api, ANA, "5s", min_position="1:1"))["liked"] == 2


async def test_a_chart_is_as_old_as_what_is_counted_in_it(song_cloud: LocalCloud, api: httpx.AsyncClient) -> None:
    async with cosmos.client(read_cosmos(song_cloud.environment)) as database:
        charts = cosmos.container(database, DATABASE, CHARTS)
        await charts.upsert_item(
            {**msgspec.to_builtins(CHART), "id": CURRENT, "chart": chart_key("top", "1h", "global")}
        )
        paths = ("/v1/charts/top/1h", "/v1/charts/top/1h/history", SONG, "/v1/live")
        for path in paths:
            refusal(await api.get(path, params={"maxStaleness": "5s"}))
        now = datetime.now(UTC)
        await write(charts, now - timedelta(seconds=90))
        for path in paths:
            assert refusal(await api.get(path, params={"maxStaleness": "5s"}))["age"] >= 90
        for path in paths[:3]:
            assert (await api.get(path, params={"maxStaleness": "1h"})).status_code == 200
        # Nothing that came later is in a chart of an hour that is over.
        before = {"maxStaleness": "5s", "until": (now - timedelta(minutes=2)).isoformat()}
        assert (await api.get("/v1/charts/top/1h/history", params=before)).status_code == 200
        fresh = await api.get(paths[0], params={"maxStaleness": "1h"})
        # A cache would make it older.
        assert fresh.headers["cache-control"] == "no-cache"
        known = {"If-None-Match": fresh.headers["etag"]}
        assert (await api.get(paths[0], params={"maxStaleness": "1h"}, headers=known)).status_code == 304
        assert (await api.get(paths[0], params={"maxStaleness": "5s"}, headers=known)).status_code == 503
        refusal(await api.get("/v1/songs/song-1/plays", params={"maxStaleness": "5s"}))


async def test_a_history_is_as_old_as_a_chart_that_could_not_be_written(
    song_cloud: LocalCloud, api: httpx.AsyncClient
) -> None:
    key = chart_key("top", "1h", "region:AT")
    async with cosmos.client(read_cosmos(song_cloud.environment)) as database:
        charts = cosmos.container(database, DATABASE, CHARTS)
        now = datetime.now(UTC)

        async def statuses() -> list[int]:
            allowed = {"maxStaleness": "1m"}
            scopes = ("region:AT", "region:BE", "global")
            found = [await api.get("/v1/charts/top/1h/history", params={**allowed, "scope": one}) for one in scopes]
            return [one.status_code for one in [*found, await api.get(SONG, params=allowed)]]

        await write(charts, now)
        assert await statuses() == [200, 200, 200, 200]
        await write(charts, now, refused=(key,))
        assert await statuses() == [503, 200, 200, 200], "it was never written"
        stored = structs.replace(CHART, complete_through=now - timedelta(seconds=30))
        await charts.upsert_item({**msgspec.to_builtins(stored), "id": CURRENT, "chart": key})
        assert await statuses() == [200, 200, 200, 200]
        stored = structs.replace(CHART, complete_through=now - timedelta(seconds=90))
        for one in (key, chart_key("top", "24h", "global")):
            await charts.upsert_item({**msgspec.to_builtins(stored), "id": CURRENT, "chart": one})
        await write(charts, now, refused=(key, chart_key("top", "24h", "global")))
        assert await statuses() == [503, 200, 200, 503]


async def write(charts: ContainerProxy, through: datetime, refused: tuple[str, ...] = ()) -> None:
    """How fresh all charts are, but those that the store refuses."""
    fresh = ChartsFreshness(as_of=through, complete_through=through, position={"0": 3}, refused=refused)
    await charts.upsert_item({**msgspec.to_builtins(fresh), "id": PROGRESS, "chart": PROGRESS})
