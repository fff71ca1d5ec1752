"""Songs that several parties speak of, through the running workers and the API: the owner's facts hold everywhere."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import httpx
import msgspec
from aiokafka import AIOKafkaProducer
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient, PartitionContext
from msgspec import structs

from songline.api.publishing import SPILL_AFTER
from songline.cloud import cosmos, eventhubs
from songline.cloud.kafka import client_options
from songline.cloud.settings import read_eventhubs
from songline.processes.environment import OUTBOX
from songline.schemas.channels import CHARTS, DATABASE, INGESTIONS, MUSIC_EVENTS
from songline.schemas.commands import Upload
from songline.schemas.documents import Chart
from songline.schemas.envelope import Event, decode, encode
from songline.schemas.events import SongPlayed, SongRemoved, SongUploaded
from songline.schemas.ingestions import Ingestion
from songline.schemas.songs import Song
from tests.support import audio
from tests.support.api import ApiProcess
from tests.support.catalog import Catalog, CatalogWorker, catalog_on
from tests.support.ingestion import WorkerProcess as IngestionWorker
from tests.support.localcloud import LocalCloud
from tests.support.ownership import Line, Log, random_log, removed, uploaded, verdict
from tests.support.waiting import wait_for_async
from tests.support.worker import TrendingWorker, one_chart

SOUND = audio.song("flac")
ONE = {"content-type": "application/cloudevents+json"}
BATCH = {"content-type": "application/cloudevents-batch+json"}
RANDOM_SONGS = [f"random-{number}" for number in range(8)]
DEADLINE = 150.0
LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)
LATER = datetime(2026, 11, 22, 15, tzinfo=UTC)


async def test_the_owners_facts_hold_everywhere(start_localcloud: Callable[..., LocalCloud], tmp_path: Path) -> None:
    cloud = start_localcloud("--blobs")
    async with running(cloud, tmp_path) as (catalog, http):
        await catalog.tell(uploaded("ann", "Early", song="early"), partition="0")
        await catalog.tell(uploaded("ann", "Dusk", song="straight"), partition="1")
        song = await upload(catalog, http, "Lanterns")
        taken = song.id
        await until_read(catalog)
        await say_straight_to_the_hub(cloud, catalog, taken)
        await say_over_the_api(cloud, http, song)
        now = datetime.now(UTC)
        songs = [taken, "straight", "early", "never", "own", *RANDOM_SONGS]
        for number, song_id in enumerate(songs):
            await catalog.tell(played(song_id, f"listener-{number}", now), partition=str(number % 4))
        ends = await until_read(catalog)
        async with cosmos.client(cloud.settings().cosmos) as client:
            chart = await complete(client, ends)
        logs = await read_logs(cloud, ends)
        right = {song: verdict(logs.get(song, {})) for song in songs}
        assert titles(right, songs) == {
            taken: "Lanterns again",
            "straight": "Dusk",
            "early": "gone",
            "never": None,
            "own": "Own",
        } | {song: said(right[song]) for song in RANDOM_SONGS}
        shown = {entry.song_id: entry.title for entry in chart.entries}
        assert shown == {song: title for song, title in titles(right, songs).items() if title != "gone"}
        for song_id in songs:
            answer = await http.get(f"/v1/songs/{song_id}")
            title = said(right[song_id])
            assert answer.status_code == {"gone": 410, None: 404}.get(title, 200), (song_id, answer.text)
            if answer.status_code == 200:
                event = right[song_id]
                assert event is not None
                found = answer.json()["song"]
                assert (found["title"], found["userId"]) == (title, event.data.user_id)
        sound = await http.get(f"/v1/songs/{taken}/audio")
        assert (sound.status_code, sound.content) == (200, SOUND)
        ingestion = (await http.get(f"/v1/ingestions/{taken}")).json()
        assert (ingestion["state"], ingestion["userId"], ingestion["removedAt"]) == ("ready", "ann", None)
        await take_away(catalog, http, taken)


async def say_straight_to_the_hub(cloud: LocalCloud, catalog: Catalog, taken: str) -> None:
    """Takeovers and removals by strangers, in all partitions, dated later than all that the owners say."""
    for number in ("3", "2", "1", "0"):
        forged = [
            event
            for song in (taken, "straight", "early")
            for event in (uploaded("bob", "Stolen", LATER, song), removed(f"bob-{number}", LATER, song))
        ]
        await catalog.tell(*forged, partition=number)
    await catalog.tell(removed("ann", LATER, "early"), removed("bob", LATER, "never"), partition="3")
    # A Kafka client may claim any time for its record.
    async with AIOKafkaProducer(**client_options(read_eventhubs(cloud.environment))) as producer:
        for partition in range(4):
            body = encode(uploaded("cleo", "Forged", LONG_AGO, "straight"))
            timestamp_ms = int(LONG_AGO.timestamp()) * 1_000
            await producer.send_and_wait(MUSIC_EVENTS, body, partition=partition, timestamp_ms=timestamp_ms)
    logs = [random_log(Random(song), ["ann", "bob", "cleo"], 4, song=song) for song in RANDOM_SONGS]
    for begin in range(0, 12, 3):
        for partition in range(4):
            events = [line.event for log in logs for line in log[partition][begin : begin + 3]]
            if events:
                await catalog.tell(*events, partition=str(partition))


async def take_away(catalog: Catalog, http: httpx.AsyncClient, song_id: str) -> None:
    """The owner does, and nobody brings the song back."""
    answer = await http.delete(f"/v1/songs/{song_id}", headers={"X-User-Id": "ann"})
    assert answer.status_code == 202, answer.text

    async def gone() -> bool:
        return (await http.get(f"/v1/songs/{song_id}")).status_code == 410

    await wait_for_async(gone, "the song to be gone", DEADLINE)
    await catalog.tell(uploaded("bob", "Stolen", datetime.now(UTC), song_id), partition="0")
    await until_read(catalog)
    assert await gone()
    assert (await http.delete(f"/v1/songs/{song_id}", headers={"X-User-Id": "bob"})).status_code == 403


async def say_over_the_api(cloud: LocalCloud, http: httpx.AsyncClient, song: Song) -> None:
    """What is of somebody else's song is refused by item, and neither song nor ingestion nor bytes change."""
    taken = song.id
    for forged in (uploaded("bob", "Stolen", LATER, taken), removed("bob", LATER, taken)):
        answer = await http.post("/v1/events", content=encode(forged), headers=ONE)
        assert answer.status_code == 400, answer.text
        (fault,) = answer.json()["errors"]
        assert (fault["field"], fault["value"]) == ("data.userId", '"bob"')
        assert "'ann'" in fault["rule"]
    async with cosmos.client(cloud.settings().cosmos) as client:
        ingestions = cosmos.container(client, DATABASE, INGESTIONS)
        coming = Ingestion(
            id="coming",
            user_id="ann",
            state="processing",
            received_at=LATER,
            updated_at=LATER,
            upload=Upload(sha256="ab" * 32, size=1_000, content_type="audio/flac"),
        )
        await ingestions.create_item(msgspec.to_builtins(coming))
        batch = [
            removed("bob", LATER, taken),
            uploaded("bob", "Stolen", LATER, "coming"),
            renamed(song, "Lanterns again"),
            uploaded("bob", "Own", song="own"),
            removed("bob", LATER, "early"),
        ]
        events = [msgspec.json.decode(encode(structs.replace(event, id=f"b-{n}"))) for n, event in enumerate(batch)]
        answer = await http.post("/v1/events", json=events, headers=BATCH)
        assert answer.status_code == 207, answer.text
        results = answer.json()["results"]
        assert [result["status"] for result in results] == ["refused", "refused", "sent", "sent", "refused"]
        assert "ann" in results[0]["error"]["rule"]
        known = msgspec.convert(dict(await ingestions.read_item("coming", "coming")), Ingestion)
        assert known == coming
    answer = await http.delete(f"/v1/songs/{taken}", headers={"X-User-Id": "bob"})
    assert answer.status_code == 403, answer.text
    # The edge does not know the owner while Cosmos DB is away: what it takes then is void all the same.
    with cloud.faults({"service": "cosmos", "kind": "drop", "operation": "read"}):
        answer = await http.post("/v1/events", content=encode(removed("cleo", LATER, taken)), headers=ONE)
    assert answer.status_code in (200, 202), answer.text


