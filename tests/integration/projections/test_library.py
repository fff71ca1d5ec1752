"""Listeners' libraries over HTTP, from documents as the workers leave them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import httpx
import msgspec
import pytest
from azure.cosmos.aio import CosmosClient
from msgspec import structs

from songline.cloud import cosmos, eventhubs
from songline.cloud.settings import read_cosmos, read_eventhubs
from songline.processes.entities import CONTAINERS
from songline.processors.catalog.song_store import SongStore
from songline.processors.library import shelf_store
from songline.processors.library.shelf_store import ShelfStore
from songline.processors.runtime.watermark_store import WatermarkStore
from songline.projections.api import create
from songline.projections.library import library_reader, queries
from songline.projections.live_version import KEPT_S
from songline.projections.songs.titles import LASTS, TitleCache
from songline.projections.store import DocumentStore
from songline.schemas import examples
from songline.schemas.channels import CHARTS, DATABASE, LIBRARY, LIBRARY_SHELVES, MUSIC_EVENTS, PROJECTIONS, SONGS
from songline.schemas.documents import CURRENT, chart_key
from songline.schemas.library.action import Kind, UserAction, event_mark, microseconds
from songline.schemas.library.node import RootDocument
from songline.schemas.library.shelf import path_of, shelf_key, shelf_of
from songline.schemas.progress import PROGRESS, Freshness, Watermark
from songline.schemas.projections import LiveVersionDocument, container_of
from songline.schemas.songs import Song
from tests.support.catalog import stated, taken_away
from tests.support.localcloud import LocalCloud
from tests.support.waiting import wait_for_async

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SHELVES = 4
POSITIONS = count()


@pytest.fixture
async def database(shared_localcloud: LocalCloud) -> AsyncIterator[CosmosClient]:
    async with cosmos.client(read_cosmos(shared_localcloud.environment)) as client:
        await cosmos.ensure(client, DATABASE, CONTAINERS)
        live = LiveVersionDocument(id=LIBRARY, version=1, shelves=SHELVES)
        await cosmos.container(client, DATABASE, PROJECTIONS).upsert_item(msgspec.to_builtins(live))
        yield client


class Libraries:
    """Libraries as the worker writes them."""

    def __init__(self, database: CosmosClient) -> None:
        self.shelves = ShelfStore(cosmos.container(database, DATABASE, LIBRARY_SHELVES), room_kb=1_000)

    async def apply(self, user_id: str, actions: Sequence[UserAction]) -> None:
        """Write the actions, made the listener's and partition 1's. A shelf's positions rise."""
        shelf = shelf_key(1, shelf_of(user_id, SHELVES))
        first = next(POSITIONS) * 1_000
        mine = [each._replace(user_id=user_id, position=first + each.position) for each in actions]
        await self.shelves.apply(shelf, 1, mine)


@pytest.fixture
def libraries(database: CosmosClient) -> Libraries:
    return Libraries(database)


@pytest.fixture
async def api(shared_localcloud: LocalCloud, database: CosmosClient) -> AsyncIterator[httpx.AsyncClient]:
    app = create(read_cosmos(shared_localcloud.environment))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://songline") as client,
    ):
        yield client


def act(position: int, kind: Kind, song_id: str, minute: int = 0) -> UserAction:
    ms = 40_000 if kind == "listen" else 0
    at_us = microseconds(NOON + timedelta(minutes=minute))
    return UserAction("", song_id, at_us, event_mark(f"{position} {song_id}"), kind, 1, position, ms)


async def pages(api: httpx.AsyncClient, user_id: str, **params: str | int) -> list[list[str]]:
    """The songs of every page."""
    found, asked = [], dict(params)
    while True:
        answer = await api.get(f"/v1/users/{user_id}/library", params=asked)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        found.append([entry["songId"] for entry in body["entries"]])
        if body["next"] is None:
            return found
        asked["cursor"] = body["next"]


