"""A song's hours, from days as the trending worker writes them."""

import io
from datetime import UTC, datetime, timedelta

import httpx
import msgspec
import polars as pl
import pytest
from azure.cosmos.aio import CosmosClient
from msgspec import structs

from songline.cloud import cosmos
from songline.cloud.settings import read_cosmos, read_eventhubs
from songline.projections.api import create
from songline.projections.http.negotiation import CSV, PARQUET
from songline.projections.http.tables import HOURS_SCHEMA
from songline.schemas.channels import DATABASE, PLAYS, SONGS
from songline.schemas.plays import HOURS, ShardProgressDocument, SongDay, day_id
from songline.schemas.progress import Watermark
from songline.schemas.songs import Fact, SongDocument
from tests.support.localcloud import LocalCloud
from tests.support.waiting import wait_for_async

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
THROUGH = datetime(2026, 11, 20, 13, 30, tzinfo=UTC)
PATH = "/v1/songs/song-plays/plays"
AT_TWO = f"{PATH}?until=2026-11-20T14:00:00Z"


def day(song: str, at: datetime, **counts: int) -> SongDay:
    """The counts are those of one hour."""
    columns = {
        kind: tuple(counts.get(kind, 0) if hour == at.hour else 0 for hour in range(HOURS))
        for kind in ("listens", "likes", "unlikes")
    }
    return SongDay(id=day_id(at), song_id=song, total=sum(counts.values()), **columns)


def shard(number: int, through: datetime | None, position: int, refused: tuple[str, ...] = ()) -> ShardProgressDocument:
    return ShardProgressDocument(
        id=str(number), shards=2, partitions={"0": Watermark(position=position, through=through)}, refused=refused
    )


@pytest.fixture(autouse=True)
async def days(database: CosmosClient) -> None:
    container = cosmos.container(database, DATABASE, PLAYS)
    for document in (
        day("song-plays", NOON, listens=7, likes=2, unlikes=1),
        day("song-plays", NOON - timedelta(days=1, hours=1), listens=3),
        shard(0, THROUGH, 70),
        shard(1, THROUGH + timedelta(minutes=1), 60),
    ):
        await container.upsert_item(msgspec.to_builtins(document))


async def test_every_hour_is_there_and_one_that_is_not_counted_to_its_end_says_so(songs_api: httpx.AsyncClient) -> None:
    found = (await songs_api.get(f"{AT_TWO}&hours=3")).json()
    assert [(hour["hour"], hour["listens"], hour["counting"]) for hour in found["hours"]] == [
        ("2026-11-20T11:00:00Z", 0, False),
        ("2026-11-20T12:00:00Z", 7, False),
        ("2026-11-20T13:00:00Z", 0, True),
    ]
    assert (found["hours"][1]["likes"], found["hours"][1]["unlikes"]) == (2, 1)
    assert (found["songId"], found["completeThrough"], found["position"]) == (
        "song-plays",
        "2026-11-20T13:30:00Z",
        {"0": 60},
    )
    within = (await songs_api.get(f"{PATH}?until=2026-11-20T14:00:01Z&hours=1")).json()
    assert [hour["hour"] for hour in within["hours"]] == ["2026-11-20T14:00:00Z"]


async def test_hours_of_several_days_are_in_one_answer_and_none_is_missing(songs_api: httpx.AsyncClient) -> None:
    hours = (await songs_api.get(f"{AT_TWO}&hours=168")).json()["hours"]
    moments = [datetime.fromisoformat(hour["hour"]) for hour in hours]
    assert moments == [NOON + timedelta(hours=number - 166) for number in range(168)]
    assert {hour["hour"]: hour["listens"] for hour in hours if hour["listens"]} == {
        "2026-11-19T11:00:00Z": 3,
        "2026-11-20T12:00:00Z": 7,
    }


async def test_the_usual_is_a_day_up_to_the_hour_that_goes_on(
    songs_api: httpx.AsyncClient, database: CosmosClient
) -> None:
    before = datetime.now(UTC)
    await cosmos.container(database, DATABASE, PLAYS).upsert_item(
        msgspec.to_builtins(day("song-now", before - timedelta(hours=2), listens=1))
    )
    hours = (await songs_api.get(PATH.replace("song-plays", "song-now"))).json()["hours"]
    last = datetime.fromisoformat(hours[-1]["hour"])
    assert len(hours) == 24
    assert before - timedelta(hours=1) < last <= datetime.now(UTC)