@asynccontextmanager
async def running(cloud: LocalCloud, folder: Path) -> AsyncIterator[tuple[Catalog, httpx.AsyncClient]]:
    async with AsyncExitStack() as stack:
        catalog = await stack.enter_async_context(catalog_on(cloud))
        for worker in (
            CatalogWorker(cloud, folder / "catalog.log"),
            TrendingWorker(cloud, folder / "trending.log"),
            IngestionWorker(cloud.environment, folder / "ingestion.log"),
        ):
            stack.callback(worker.start().kill)
        # A busy machine may be slow to open links; that alone must not send events over the disk here.
        environment = {**cloud.environment, OUTBOX: str(folder / "outbox.db"), SPILL_AFTER: "60"}
        api = ApiProcess(environment, folder / "api.log").start()
        stack.callback(api.kill)
        client = api.client()
        yield catalog, await stack.enter_async_context(client)


async def until_read(catalog: Catalog) -> dict[str, int]:
    """The ends of all partitions, once the catalog is there."""
    ends = await catalog.ends()
    await wait_for_async(lambda: catalog.read_up_to(ends), f"the catalog to be at {ends}", DEADLINE)
    return ends


async def complete(client: Any, ends: dict[str, int]) -> Chart:
    """The world's chart once everything is in it."""
    container = cosmos.container(client, DATABASE, CHARTS)

    async def found() -> Chart | None:
        chart = await one_chart(container, "top:1h:global")
        return chart if chart is not None and chart.position == ends else None

    chart = await wait_for_async(found, f"the chart to be at {ends}", DEADLINE)
    assert chart is not None
    return chart