async def name(database: CosmosClient, **titles: str) -> None:
    songs = SongStore(cosmos.container(database, DATABASE, SONGS))
    for song_id, title in titles.items():
        song = Song(id=song_id, user_id="u", title=title, artist="Nova Reed", duration_ms=1, uploaded_at=NOON)
        await songs.apply(song_id, "0", [stated(song)])


async def test_lists_are_filtered_sorted_and_paged(
    libraries: Libraries, api: httpx.AsyncClient, database: CosmosClient
) -> None:
    await name(database, lib_a="Zebra", lib_b="älter", lib_c="Aal")
    await libraries.apply(
        "lister",
        [
            act(0, "listen", "lib_a", 1),
            act(1, "listen", "lib_b", 2),
            act(2, "listen", "lib_a", 3),
            act(3, "like", "lib_b", 9),
            act(4, "like", "lib_c", 4),
            act(5, "upload", "lib_d", 5),
            act(6, "like", "lib_e", 6),
            act(7, "unlike", "lib_e", 7),
        ],
    )
    # Of a song that was never played, the moment at which it came in is what is recent.
    assert await pages(api, "lister", limit=3) == [["lib_d", "lib_c", "lib_a"], ["lib_b"]]
    assert await pages(api, "lister", limit=1, filter="liked") == [["lib_b"], ["lib_c"]]
    assert await pages(api, "lister", filter="played") == [["lib_a", "lib_b"]]
    assert await pages(api, "lister", filter="uploaded") == [["lib_d"]]
    assert await pages(api, "lister", sort="plays", limit=2) == [["lib_a", "lib_b"], ["lib_d", "lib_c"]]
    # What the catalog does not know comes last.
    assert await pages(api, "lister", sort="title", limit=3) == [["lib_c", "lib_b", "lib_a"], ["lib_d"]]
    entry = (await api.get("/v1/users/lister/library", params={"filter": "played"})).json()["entries"][0]
    assert entry == {
        "songId": "lib_a",
        "title": "Zebra",
        "artist": "Nova Reed",
        "genre": None,
        "plays": 2,
        "msPlayed": 80_000,
        "firstPlayedAt": "2026-11-22T12:01:00Z",
        "lastPlayedAt": "2026-11-22T12:03:00Z",
        "liked": False,
        "likedAt": None,
        "uploaded": False,
        "uploadedAt": None,
    }


@pytest.mark.parametrize("letter", ["\u6f22", "\U0001d54f", "\ufdfa", '"'])
async def test_a_list_by_title_is_paged_whatever_its_titles_are(
    libraries: Libraries, api: httpx.AsyncClient, database: CosmosClient, letter: str
) -> None:
    """A title has 300 letters at most, of up to four bytes each; folded, one of them becomes eighteen."""
    songs = [f"long_{ord(letter):x}_{number}" + "x" * 100 for number in range(3)]
    await name(database, **{song: f"{letter * 299}{number}" for number, song in enumerate(songs)})
    user_id = f"reader-of-{ord(letter):x}"
    await libraries.apply(user_id, [act(number, "listen", song, number) for number, song in enumerate(songs)])
    assert await pages(api, user_id, sort="title", limit=1) == [[song] for song in songs]


