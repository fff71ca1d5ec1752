"""The read API over documents that `azure-cosmos` wrote into a real container."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest
from azure.cosmos.aio import ContainerProxy
from msgspec import structs

from songline.cloud import cosmos, eventhubs
from songline.cloud.settings import read_eventhubs
from songline.processes.entities import CONTAINERS
from songline.projections.api import create
from songline.schemas import examples
from songline.schemas.channels import CHARTS, DATABASE, MUSIC_EVENTS, NAMES
from songline.schemas.documents import CURRENT, Chart, ChartEntry, chart_key
from songline.schemas.progress import PROGRESS, ChartsFreshness, Freshness
from songline.schemas.song_names import song_name
from tests.support.localcloud import LocalCloud
from tests.support.waiting import wait_for_async

LINES = [
    ChartEntry(
        rank=rank,
        song_id=f"song-{rank}",
        title="Title",
        artist="Ärtist",
        genre="indie",
        listens=200 - rank,
        likes=rank,
        score=float(200 - rank),
        previous_rank=None,
    )
    for rank in range(1, 101)
]
GLOBAL = structs.replace(examples.CHART, entries=LINES)
GERMANY = structs.replace(
    examples.CHART,
    scope="region:DE",
    as_of=datetime(2026, 11, 22, 13, 59, 58, tzinfo=UTC),
    position={"0": 1200, "1": 1187},
    entries=LINES[:3],
)


@pytest.fixture
def localcloud(shared_localcloud: LocalCloud) -> LocalCloud:
    """One for all tests here: each has a container of its own time."""
    return shared_localcloud


@pytest.fixture
async def container(localcloud: LocalCloud) -> AsyncIterator[ContainerProxy]:
    async with cosmos.client(localcloud.settings().cosmos) as client:
        await cosmos.ensure(client, DATABASE, CONTAINERS)
        yield cosmos.container(client, DATABASE, CHARTS)
        await client.get_database_client(DATABASE).delete_container(CHARTS)


@pytest.fixture
async def api(localcloud: LocalCloud) -> AsyncIterator[httpx.AsyncClient]:
    app = create(localcloud.settings().cosmos)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://songline") as client,
    ):
        yield client


async def write(container: ContainerProxy, chart: Chart) -> None:
    key = chart_key(chart.kind, chart.window, chart.scope)
    await container.upsert_item({**msgspec.to_builtins(chart), "id": CURRENT, "chart": key})


def freshness(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: answer[name] for name in ("asOf", "completeThrough", "position")}


async def test_a_chart_is_served_as_it_was_written(container: ContainerProxy, api: httpx.AsyncClient) -> None:
    await write(container, GLOBAL)
    await write(container, GERMANY)
    world = await api.get("/v1/charts/top/1h")
    assert world.status_code == 200
    assert world.json() == msgspec.to_builtins(GLOBAL)
    assert msgspec.json.decode(world.content, type=Chart) == GLOBAL
    germany = await api.get("/v1/charts/top/1h", params={"scope": "region:DE"})
    assert msgspec.json.decode(germany.content, type=Chart) == GERMANY


async def test_a_limit_cuts_the_lines_and_nothing_else(container: ContainerProxy, api: httpx.AsyncClient) -> None:
    await write(container, GLOBAL)
    answer = (await api.get("/v1/charts/top/1h", params={"limit": 7})).json()
    assert answer == {**msgspec.to_builtins(GLOBAL), "entries": msgspec.to_builtins(LINES[:7])}


async def test_songs_that_are_known_by_name_only_have_their_words(
    localcloud: LocalCloud, container: ContainerProxy, api: httpx.AsyncClient
) -> None:
    words = song_name(f"Quiet Street {uuid4()}", ("Benno Falk", "Alba Reed"))
    async with cosmos.client(localcloud.settings().cosmos) as client:
        await cosmos.container(client, DATABASE, NAMES).upsert_item(msgspec.to_builtins(words))
    unnamed = [
        structs.replace(LINES[0], song_id=words.id, title=None, artist=None, genre=None),
        structs.replace(LINES[1], song_id="name:of-nobody", title=None, artist=None, genre=None),
        structs.replace(LINES[2], title=None, artist=None, genre=None),
    ]
    await write(container, structs.replace(GLOBAL, entries=unnamed))
    shown = (await api.get("/v1/charts/top/1h")).json()["entries"]
    assert [(one["title"], one["artist"]) for one in shown] == [
        (words.title, "Benno Falk, Alba Reed"),
        (None, None),
        (None, None),
    ]


async def test_a_position_in_a_hub_that_was_there_before_is_none_of_this_one(
    localcloud: LocalCloud, container: ContainerProxy
) -> None:
    wires = read_eventhubs(localcloud.environment)
    async with eventhubs.producer(wires, MUSIC_EVENTS) as hub:
        created_at = (await hub.get_eventhub_properties())["created_at"]
    app = create(localcloud.settings().cosmos, hubs=wires)
    asked = {"min_position": "0:3", "wait": "0"}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://songline") as client,
    ):
        for earlier_s, status in ((1, 503), (0, 200)):
            moment = created_at - timedelta(seconds=earlier_s)
            for through in (moment, None):
                await write(container, structs.replace(GLOBAL, as_of=moment, complete_through=through))
                answer = await client.get("/v1/charts/top/1h", params=asked)
                assert answer.status_code == status, answer.text
                # Without a position to wait for, the chart is what it is.
                assert (await client.get("/v1/charts/top/1h")).status_code == 200


@pytest.mark.parametrize("genre", ["джаз", "演歌", "r&b", "हिन्दी"])
async def test_a_genre_of_any_script_has_a_chart(container: ContainerProxy, api: httpx.AsyncClient, genre: str) -> None:
    await write(container, GLOBAL)
    await write(container, structs.replace(GLOBAL, scope=f"genre:{genre}", entries=LINES[:2]))
    for asked in (genre, genre.upper(), f" {genre.title()} "):
        answer = await api.get("/v1/charts/top/1h", params={"scope": f"genre:{asked}"})
        assert answer.status_code == 200, answer.text
        assert answer.json()["scope"] == f"genre:{genre}"
        assert len(answer.json()["entries"]) == 2


@pytest.mark.parametrize("scope", ["region:FR", "genre:polka", "genre:drum & bass"])
async def test_a_scope_without_a_chart_is_empty_and_no_fresher_than_all_charts_are(
    container: ContainerProxy, api: httpx.AsyncClient, scope: str
) -> None:
    """The world's chart may be ahead of the scope's own, which waits to be written for the first time."""
    await write(container, GLOBAL)
    response = await api.get("/v1/charts/top/1h", params={"scope": scope})
    answer = response.json()
    assert (response.status_code, answer["scope"], answer["entries"]) == (200, scope, [])
    assert (answer["completeThrough"], answer["position"]) == (None, {})
    least = Freshness(as_of=GLOBAL.as_of - timedelta(seconds=1), complete_through=None, position={"0": 3})
    await container.upsert_item({**msgspec.to_builtins(least), "id": PROGRESS, "chart": PROGRESS})
    answer = (await api.get("/v1/charts/top/1h", params={"scope": scope})).json()
    assert freshness(answer) == msgspec.to_builtins(least)


async def test_a_chart_that_could_not_be_written_is_no_fresher_than_it_was_stored(
    container: ContainerProxy, api: httpx.AsyncClient
) -> None:
    await write(container, GLOBAL)
    await write(container, GERMANY)
    now = GLOBAL.as_of + timedelta(seconds=1)
    refused = tuple(chart_key("top", "1h", scope) for scope in ("region:DE", "region:FR"))
    least = ChartsFreshness(as_of=now, complete_through=now, position={"0": 9_999}, refused=refused)
    await container.upsert_item({**msgspec.to_builtins(least), "id": PROGRESS, "chart": PROGRESS})

    async def read(scope: str) -> dict[str, Any]:
        return freshness((await api.get("/v1/charts/top/1h", params={"scope": scope})).json())

    assert (await read("global"))["position"] == least.position
    assert (await read("region:DE"))["position"] == GERMANY.position
    assert (await read("region:FR"))["position"] == {}, "it was never written"
    assert (await read("region:SE"))["position"] == least.position


@pytest.mark.parametrize("scope", ["global", "region:FR"])
async def test_before_anything_is_computed_it_says_so(
    container: ContainerProxy, api: httpx.AsyncClient, scope: str
) -> None:
    await write(container, GLOBAL)
    response = await api.get("/v1/charts/trending/24h", params={"scope": scope})
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) > 0
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["title"] == "Not computed yet"


async def test_an_unchanged_chart_is_not_sent_again(container: ContainerProxy, api: httpx.AsyncClient) -> None:
    await write(container, GLOBAL)
    first = await api.get("/v1/charts/top/1h")
    assert first.headers["cache-control"] == "public, max-age=1"
    known = {"If-None-Match": first.headers["etag"]}
    again = await api.get("/v1/charts/top/1h", headers=known)
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert (await api.get("/v1/charts/top/1h", params={"limit": 5}, headers=known)).status_code == 200
    await write(container, structs.replace(GLOBAL, as_of=datetime(2026, 11, 22, 14, 0, 3, tzinfo=UTC)))
    changed = await api.get("/v1/charts/top/1h", headers=known)
    assert (changed.status_code, changed.json()["asOf"]) == (200, "2026-11-22T14:00:03Z")


async def test_it_is_ready_when_the_container_is_there(localcloud: LocalCloud, api: httpx.AsyncClient) -> None:
    missing = await api.get("/health/ready")
    assert missing.status_code == 503
    assert "container 'charts' is not there" in missing.json()["detail"]
    async with cosmos.client(localcloud.settings().cosmos) as client:
        await cosmos.ensure(client, DATABASE, CONTAINERS)

    async def is_ready() -> bool:
        return (await api.get("/health/ready")).status_code == 200

    # What was found a moment ago is told to all who ask.
    await wait_for_async(is_ready, "the API to be ready")


async def test_it_comes_back_when_the_store_does(
    container: ContainerProxy, localcloud: LocalCloud, api: httpx.AsyncClient
) -> None:
    await write(container, GLOBAL)
    localcloud.kill()
    gone = await api.get("/v1/charts/top/1h")
    assert (gone.status_code, gone.json()["title"]) == (503, "Store unavailable")
    localcloud.restart()
    assert (await api.get("/v1/charts/top/1h")).json() == msgspec.to_builtins(GLOBAL)
