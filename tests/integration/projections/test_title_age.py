"""Names of songs in answers of a given age: they are cached, and are no older either."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import msgspec
import pytest
from azure.cosmos.aio import ContainerProxy, CosmosClient
from msgspec import structs

from songline.cloud import cosmos
from songline.processors.catalog.match_store import MatchStore
from songline.processors.catalog.song_store import SongStore
from songline.projections.songs.titles import LASTS
from songline.schemas import examples
from songline.schemas.channels import CHARTS, DATABASE, NAMES, SONGS
from songline.schemas.documents import CURRENT, chart_key, snapshot_id
from songline.schemas.name_matches import MatchStatement
from songline.schemas.progress import PROGRESS, Freshness
from songline.schemas.song_names import SongName, song_name
from tests.support.catalog import stated
from tests.support.waiting import wait_for_async

NOON = datetime(2026, 11, 20, 12, 0, 3, tzinfo=UTC)
SOON = LASTS * 2 / 3
"""Seconds before what is cached would be read again by itself."""


@pytest.fixture
def charts(database: CosmosClient) -> ContainerProxy:
    return cosmos.container(database, DATABASE, CHARTS)


def nobody_has_named() -> SongName:
    return song_name(f"Quiet Street {uuid4()}", ("Benno Falk",))


async def test_names_in_charts_of_before_are_as_young_as_asked(
    database: CosmosClient, charts: ContainerProxy, songs_api: httpx.AsyncClient
) -> None:
    store, scope = SongStore(cosmos.container(database, DATABASE, SONGS)), "genre:renamed"
    document = msgspec.to_builtins(structs.replace(examples.CHART, scope=scope, as_of=NOON))
    key = chart_key("top", "1h", scope)
    await charts.upsert_item({**document, "id": snapshot_id(NOON), "chart": key})
    whole = Freshness(as_of=NOON, complete_through=NOON + timedelta(days=1), position={})
    await charts.upsert_item({**msgspec.to_builtins(whole), "id": PROGRESS, "chart": PROGRESS})
    hour = {"scope": scope, "since": "2026-11-20T12:00:00Z", "until": "2026-11-20T13:00:00Z"}

    async def rename(position: int, title: str) -> None:
        song = structs.replace(examples.SONG, id="song-42", title=title)
        await store.apply(song.id, "1", [stated(song, position)])

    async def title(**params: str) -> str:
        answer = await songs_api.get("/v1/charts/top/1h/history", params={**hour, **params})
        found: str = answer.json()["charts"][0]["entries"][0]["title"]
        return found

    await rename(1, "Old Name")
    assert await title() == "Old Name"
    await rename(2, "New Name")

    async def is_new() -> bool:
        return await title(maxStaleness="1s") == "New Name"

    await wait_for_async(is_new, "the name that the song has now", SOON)


async def test_words_in_a_chart_are_as_young_as_asked(
    database: CosmosClient, charts: ContainerProxy, songs_api: httpx.AsyncClient
) -> None:
    words, scope = nobody_has_named(), "genre:named"
    (entry,) = examples.CHART.entries
    entries = [structs.replace(entry, song_id=words.id, title=None, artist=None)]

    async def title(**params: str) -> str | None:
        # It grows old by itself.
        now = datetime.now(UTC)
        chart = structs.replace(examples.CHART, scope=scope, as_of=now, complete_through=now, entries=entries)
        document = {**msgspec.to_builtins(chart), "id": CURRENT, "chart": chart_key("top", "1h", scope)}
        await charts.upsert_item(document)
        answer = await songs_api.get("/v1/charts/top/1h", params={"scope": scope, **params})
        found: str | None = answer.json()["entries"][0]["title"] if answer.status_code == 200 else None
        return found

    assert await title() is None
    await cosmos.container(database, DATABASE, NAMES).upsert_item(msgspec.to_builtins(words))

    async def is_named() -> bool:
        return await title(maxStaleness="1s") == words.title

    await wait_for_async(is_named, "the words of a song that is known by name only", SOON)


async def test_words_of_a_match_are_those_of_now(database: CosmosClient, songs_api: httpx.AsyncClient) -> None:
    words, names = nobody_has_named(), cosmos.container(database, DATABASE, NAMES)
    said = MatchStatement(said_s=1, partition=0, position=0, from_s=1, song_id="song-42")
    await MatchStore(names, lambda: 1.0).apply(words.id, said)

    async def title() -> str | None:
        listed = (await songs_api.get("/v1/matches", params={"limit": 1000})).json()["matches"]
        (of_list,) = [one["title"] for one in listed if one["name"] == words.id]
        found: str | None = (await songs_api.get(f"/v1/matches/{words.id}")).json()["title"]
        assert of_list == found
        return found

    assert await title() is None
    await names.upsert_item(msgspec.to_builtins(words))
    assert await title() == words.title