async def test_an_upload_of_somebody_elses_song_is_nobodys_but_its_owners(
    libraries: Libraries, api: httpx.AsyncClient, database: CosmosClient
) -> None:
    songs = SongStore(cosmos.container(database, DATABASE, SONGS))
    forged = [f"forged-{number:02}" for number in range(30)]
    await name(database, forged_heard="Heard", forged_gone="Gone", **{each.replace("-", "_"): each for each in forged})
    await songs.apply("forged_gone", "0", [taken_away("u", NOON, 2)])
    mine = ["mine-0", "mine-1", "mine-2"]
    for song_id in mine:
        song = Song(id=song_id, user_id="forger", title=song_id, artist="A", duration_ms=1, uploaded_at=NOON)
        await songs.apply(song_id, "0", [stated(song)])
    uploads = [
        mine[0],
        *(each.replace("-", "_") for each in forged),
        mine[1],
        "forged_heard",
        "forged_gone",
        mine[2],
        "new",
    ]
    acts = [act(number, "upload", song_id, number) for number, song_id in enumerate(uploads)]
    await libraries.apply("forger", [*acts, act(100, "listen", "forged_heard", 50)])
    own = ["new", "mine-2", "mine-1", "mine-0"]
    assert await pages(api, "forger", filter="uploaded", limit=3) == [own[:3], own[3:]]
    assert await pages(api, "forger", filter="uploaded", sort="title") == [["mine-0", "mine-1", "mine-2", "new"]]
    assert await pages(api, "forger", limit=2) == [["forged_heard", "new"], ["mine-2", "mine-1"], ["mine-0"]]
    (by_plays,) = await pages(api, "forger", sort="plays")
    assert (by_plays[0], set(by_plays[1:])) == ("forged_heard", set(own))
    (by_plays,) = await pages(api, "forger", sort="plays")
    assert (by_plays[0], set(by_plays[1:])) == ("forged_heard", set(own))
    entries = (await get(api, "/v1/users/forger/library"))["entries"]
    assert {entry["songId"]: entry["uploaded"] for entry in entries} == {
        "forged_heard": False,
        **dict.fromkeys(own, True),
    }
    assert entries[0]["uploadedAt"] is None
    assert (await get(api, "/v1/users/forger/summary"))["uploaded"] == 4


async def test_a_page_that_ends_in_an_upload_of_somebody_elses_song_is_followed_by_the_rest(
    libraries: Libraries, api: httpx.AsyncClient, database: CosmosClient
) -> None:
    """The song is in its place by an upload that does not show, and was liked long before."""
    await name(database, claimed_song="Claimed")
    acts = [act(0, "like", "claimed_song", 1), *(act(n, "listen", f"claimer-{n}", 10 * n) for n in range(1, 4))]
    await libraries.apply("claimer", [*acts, act(4, "upload", "claimed_song", 50)])
    rest = ["claimer-3", "claimer-2", "claimer-1"]
    assert await pages(api, "claimer", limit=1) == [["claimed_song"], *([song] for song in rest)]
    entry = (await get(api, "/v1/users/claimer/library", limit=1))["entries"][0]
    assert (entry["uploaded"], entry["uploadedAt"], entry["likedAt"]) == (False, None, "2026-11-22T12:01:00Z")


async def test_titles_are_remembered_for_half_a_minute(database: CosmosClient) -> None:
    now = 100.0
    titles = TitleCache(DocumentStore(cosmos.container(database, DATABASE, SONGS)), lambda: now)
    await name(database, known="One")
    first = await titles.of(["known", "unknown"])
    assert {song_id: title and title.title for song_id, title in first.items()} == {"known": "One", "unknown": None}
    assert await titles.of(["later"]) == {"later": None}
    await name(database, unknown="Two", later="Three")
    now += LASTS - 1
    assert (await titles.of(["unknown"]))["unknown"] is None
    # Who asks for what is no older than this gets what was read no longer ago; the others get it, too.
    assert (await titles.within(LASTS).of(["unknown"]))["unknown"] is None
    within = (await titles.within(LASTS - 1).of(["unknown"]))["unknown"]
    assert within is not None
    assert within.title == "Two"
    assert (await titles.of(["unknown"]))["unknown"] == within
    assert await titles.of(["later"]) == {"later": None}
    now += 1
    assert [title and title.title for title in (await titles.of(["later"])).values()] == ["Three"]


async def test_the_last_listens_and_the_sum(libraries: Libraries, api: httpx.AsyncClient) -> None:
    await libraries.apply("summed", [act(n, "listen", f"sum-{n % 2}", n) for n in range(60)])
    recent = (await api.get("/v1/users/summed/recent", params={"limit": 2})).json()
    assert [(one["songId"], one["at"], one["title"]) for one in recent["listens"]] == [
        ("sum-1", "2026-11-22T12:59:00Z", None),
        ("sum-0", "2026-11-22T12:58:00Z", None),
    ]
    assert len((await api.get("/v1/users/summed/recent")).json()["listens"]) == 50
    summary = (await api.get("/v1/users/summed/summary")).json()
    assert {key: summary[key] for key in ("userId", "listens", "msPlayed", "songs", "liked", "firstListenAt")} == {
        "userId": "summed",
        "listens": 60,
        "msPlayed": 60 * 40_000,
        "songs": 2,
        "liked": 0,
        "firstListenAt": "2026-11-22T12:00:00Z",
    }


