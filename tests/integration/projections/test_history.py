"""Charts of before, as JSON and as tables, from snapshots as the worker writes them."""

import io
from datetime import UTC, datetime, timedelta

import httpx
import msgspec
import polars as pl
import pytest
from azure.cosmos.aio import CosmosClient
from msgspec import structs

from songline.cloud import cosmos
from songline.processors.catalog.song_store import SongStore
from songline.projections.http.negotiation import CSV, PARQUET
from songline.projections.http.tables import SCHEMA
from songline.schemas import examples
from songline.schemas.channels import CHARTS, DATABASE, SONGS
from songline.schemas.documents import CURRENT, Chart, chart_key, snapshot_id
from songline.schemas.songs import Song
from tests.support.catalog import stated

NOON = datetime(2026, 11, 20, 12, 0, 3, tzinfo=UTC)
PATH = "/v1/charts/top/1h/history?scope=genre:history"
DAY = f"{PATH}&since=2026-11-20T00:00:00Z&until=2026-11-21T00:00:00Z"


async def put(database: CosmosClient, scope: str, at: datetime, listens: int, item: str | None = None) -> None:
    (entry,) = examples.CHART.entries
    entries = [
        structs.replace(entry, rank=rank, song_id=f"song-{rank}", listens=listens, title='A "title", =1+1')
        for rank in (1, 2)
    ]
    chart: Chart = structs.replace(examples.CHART, scope=scope, as_of=at, entries=entries)
    key = chart_key("top", "1h", scope)
    document = {**msgspec.to_builtins(chart), "id": item or snapshot_id(at), "chart": key}
    await cosmos.container(database, DATABASE, CHARTS).upsert_item(document)


@pytest.fixture(autouse=True)
async def snapshots(database: CosmosClient) -> None:
    for hour in range(3):
        await put(database, "genre:history", NOON + timedelta(hours=hour), 10 * hour)
    await put(database, "genre:history", NOON + timedelta(days=2), 99, CURRENT)


async def test_every_hour_of_a_time_is_there_and_no_other(songs_api: httpx.AsyncClient) -> None:
    found = (await songs_api.get(DAY)).json()
    assert [chart["asOf"][11:13] for chart in found["charts"]] == ["12", "13", "14"]
    later = (await songs_api.get(f"{PATH}&since=2026-11-20T13:00:00Z&until=2026-11-20T14:00:00Z&limit=1")).json()
    assert [[entry["listens"] for entry in chart["entries"]] for chart in later["charts"]] == [[10]]


async def test_a_table_has_a_row_for_each_line(songs_api: httpx.AsyncClient) -> None:
    parquet = await songs_api.get(DAY, headers={"Accept": PARQUET})
    csv = await songs_api.get(DAY, headers={"Accept": CSV})
    assert parquet.headers["content-type"] == PARQUET
    assert csv.headers["content-type"].startswith(CSV)
    assert csv.headers["vary"] == "Accept"
    assert csv.headers["content-disposition"] == 'attachment; filename="top-1h-history.csv"'
    table = pl.read_parquet(io.BytesIO(parquet.content))
    assert table.schema == SCHEMA
    assert table["listens"].to_list() == [0, 0, 10, 10, 20, 20]
    assert table["asOf"][0] == NOON
    text = pl.read_csv(io.BytesIO(csv.content), try_parse_dates=True)
    assert text.columns == table.columns
    assert text["title"].to_list() == table["title"].to_list()
    assert text["asOf"].dt.replace_time_zone("UTC").to_list() == table["asOf"].to_list()


async def test_the_chart_of_now_is_a_table_too(songs_api: httpx.AsyncClient) -> None:
    answer = await songs_api.get("/v1/charts/top/1h?scope=genre:history", headers={"Accept": CSV})
    assert len(answer.text.splitlines()) == 3
    refused = await songs_api.get("/v1/charts/top/1h?scope=genre:history", headers={"Accept": "image/png"})
    assert (refused.status_code, refused.json()["title"]) == (406, "Nothing that you take")


@pytest.mark.parametrize(
    "asked",
    [
        "&since=2026-11-20T00:00:00Z&until=2026-11-20T00:00:00Z",
        "&since=2026-11-01T00:00:00Z&until=2026-11-20T00:00:00Z",
        "&since=never",
        "&until=0001-01-01T00:00:00Z",
        "&since=9999-12-31T23:00:00Z&until=9999-12-31T23:59:59Z&limit=0",
    ],
)
async def test_a_time_that_can_not_be_looked_at_is_refused(songs_api: httpx.AsyncClient, asked: str) -> None:
    assert (await songs_api.get(PATH + asked)).status_code == 400


async def test_a_songs_history_is_what_charts_say_of_it(songs_api: httpx.AsyncClient, database: CosmosClient) -> None:
    now = datetime.now(UTC)
    await put(database, "global", now - timedelta(hours=2), 20)
    await put(database, "global", now - timedelta(hours=1), 30)
    await put(database, "global", now, 40, CURRENT)
    found = (await songs_api.get("/v1/songs/song-2/history")).json()
    assert [(point["listens"], point["rank"]) for point in found["points"]] == [(20, 2), (30, 2)]
    assert [(one["window"], one["listens"], one["rank"]) for one in found["standings"]] == [("1h", 40, 2)]
    nothing = (await songs_api.get("/v1/songs/never/history")).json()
    assert (nothing["points"], nothing["standings"]) == ([], [])


async def test_a_renamed_song_has_its_new_name_in_the_charts_of_before(
    database: CosmosClient, songs_api: httpx.AsyncClient
) -> None:
    store = SongStore(cosmos.container(database, DATABASE, SONGS))
    for position, title in enumerate(("Old Name", "New Name"), 1):
        at = NOON + timedelta(minutes=position)
        song = Song(id="song-2", user_id="user-3", title=title, artist="Reed", duration_ms=1_000, uploaded_at=at)
        await store.apply("song-2", "1", [stated(song, position)])
    charts = (await songs_api.get(DAY)).json()["charts"]
    lines = [[(entry["title"], entry["listens"]) for entry in chart["entries"]] for chart in charts]
    assert lines == [[('A "title", =1+1', listens), ("New Name", listens)] for listens in (0, 10, 20)]