async def test_hours_are_a_table_too(songs_api: httpx.AsyncClient) -> None:
    parquet = await songs_api.get(AT_TWO, headers={"Accept": PARQUET})
    csv = await songs_api.get(AT_TWO, headers={"Accept": CSV})
    assert csv.headers["content-disposition"] == 'attachment; filename="song-plays-plays.csv"'
    assert csv.headers["vary"] == "Accept"
    table = pl.read_parquet(io.BytesIO(parquet.content))
    assert table.schema == HOURS_SCHEMA
    assert table["listens"].to_list() == [0] * 22 + [7, 0]
    text = pl.read_csv(io.BytesIO(csv.content), try_parse_dates=True)
    assert text["listens"].to_list() == table["listens"].to_list()
    assert (await songs_api.get(AT_TWO, headers={"Accept": "image/png"})).status_code == 406


async def test_nothing_is_said_to_be_complete_while_a_shard_has_not_told(
    songs_api: httpx.AsyncClient, database: CosmosClient
) -> None:
    container = cosmos.container(database, DATABASE, PLAYS)
    await container.upsert_item(msgspec.to_builtins(shard(1, None, 60)))
    found = (await songs_api.get(AT_TWO)).json()
    assert (found["completeThrough"], found["position"]) == (None, {"0": 60})
    assert all(hour["counting"] for hour in found["hours"])
    await container.delete_item("1", "@progress")
    found = (await songs_api.get(AT_TWO)).json()
    assert (found["completeThrough"], found["position"]) == (None, {})


async def test_of_a_song_whose_day_is_refused_nothing_is_said_to_be_complete(
    songs_api: httpx.AsyncClient, database: CosmosClient
) -> None:
    container = cosmos.container(database, DATABASE, PLAYS)
    await container.upsert_item(msgspec.to_builtins(shard(1, THROUGH, 60, refused=("song-else", "song-plays"))))
    found = (await songs_api.get(AT_TWO)).json()
    assert (found["completeThrough"], found["position"]) == (None, {})
    assert all(hour["counting"] for hour in found["hours"])
    answer = await songs_api.get(f"{AT_TWO}&maxStaleness=365d")
    assert answer.status_code == 503, "how old it is is not known"
    await container.upsert_item(msgspec.to_builtins(day("song-other", NOON, listens=1)))
    found = (await songs_api.get(AT_TWO.replace("song-plays", "song-other"))).json()
    assert (found["completeThrough"], found["position"]) == ("2026-11-20T13:30:00Z", {"0": 60})


async def test_a_song_that_has_gone_is_410_and_one_that_nobody_knows_404(
    songs_api: httpx.AsyncClient, database: CosmosClient
) -> None:
    await cosmos.container(database, DATABASE, PLAYS).upsert_item(
        msgspec.to_builtins(day("song-gone", NOON, listens=1))
    )
    gone = SongDocument(id="song-gone", facts={"0": Fact(position=1, at=NOON)})
    await cosmos.container(database, DATABASE, SONGS).upsert_item(msgspec.to_builtins(gone))
    assert (await songs_api.get(AT_TWO.replace("song-plays", "song-gone"))).status_code == 410
    assert (await songs_api.get(AT_TWO.replace("song-plays", "song-never"))).status_code == 404


@pytest.mark.parametrize("asked", ["hours=0", "hours=169", "until=1999-12-31T00:00:00Z", "until=9999-12-31T00:00:00Z"])
async def test_a_time_that_can_not_be_looked_at_is_refused(songs_api: httpx.AsyncClient, asked: str) -> None:
    answer = await songs_api.get(f"{PATH}?{asked}")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, asked.partition("=")[0])


async def test_a_position_in_a_hub_that_was_there_before_is_none_of_this_one(
    song_cloud: LocalCloud, database: CosmosClient
) -> None:
    container = cosmos.container(database, DATABASE, PLAYS)
    for number in (0, 1):
        earlier = Watermark(position=60, through=THROUGH, created_at=THROUGH)
        document = structs.replace(shard(number, THROUGH, 60), partitions={"0": earlier})
        await container.upsert_item(msgspec.to_builtins(document))
    app = create(read_cosmos(song_cloud.environment), hubs=read_eventhubs(song_cloud.environment))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://songline") as client,
    ):

        async def is_none() -> bool:
            found = (await client.get(AT_TWO)).json()
            return (found["position"], found["completeThrough"]) == ({"0": -1}, None)

        # The hub is asked beside the first read.
        await wait_for_async(is_none, "the position of an earlier hub to be none")