async def test_nobody_is_unknown(api: httpx.AsyncClient) -> None:
    assert await pages(api, "nobody") == [[]]
    assert (await api.get("/v1/users/nobody/recent")).json()["listens"] == []
    assert (await api.get("/v1/users/nobody/summary")).json()["listens"] == 0


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("library?cursor=nonsense", "cursor"),
        ("library?limit=0", "limit"),
        ("library?sort=artist", "sort"),
        ("library?filter=hated", "filter"),
        ("recent?limit=51", "limit"),
        ("summary?min_position=2", "min_position"),
        ("summary?wait=31", "wait"),
    ],
)
async def test_what_breaks_a_rule_is_named(api: httpx.AsyncClient, path: str, field: str) -> None:
    answer = await api.get(f"/v1/users/lister/{path}")
    assert answer.status_code == 400
    assert [fault["field"] for fault in answer.json()["errors"]] == [field]


async def test_a_large_library_is_folded_and_sorted_in_a_thread(
    libraries: Libraries, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library_reader, "SMALL_LETTERS", 0)
    monkeypatch.setattr(queries, "LARGE_SONGS", 0)
    songs = [f"large-{number:03}" for number in range(250)]
    await libraries.apply("collector", [act(number, "listen", song, number) for number, song in enumerate(songs)])
    found = await pages(api, "collector", limit=100)
    assert [len(page) for page in found] == [100, 100, 50]
    assert [song for page in found for song in page] == songs[::-1]
    # What is heard meanwhile is in the next read, though the library is cached.
    await libraries.apply("collector", [act(0, "listen", songs[0], 500)])
    assert (await pages(api, "collector", limit=100))[0][0] == songs[0]
    assert (await get(api, "/v1/users/collector/summary"))["listens"] == 251


@pytest.mark.parametrize("damage", ["a run that is none", "a run of a newer version", "a node that is missing"])
async def test_a_shelf_that_is_damaged_is_told(
    database: CosmosClient, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    monkeypatch.setattr(library_reader, "PATIENCE_S", 0.3)
    # A listener on a shelf where nobody else is, since it is of no use to others.
    user_id = f"damaged-{damage.split()[-1]}"
    live = LiveVersionDocument(id=LIBRARY, version=9, shelves=1)
    versions = cosmos.container(database, DATABASE, PROJECTIONS)
    root = RootDocument(shelf=shelf_key(9, 0), flushes=1)
    if damage == "a node that is missing":
        root = structs.replace(root, pushed={path_of(user_id)[1]: 1})
    else:
        root = structs.replace(root, runs=("AAAA" if "newer" not in damage else "/w==",))
    name = container_of(LIBRARY, live.version)
    await cosmos.ensure(database, DATABASE, (structs.replace(shelf_store.CONTAINER, name=name),))
    await cosmos.container(database, DATABASE, name).upsert_item(msgspec.to_builtins(root))
    await versions.upsert_item(msgspec.to_builtins(live))
    try:
        await asyncio.sleep(KEPT_S)
        answer = await api.get(f"/v1/users/{user_id}/library")
    finally:
        await versions.upsert_item(msgspec.to_builtins(structs.replace(live, version=1, shelves=SHELVES)))
    assert answer.status_code == 503
    assert "Retry-After" in answer.headers
    assert "'v9-0'" in answer.json()["detail"]


async def test_positions_of_a_hub_that_was_there_before_are_none_of_this_one(
    shared_localcloud: LocalCloud, database: CosmosClient
) -> None:
    wires = read_eventhubs(shared_localcloud.environment)
    async with eventhubs.producer(wires, MUSIC_EVENTS) as hub:
        created_at = (await hub.get_eventhub_properties())["created_at"]
    positions = WatermarkStore(cosmos.container(database, DATABASE, LIBRARY_SHELVES), "shelf")
    await positions.add(("11", "12", "13"))
    await positions.advance("11", Watermark(position=6, through=NOON, created_at=created_at))
    await positions.advance(
        "12", Watermark(position=6, through=NOON, created_at=created_at - timedelta(milliseconds=1))
    )
    # The worker has heard of a hub that was made later still, of which the API hears in a moment.
    await positions.advance("13", Watermark(position=6, through=NOON, created_at=created_at + timedelta(hours=1)))
    app = create(read_cosmos(shared_localcloud.environment), hubs=wires)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://songline") as client,
    ):

        async def is_known() -> bool:
            position = (await get(client, "/v1/users/reader/summary"))["position"]
            return [position[one] for one in ("11", "12", "13")] == [6, -1, 6]

        # Reads that wait for nothing hear of the hub as well.
        await wait_for_async(is_known, "the position of an earlier hub to be none")
        there = await client.get("/v1/users/reader/summary", params={"min_position": "11:6", "wait": 0})
        assert there.status_code == 200, there.text
        assert (there.json()["position"]["11"], there.json()["position"]["12"]) == (6, -1)
        gone = await client.get("/v1/users/reader/summary", params={"min_position": "12:2", "wait": 0})
        assert gone.status_code == 503
        assert "partition 12 is at -1, wanted 2" in gone.json()["detail"]


