"""The hub `catalog`, as an outside reader has it: a Kafka client that keeps the last record of each key."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from azure.cosmos.aio import ContainerProxy

from songline.cloud import cosmos, kafka
from songline.cloud.settings import read_cosmos, read_eventhubs
from songline.processors.catalog.compacted_topic_writer import CompactedTopicWriter
from songline.processors.catalog.fold import parse_songs
from songline.processors.catalog.processor import HELD_MAX, CatalogPartitionProcessor
from songline.processors.catalog.song_store import CONTAINER, SongStore, StoredSong
from songline.processors.runtime.hub_record import HubRecord
from songline.processors.runtime.persistent_retry import PersistentRetry
from songline.schemas.channels import CATALOG, SONGS
from songline.schemas.envelope import Event, encode
from songline.schemas.events import SongRemoved, SongUploaded
from songline.schemas.songs import Fact, Song
from tests.integration.producers.reading import read_all
from tests.support.catalog import DIALS, CatalogWorker, catalog_on
from tests.support.counted import CountedContainer
from tests.support.localcloud import LocalCloud
from tests.support.waiting import wait_for_async

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class KilledError(Exception):
    """What stands for a kill."""


def uploaded(song_id: str, title: str, minute: int = 0) -> bytes:
    data = SongUploaded(user_id="user-3", song_id=song_id, title=title, artist="Nova Reed", duration_ms=1_000)
    return encode(Event(id=f"up-{song_id}", source="/tests", time=NOON + timedelta(minutes=minute), data=data))


def removed(song_id: str) -> bytes:
    data = SongRemoved(user_id="user-3", song_id=song_id)
    return encode(Event(id=f"down-{song_id}", source="/tests", time=NOON + timedelta(hours=1), data=data))


async def told(cloud: LocalCloud) -> dict[str, list[Song | None]]:
    """What the hub says of each song, in its order."""
    found: dict[str, list[Song | None]] = {}
    for partition in await read_all(cloud, CATALOG):
        for key, body in partition:
            assert key is not None
            value = cast("bytes | None", body)  # the reader is made for hubs without tombstones
            found.setdefault(key.decode(), []).append(None if value is None else msgspec.json.decode(value, type=Song))
    return found


async def test_the_last_record_of_each_key_is_the_catalog(own_cloud: LocalCloud, tmp_path: Path) -> None:
    async with catalog_on(own_cloud) as catalog:
        worker = CatalogWorker(own_cloud, tmp_path / "worker.log").start()
        try:
            await catalog.tell(uploaded("song-1", "first"), uploaded("song-2", "second"), partition="0")
            await catalog.tell(uploaded("song-3", "third"), partition="1")
            ends = await catalog.ends()
            await wait_for_async(lambda: catalog.read_up_to(ends), "the worker to have read three uploads")
            assert all(says[-1] is not None for says in (await told(own_cloud)).values())
            await catalog.tell(removed("song-1"), uploaded("song-2", "changed", minute=1), partition="0")
            later = await catalog.ends()
            await wait_for_async(lambda: catalog.read_up_to(later), "the worker to have read a removal and a change")
            assert worker.stop() == 0, worker.said
        finally:
            worker.kill()
        last = {song_id: says[-1] for song_id, says in (await told(own_cloud)).items()}
        assert last == {song_id: document.song for song_id, document in (await catalog.songs()).items()}
        titles = {song_id: says and says.title for song_id, says in last.items()}
        assert titles == {"song-1": None, "song-2": "changed", "song-3": "third"}


async def test_far_behind_a_song_is_published_as_it_is_in_the_end(own_cloud: LocalCloud, tmp_path: Path) -> None:
    async with catalog_on(own_cloud) as catalog:
        titles = [f"title {number}" for number in range(2_000)]
        for start in range(0, len(titles), 500):
            await catalog.tell(*(uploaded("song-1", title) for title in titles[start : start + 500]))
        dials = {**DIALS, "SONGLINE_CATALOG_FLUSH": "3"}
        worker = CatalogWorker(own_cloud, tmp_path / "worker.log", dials, "tests.support.late_catalog").start()
        try:
            ends = await catalog.ends()
            await wait_for_async(lambda: catalog.read_up_to(ends), "the worker to have read all uploads")
        finally:
            worker.kill()
        says = (await told(own_cloud))["song-1"]
        assert says[-1] is not None
        assert says[-1].title == titles[-1]
        # One by one the worker takes 20 portions of them.
        assert len(says) < 10


@pytest.fixture
async def container(shared_localcloud: LocalCloud) -> AsyncIterator[ContainerProxy]:
    """In a database of these tests."""
    async with cosmos.client(read_cosmos(shared_localcloud.environment)) as client:
        await cosmos.ensure(client, "table-tests", (CONTAINER,))
        yield cosmos.container(client, "table-tests", SONGS)


@pytest.fixture
def songs(container: ContainerProxy) -> SongStore:
    return SongStore(container)


@pytest.fixture
async def producer(shared_localcloud: LocalCloud) -> AsyncIterator[AIOKafkaProducer]:
    """A worker's, but soon out of retries."""
    settings = read_eventhubs(shared_localcloud.environment)
    async with kafka.producer(settings, request_timeout_ms=300) as producer:
        yield producer


