"""What is going on, looked at through the real hubs."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial

import httpx
import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from azure.cosmos.aio import CosmosClient
from azure.eventhub import EventData
from msgspec import structs

from songline.cloud import cosmos, eventhubs
from songline.cloud.kafka import client_options
from songline.cloud.settings import read_cosmos, read_eventhubs
from songline.processors.catalog.song_store import SongStore
from songline.processors.runtime.health import serve_health
from songline.projections.hub_creation import HubCreation
from songline.projections.live.feed import WATCHERS, FeedFullError, FeedStores, FollowedChart, LiveFeed
from songline.projections.live.hubs import BUDGET, HubCounter, HubsUnreachableError
from songline.projections.live.now_playing import Broadcast, Playing
from songline.projections.live.routes import MAX_CHARTS, named, stream
from songline.projections.live.snapshot import Live, Sample
from songline.projections.live.worker_reports import WorkerReports
from songline.projections.live_version import VersionedStores
from songline.projections.songs.served_songs import SongVersions
from songline.projections.staleness import StalenessCheck
from songline.projections.store import DocumentStore
from songline.schemas import examples
from songline.schemas.channels import CHARTS, DATABASE, INGESTIONS, MUSIC_EVENTS, PROJECTIONS, SONGS
from songline.schemas.commands import Upload
from songline.schemas.documents import CURRENT, chart_key
from songline.schemas.envelope import encode
from songline.schemas.events import Payload, SongLiked, SongPlayed
from songline.schemas.ingestions import Ingestion
from songline.schemas.progress import PROGRESS, Watermark, WatermarkDocument
from songline.schemas.progress_report import NotReadyCause, ProgressReport, not_ready
from tests.support.catalog import stated
from tests.support.localcloud import LocalCloud


async def publish(cloud: LocalCloud, payload: type[Payload], count: int) -> None:
    body = encode(examples.EVENTS[payload])
    async with eventhubs.producer(read_eventhubs(cloud.environment), MUSIC_EVENTS) as producer:
        while count:
            batch = await producer.create_batch()
            for _ in range(min(count, 500)):
                batch.add(EventData(body))
            await producer.send_batch(batch)
            count -= len(batch)


@pytest.fixture
async def hubs(song_cloud: LocalCloud) -> AsyncIterator[HubCounter]:
    hubs = HubCounter(read_eventhubs(song_cloud.environment), time.monotonic)
    yield hubs
    await hubs.close()


@pytest.fixture
def broadcast() -> Broadcast:
    return Broadcast()


def feed_stores(database: CosmosClient) -> FeedStores:
    def store(name: str) -> DocumentStore:
        return DocumentStore(cosmos.container(database, DATABASE, name))

    versions = VersionedStores(store(PROJECTIONS), store, time.monotonic)
    return FeedStores(versions, SongVersions(versions), store(INGESTIONS))


@pytest.fixture
async def feed(
    song_cloud: LocalCloud, database: CosmosClient, hubs: HubCounter, broadcast: Broadcast
) -> AsyncIterator[LiveFeed]:
    feed = LiveFeed(feed_stores(database), hubs, broadcast, lambda: datetime.now(UTC), tick=0.1)
    yield feed
    await feed.close()


async def test_kinds_are_counted_exactly_and_ends_are_those_of_the_hub(
    song_cloud: LocalCloud, hubs: HubCounter
) -> None:
    before = await hubs.count()
    await publish(song_cloud, SongPlayed, 7)
    await publish(song_cloud, SongLiked, 2)
    after = await hubs.count()
    grown = {kind: after.kinds[kind] - before.kinds[kind] for kind in after.kinds}
    assert grown == {
        "played": 7,
        "liked": 2,
        "unliked": 0,
        "uploaded": 0,
        "removed": 0,
        "imported": 0,
        "undone": 0,
        "matched": 0,
        "unmatched": 0,
    }
    assert not after.sampled
    assert sum(after.ends[MUSIC_EVENTS].values()) - sum(before.ends[MUSIC_EVENTS].values()) == 9


async def test_what_is_no_event_is_in_the_sum_and_of_no_kind(song_cloud: LocalCloud, hubs: HubCounter) -> None:
    before = await hubs.count()
    settings = read_eventhubs(song_cloud.environment)
    async with AIOKafkaProducer(**client_options(settings)) as producer:
        for odd in (None, b"", b"\xff", b'{"type":"\xff"}', b'{"type":1}', b"[" * 100_000):
            await producer.send_and_wait(MUSIC_EVENTS, odd, key=b"odd", partition=0)
    await publish(song_cloud, SongLiked, 2)
    after = await hubs.count()
    assert after.kinds["liked"] - before.kinds["liked"] == 2
    assert sum(after.ends[MUSIC_EVENTS].values()) - sum(before.ends[MUSIC_EVENTS].values()) == 8


async def test_of_a_flood_a_sample_is_read_and_its_sum_stays_exact(song_cloud: LocalCloud, hubs: HubCounter) -> None:
    before = await hubs.count()
    await publish(song_cloud, SongPlayed, BUDGET * 3)
    after = await hubs.count()
    assert after.sampled
    assert sum(after.kinds.values()) - sum(before.kinds.values()) == pytest.approx(BUDGET * 3)
    await publish(song_cloud, SongLiked, 3)
    later = await hubs.count()
    assert later.kinds["liked"] - after.kinds["liked"] == 3


async def test_a_watcher_is_told_of_a_chart_once_for_each_change(feed: LiveFeed, database: CosmosClient) -> None:
    asked = FollowedChart("top", "5m", "genre:live")
    container = cosmos.container(database, DATABASE, CHARTS)
    chart = {**msgspec.to_builtins(examples.CHART), "id": "current", "chart": chart_key("top", "5m", asked.scope)}
    await container.upsert_item(chart)
    told: list[tuple[str, bytes]] = []
    async with asyncio.timeout(60):
        async for event in stream(feed, asked):
            name, _, rest = event.decode().partition("\n")
            told.append((name, rest.removeprefix("data: ").strip().encode()))
            lives = [data for name, data in told if name == "event: live"]
            if len(lives) == 4:
                await container.upsert_item({**chart, "policy": "v2"})
            if [name for name, _ in told].count("event: chart") == 2:
                break
    assert len(lives) >= 4
    latest = msgspec.json.decode(lives[-1], type=Live)
    assert {hub.name for hub in latest.hubs} >= {MUSIC_EVENTS}
    assert {one.name for one in latest.projections} == {"charts", "catalog", "library"}
    assert latest.uploads is not None
    assert latest.troubles == ()


async def test_a_chart_that_is_older_than_allowed_ends_the_stream_and_is_not_sent(
    feed: LiveFeed, database: CosmosClient
) -> None:
    container, now = cosmos.container(database, DATABASE, CHARTS), datetime.now(UTC)
    for scope, through in (("global", now), ("genre:behind", now - timedelta(hours=1))):
        chart = structs.replace(examples.CHART, scope=scope, as_of=through, complete_through=through)
        document = {**msgspec.to_builtins(chart), "id": CURRENT, "chart": chart_key("top", "1h", scope)}
        await container.upsert_item(document)
    check = partial(StalenessCheck(None, lambda: datetime.now(UTC)).check, "charts", "30m")
    told: list[str] = []
    async with asyncio.timeout(60):
        async for event in stream(feed, FollowedChart("top", "1h", "genre:behind"), check=check):
            told.append(event.decode().partition("\n")[0])
            if told[-1] == "event: chart":
                break
    assert told[-1] == "event: live"


async def test_uploads_are_counted_anew_for_who_comes_after_a_time_without_watchers(
    feed: LiveFeed, database: CosmosClient
) -> None:
    async with asyncio.timeout(60), feed.watching():
        number, before = await feed.after(0)
    # As without watchers: no snapshot is taken any more.
    await feed.close()
    assert before.uploads is not None
    upload = Upload(sha256="ab" * 32, size=5, content_type="audio/wav", blob="counted")
    moment = datetime.now(UTC)
    received = Ingestion(
        id="counted", user_id="user-7", state="received", received_at=moment, updated_at=moment, upload=upload
    )
    await cosmos.container(database, DATABASE, INGESTIONS).upsert_item(msgspec.to_builtins(received))
    async with asyncio.timeout(60), feed.watching():
        _, after = await feed.after(number)
    assert after.uploads is not None
    assert after.uploads.states["received"] == before.uploads.states["received"] + 1


async def test_who_plays_what_is_told_by_title_while_it_is_news(
    feed: LiveFeed, broadcast: Broadcast, database: CosmosClient
) -> None:
    song, now = examples.SONG, datetime.now(UTC)
    songs = SongStore(cosmos.container(database, DATABASE, SONGS))
    await songs.apply(song.id, "0", [stated(song)])
    broadcast.publish(Playing(user_id="user-old", song_id=song.id, at=now - timedelta(hours=1)))
    broadcast.publish(Playing(user_id="user-a", song_id=song.id, at=now))
    broadcast.publish(Playing(user_id="user-b", song_id="song-unknown", at=now))
    async with asyncio.timeout(60), feed.watching():
        _, found = await feed.after(0)
    assert [(one.user_id, one.title) for one in found.playing] == [("user-b", None), ("user-a", song.title)]


async def test_whoever_is_one_too_many_is_told_so(feed: LiveFeed) -> None:
    watching = [feed.watching() for _ in range(WATCHERS)]
    for one in watching:
        await one.__aenter__()
    with pytest.raises(FeedFullError):
        await feed.watching().__aenter__()
    await watching.pop().__aexit__(None, None, None)
    assert not feed.full
    for one in watching:
        await one.__aexit__(None, None, None)


async def test_what_can_not_be_looked_at_is_said(song_cloud: LocalCloud) -> None:
    nowhere = {**song_cloud.environment, "SONGLINE_KAFKA_BOOTSTRAP": "127.0.0.1:9"}
    client = cosmos.client(read_cosmos(song_cloud.environment))
    missing = DocumentStore(cosmos.container(client, DATABASE, "nothing"))
    hubs = HubCounter(read_eventhubs(nowhere), time.monotonic)
    heard = Broadcast()
    heard.publish(Playing(user_id="user-7", song_id="song-42", at=datetime.now(UTC)))
    versions = VersionedStores(missing, lambda _: missing, time.monotonic)
    stores = FeedStores(versions, SongVersions(versions), missing)
    feed = LiveFeed(stores, hubs, heard, lambda: datetime.now(UTC), tick=0.1)
    async with asyncio.timeout(60), feed.watching():
        _, found = await feed.after(0)
    await feed.close()
    await client.close()
    assert found.hubs == ()
    assert found.kinds is None
    assert [(one.song_id, one.title) for one in found.playing] == [("song-42", None)]
    assert any("Event Hubs can't be reached" in trouble for trouble in found.troubles)


async def test_a_snapshot_is_of_the_moment_before_it_was_read(
    song_cloud: LocalCloud, database: CosmosClient, broadcast: Broadcast
) -> None:
    at = [datetime(2026, 11, 22, 14, tzinfo=UTC)]

    class SlowHubs(HubCounter):
        async def count(self) -> Sample:
            at[0] += timedelta(seconds=10)
            raise HubsUnreachableError("nobody answers")

    begun = at[0]
    hubs = SlowHubs(read_eventhubs(song_cloud.environment), time.monotonic)
    feed = LiveFeed(feed_stores(database), hubs, broadcast, lambda: at[0], tick=60)
    async with asyncio.timeout(60), feed.watching():
        _, found = await feed.after(0)
    await feed.close()
    assert (found.as_of, at[0]) == (begun, begun + timedelta(seconds=10))


async def test_half_a_chart_is_refused(songs_api: httpx.AsyncClient) -> None:
    answer = await songs_api.get("/v1/live?kind=top")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "kind")


async def test_workers_are_asked_how_they_are(
    song_cloud: LocalCloud, database: CosmosClient, hubs: HubCounter, broadcast: Broadcast
) -> None:
    reasons = [not_ready("library", NotReadyCause.HUB_MADE_ANEW, "music-events was made anew")]

    def report() -> ProgressReport:
        return ProgressReport(worker="library", as_of=datetime.now(UTC), reasons=tuple(reasons))

    async with serve_health(0, report) as port:
        addresses = {
            "library": f"http://127.0.0.1:{port}",
            # Two that are not there, and of one it is not known where.
            "trending": "http://127.0.0.1:9",
            "ingestion": "http://127.0.0.1:9",
        }
        feed = LiveFeed(
            feed_stores(database), hubs, broadcast, lambda: datetime.now(UTC), 0.1, workers=WorkerReports(addresses)
        )
        try:
            async with feed.watching(), asyncio.timeout(60):
                number, latest = await feed.after(0)
                found = {one.name: one for one in latest.projections}
                assert found["library"].freshness == "stale"
                said = "music-events was made anew. To mend it: songline checkpoints reset library."
                assert found["library"].not_ready == (said,)
                assert "the trending worker does not answer at http://127.0.0.1:9" in found["charts"].not_ready[0]
                assert found["catalog"].not_ready == ()
                assert any("The ingestion worker is not ready" in trouble for trouble in latest.troubles)
                reasons.clear()
                while found["library"].not_ready:
                    number, latest = await feed.after(number)
                    found = {one.name: one for one in latest.projections}
        finally:
            await feed.close()


async def test_what_is_applied_of_a_hub_that_was_there_before_is_no_lead_over_this_one(
    song_cloud: LocalCloud, database: CosmosClient, hubs: HubCounter, broadcast: Broadcast
) -> None:
    await publish(song_cloud, SongLiked, 1)
    async with eventhubs.consumer(read_eventhubs(song_cloud.environment), MUSIC_EVENTS, "$Default") as consumer:
        hub = HubCreation(consumer, time.monotonic)
        created_at = await hub.created_at()
        assert created_at is not None
        earlier = created_at - timedelta(hours=1)
        applied = Watermark(position=1_000_000, through=earlier, created_at=earlier)
        document = WatermarkDocument(id=PROGRESS, partitions=dict.fromkeys("0123", applied))
        await cosmos.container(database, DATABASE, SONGS).upsert_item(msgspec.to_builtins(document))
        chart = structs.replace(
            examples.CHART, as_of=earlier, complete_through=earlier, position=dict.fromkeys("0123", 1_000_000)
        )
        current = {**msgspec.to_builtins(chart), "id": CURRENT, "chart": chart_key("top", "1h", "global")}
        await cosmos.container(database, DATABASE, CHARTS).upsert_item(current)
        stores = structs.replace(feed_stores(database), hub=hub)
        feed = LiveFeed(stores, hubs, broadcast, lambda: datetime.now(UTC), tick=0.1)
        try:
            async with asyncio.timeout(60), feed.watching():
                _, found = await feed.after(0)
        finally:
            await feed.close()
            await hub.close()
    (events,) = (one.events for one in found.hubs if one.name == MUSIC_EVENTS)
    assert {one.name: one.lag for one in found.projections} == {"charts": events, "catalog": events, "library": None}


async def test_several_charts_are_followed_on_one_stream(feed: LiveFeed, database: CosmosClient) -> None:
    container = cosmos.container(database, DATABASE, CHARTS)
    chart = {**msgspec.to_builtins(examples.CHART), "id": "current", "chart": chart_key("top", "5m", "genre:one")}
    await container.upsert_item(chart)
    followed = named("top:5m:genre:one,trending:7d:region:DE")
    assert followed is not None
    told: list[dict[str, object]] = []
    async with asyncio.timeout(60):
        async for event in stream(feed, None, followed):
            name, _, rest = event.decode().partition("\n")
            if name == "event: followed":
                told.append(msgspec.json.decode(rest.removeprefix("data: ").strip()))
                if len(told) == 2:
                    await container.upsert_item({**chart, "policy": "v2"})
            if len(told) == 3:
                break
    assert [one["name"] for one in told] == ["top:5m:genre:one", "trending:7d:region:DE", "top:5m:genre:one"]


def test_charts_have_names() -> None:
    assert named("top:1h:global,trending:5m:genre:drum & bass") == {
        "top:1h:global": FollowedChart("top", "1h", "global"),
        "trending:5m:genre:drum & bass": FollowedChart("trending", "5m", "genre:drum & bass"),
    }
    for wrong in ("", ",", "top", "top:1h", "top:1h:nowhere", "top:2h:global", "top:1h:global,", "x:1h:global"):
        assert named(wrong) is None, wrong
    genres = [f"top:1h:genre:g{number}" for number in range(MAX_CHARTS + 1)]
    assert named(",".join(genres)) is None
    assert len(named(",".join(genres[1:])) or ()) == MAX_CHARTS