async def test_a_reader_waits_until_what_he_wrote_is_there(api: httpx.AsyncClient, database: CosmosClient) -> None:
    positions = WatermarkStore(cosmos.container(database, DATABASE, LIBRARY_SHELVES), "shelf")
    await positions.add(("7", "8"))
    await positions.advance("7", Watermark(position=6, through=NOON))
    late = await api.get("/v1/users/reader/summary", params={"min_position": "7:7", "wait": 0.2})
    assert late.status_code == 503
    assert late.headers["Retry-After"] == "1"
    assert "partition 7 is at 6, wanted 7" in late.json()["detail"]
    waiting = asyncio.create_task(get(api, "/v1/users/reader/library", min_position="7:7", wait=20))
    await positions.advance("7", Watermark(position=7, through=NOON))
    assert (await waiting)["position"]["7"] == 7
    assert (await get(api, "/v1/users/reader/recent", min_position="7:7"))["listens"] == []


async def test_a_chart_waits_too(api: httpx.AsyncClient, database: CosmosClient) -> None:
    key = chart_key("top", "7d", "genre:waiting")
    chart = structs.replace(examples.CHART, window="7d", scope="genre:waiting", position={"0": 5})
    container = cosmos.container(database, DATABASE, CHARTS)
    await container.upsert_item({"id": CURRENT, "chart": key, **msgspec.to_builtins(chart)})
    path = "/v1/charts/top/7d?scope=genre:waiting"
    assert (await get(api, f"{path}&min_position=0:5"))["position"] == {"0": 5}
    late = await api.get(f"{path}&min_position=0:6&wait=0.1")
    assert late.status_code == 503
    assert "partition 0 is at 5, wanted 6" in late.json()["detail"]
    fresh = Freshness(as_of=chart.as_of + timedelta(seconds=1), complete_through=None, position={"0": 6})
    await container.upsert_item({"id": PROGRESS, "chart": PROGRESS, **msgspec.to_builtins(fresh)})
    try:
        told = await get(api, f"{path}&min_position=0:6&wait=0.1")
    finally:
        await container.delete_item(PROGRESS, PROGRESS)
    assert msgspec.convert(told, Freshness) == fresh
    assert len(told["entries"]) == len(chart.entries)


async def get(api: httpx.AsyncClient, path: str, **params: Any) -> dict[str, Any]:
    answer = await api.get(path, params=params or None)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body