def facts(position: int, title: str, song_id: str = "race") -> tuple[Fact, ...]:
    """The later the position, the later it happened."""
    said = parse_songs([HubRecord(position, NOON, uploaded(song_id, title, minute=position))])
    return said.facts[song_id]


async def test_a_late_publisher_publishes_the_song_as_it_is_by_then(
    shared_localcloud: LocalCloud, songs: SongStore, producer: AIOKafkaProducer
) -> None:
    one, other = CompactedTopicWriter(producer, songs), CompactedTopicWriter(producer, songs)
    old = await songs.apply("race", "0", facts(1, "old"))
    await other.publish(await songs.apply("race", "1", facts(2, "new")))
    await one.publish(old)
    says = (await told(shared_localcloud))["race"]
    assert [song and song.title for song in says] == ["new", "old", "new"]


async def test_a_replica_that_is_behind_is_not_taken_at_its_word(
    shared_localcloud: LocalCloud,
    songs: SongStore,
    container: ContainerProxy,
    producer: AIOKafkaProducer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await songs.apply("behind", "0", facts(1, "old", "behind"))
    behind = await container.read_item("behind", "behind")
    await songs.apply("behind", "1", facts(2, "newest", "behind"))
    read_item, answers = container.read_item, [behind, behind]

    async def lagging(*names: str) -> object:
        return answers.pop() if answers else await read_item(*names)

    monkeypatch.setattr(container, "read_item", lagging)
    await CompactedTopicWriter(producer, songs).publish(await songs.read("behind"))
    assert not answers
    says = (await told(shared_localcloud))["behind"]
    assert says[-1] is not None
    assert says[-1].title == "newest"


async def test_a_new_song_costs_two_requests(
    shared_localcloud: LocalCloud, container: ContainerProxy, producer: AIOKafkaProducer
) -> None:
    counted = CountedContainer(container)
    songs = SongStore(cast("ContainerProxy", counted))
    processor = CatalogPartitionProcessor(
        "3", songs, CompactedTopicWriter(producer, songs).publish, PersistentRetry("3")
    )
    await processor.process([HubRecord(7, NOON, uploaded("thrifty", "Two Requests"))])
    assert counted.requests == ["create_item", "replace_item"]
    counted.requests.clear()
    await processor.process([HubRecord(8, NOON, removed("thrifty"))])
    assert counted.requests == ["read_item", "replace_item", "replace_item"]
    counted.requests.clear()
    # Read again after a crash.
    await processor.process([HubRecord(7, NOON, uploaded("thrifty", "Two Requests"))])
    assert counted.requests == ["create_item", "read_item", "replace_item"]
    assert (await told(shared_localcloud))["thrifty"][-1] is None


async def test_workers_of_all_partitions_agree_in_the_end(
    shared_localcloud: LocalCloud, songs: SongStore, producer: AIOKafkaProducer
) -> None:
    def of(partition: str, number: int) -> HubRecord:
        minute = 7 * number % 20
        return HubRecord(number, NOON, uploaded("crowd", f"{partition} at {minute}", minute))

    async def work(partition: str) -> None:
        part = CatalogPartitionProcessor(
            partition, songs, CompactedTopicWriter(producer, songs).publish, PersistentRetry(partition)
        )
        for number in range(10):
            await part.process([of(partition, number)])

    async with asyncio.TaskGroup() as group:
        for partition in ("0", "1", "2", "3"):
            group.create_task(work(partition))
    assert (await told(shared_localcloud))["crowd"][-1] == (await songs.read("crowd")).song


async def test_a_song_whose_writer_died_before_publishing_is_published_when_it_is_read_again(
    shared_localcloud: LocalCloud, songs: SongStore, producer: AIOKafkaProducer
) -> None:
    record = HubRecord(5, NOON, uploaded("orphan", "Paper Lanterns"))
    await songs.apply("orphan", "2", parse_songs([record]).facts["orphan"])
    assert "orphan" not in await told(shared_localcloud)
    await CatalogPartitionProcessor(
        "2", songs, CompactedTopicWriter(producer, songs).publish, PersistentRetry("2")
    ).process([record])
    assert (await told(shared_localcloud))["orphan"] == [(await songs.read("orphan")).song]


async def test_a_hub_that_is_away_holds_the_partition_up_and_loses_nothing(
    shared_localcloud: LocalCloud, songs: SongStore, producer: AIOKafkaProducer
) -> None:
    retries = PersistentRetry("3")
    part = CatalogPartitionProcessor("3", songs, CompactedTopicWriter(producer, songs).publish, retries)

    async def stuck() -> bool:
        return retries.failing_for_s() > 0

    with shared_localcloud.faults({"service": "kafka", "kind": "drop", "operation": "Produce", "entity": CATALOG}):
        taking = asyncio.create_task(part.process([HubRecord(1, NOON, uploaded("late", "Paper Lanterns"))]))
        await wait_for_async(stuck, "the partition to wait for the hub")
        assert not taking.done()
    await taking
    assert retries.failing_for_s() == 0
    assert (await told(shared_localcloud))["late"][-1] == (await songs.read("late")).song


async def test_held_songs_are_written_once_by_a_flush(
    shared_localcloud: LocalCloud, container: ContainerProxy, producer: AIOKafkaProducer
) -> None:
    counted = CountedContainer(container)
    songs = SongStore(cast("ContainerProxy", counted))
    publish = CompactedTopicWriter(producer, songs).publish
    part = CatalogPartitionProcessor("3", songs, publish, PersistentRetry("3"), holds=lambda record: True)
    for position in range(HELD_MAX):
        assert not part.is_full
        song_id = f"held-{position}" if position > 1 else "held"
        await part.process([HubRecord(position, NOON, uploaded(song_id, f"title {position}"))])
    assert (counted.requests, part.is_full) == ([], False)
    await part.process([HubRecord(HELD_MAX, NOON, uploaded("held-more", "more"))])
    assert (counted.requests, part.is_full) == ([], True)
    await part.flush()
    assert not part.is_full
    assert Counter(counted.requests) == {"create_item": HELD_MAX, "replace_item": HELD_MAX}
    says = await told(shared_localcloud)
    assert [song and song.title for song in says["held"]] == ["title 1"]
    counted.requests.clear()
    await part.flush()
    assert counted.requests == []


async def test_what_was_held_when_a_worker_was_killed_is_read_again(songs: SongStore) -> None:
    """It is killed after some of the songs are written, before the watermark is."""

    def records(name: str) -> list[HubRecord]:
        said = [uploaded(f"{name}-{number % 5}", f"title {number}", number) for number in range(20)]
        said[7:7] = [removed(f"{name}-1"), uploaded(f"{name}-1", "late", 50)]
        return [HubRecord(position, NOON, body) for position, body in enumerate(said)]

    written: list[str] = []

    async def dies(stored: StoredSong) -> None:
        written.append(stored.id)
        if len(written) == 2:
            raise KilledError

    async def publish(stored: StoredSong) -> None:
        written.append(stored.id)

    def opened(publishing: Callable[[StoredSong], Awaitable[None]]) -> CatalogPartitionProcessor:
        retries = PersistentRetry("3")
        return CatalogPartitionProcessor("3", songs, publishing, retries, holds=lambda record: True)

    killed = opened(dies)
    for one in records("killed"):
        await killed.process([one])
    with pytest.raises(KilledError):
        await killed.flush()
    written.clear()
    following = opened(publish)
    await following.process(records("killed"))
    await following.flush()
    assert sorted(written) == [f"killed-{number}" for number in range(5)], "one that was written may not be published"

    whole = CatalogPartitionProcessor("3", songs, publish, PersistentRetry("3"))
    for one in records("whole"):
        await whole.process([one])
    for number in range(5):
        found, expected = [(await songs.read(f"{name}-{number}")).song for name in ("killed", "whole")]
        assert found is not None
        assert expected is not None
        assert found.title == expected.title