async def read_logs(cloud: LocalCloud, ends: dict[str, int]) -> dict[str, Log]:
    """What the hub has of each song, with the times at which it took it."""
    logs: dict[str, Log] = {}
    left = set(ends)

    async def take(context: PartitionContext, events: list[EventData]) -> None:
        for each in events:
            assert each.sequence_number is not None
            assert each.enqueued_time is not None
            event = decode(each.body_as_str().encode())
            if isinstance(event.data, SongUploaded | SongRemoved):
                log = logs.setdefault(event.data.song_id, {})
                log.setdefault(int(context.partition_id), []).append(
                    Line(each.sequence_number, each.enqueued_time, event)
                )
            if each.sequence_number >= ends[context.partition_id]:
                left.discard(context.partition_id)

    reader: EventHubConsumerClient = eventhubs.consumer(read_eventhubs(cloud.environment), MUSIC_EVENTS, "$Default")
    async with reader:
        reading = asyncio.create_task(reader.receive_batch(take, starting_position="-1", max_wait_time=1))

        async def done() -> bool:
            return not left

        await wait_for_async(done, "the hub to be read", DEADLINE)
        reading.cancel()
    return logs


async def upload(catalog: Catalog, http: httpx.AsyncClient, title: str) -> Song:
    """A song that ann uploads, once it is in the catalog and the second is over in which it came."""
    headers = {"X-User-Id": "ann", "Content-Type": "audio/flac"}
    answer = await http.post("/v1/songs", params={"title": title}, content=SOUND, headers=headers)
    assert answer.status_code == 202, answer.text
    song_id = answer.json()["id"]

    async def there() -> Song | None:
        document = await catalog.song(song_id)
        return None if document is None else document.song

    song = await wait_for_async(there, f"song {song_id} to be in the catalog", DEADLINE)
    assert song is not None
    second = int(datetime.now(UTC).timestamp())

    async def over() -> bool:
        return int(datetime.now(UTC).timestamp()) > second

    await wait_for_async(over, "the next second")
    return song


def renamed(song: Song, title: str) -> Event:
    event = uploaded(song.user_id, title, song.uploaded_at, song.id, song.sha256)
    return structs.replace(event, data=structs.replace(event.data, size=song.size))


def played(song: str, user: str, at: datetime) -> Event:
    data = SongPlayed(user_id=user, song_id=song, played_ms=60_000, duration_ms=60_000, region="DE")
    return Event(id=f"play-{song}", source="/tests", time=at, data=data)


def said(event: Event | None) -> str | None:
    """The title that an event gives, or that the song is gone; None where nobody has uploaded it."""
    if event is None:
        return None
    return event.data.title if isinstance(event.data, SongUploaded) else "gone"


def titles(right: dict[str, Event | None], songs: list[str]) -> dict[str, str | None]:
    return {song: said(right[song]) for song in songs}
