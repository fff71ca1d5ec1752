"""The history over Blob Storage and a hub: events in flight, and files that Capture writes at the same moment."""

import asyncio
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

import pytest
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubProducerClient
from azure.storage.blob.aio import ContainerClient

from songline.cloud import blobs, eventhubs
from songline.cloud.settings import read_blobs
from songline.processors.history.archive.blob_files import BlobFiles
from songline.processors.history.archive.errors import ArchiveHoleError
from songline.processors.history.archive.history import HubHistory
from songline.processors.history.archive.hub_tail import HubTail
from songline.processors.history.archive.name_format import NameFormat
from songline.processors.history.archive.opening import open_history
from songline.processors.history.index.archive_index import is_of_listener
from songline.processors.history.index.opening import open_index
from songline.processors.runtime.hub_metadata import HubMetadata
from songline.schemas.channels import MUSIC_EVENTS
from songline.schemas.envelope import Event, encode
from songline.schemas.events import SongLiked
from tests.support.capture_files import NOON, capture_file, record
from tests.support.localcloud import LocalCloud
from tests.support.waiting import wait_for_async

NAMES = NameFormat.default(MUSIC_EVENTS)
PARTITIONS = ("0", "1", "2", "3")
BUSY = PARTITIONS[2:]


class Archive:
    """The archive's container, into which the test writes as Capture does."""

    def __init__(self, container: ContainerClient) -> None:
        self.container = container
        self._files = 0

    async def write(self, partition: str, records: Sequence[dict[str, object]]) -> None:
        """Write a file."""
        self._files += 1
        moment = datetime.fromtimestamp(NOON + 60 * self._files, UTC)
        await self.container.upload_blob(NAMES.path("ns", MUSIC_EVENTS, partition, moment), capture_file(records))


@pytest.fixture
async def archive(song_cloud: LocalCloud) -> AsyncIterator[Archive]:
    async with blobs.client(read_blobs(song_cloud.environment)) as account:
        container = account.get_container_client(f"archive-{time.time_ns()}")
        await container.create_container()
        yield Archive(container)


@pytest.fixture
async def producer(song_cloud: LocalCloud) -> AsyncIterator[EventHubProducerClient]:
    async with eventhubs.producer(song_cloud.settings().eventhubs, MUSIC_EVENTS) as client:
        yield client


@pytest.fixture
async def tail(song_cloud: LocalCloud) -> AsyncIterator[HubTail]:
    def consumer() -> object:
        return eventhubs.consumer(song_cloud.settings().eventhubs, MUSIC_EVENTS, "$Default")

    async with eventhubs.consumer(song_cloud.settings().eventhubs, MUSIC_EVENTS, "$Default") as client:
        yield HubTail(consumer, HubMetadata(client))  # type: ignore[arg-type]


async def read(history: HubHistory, partition: str, after: int = -1) -> list[tuple[int, bytes]]:
    return [
        event
        async for batch in history.read(partition, after)
        for event in zip(batch.positions, batch.bodies, strict=True)
    ]


async def end_of(tail: HubTail, partition: str) -> int:
    state = await tail.read_state(partition)
    assert state is not None
    return state.last


async def send(producer: EventHubProducerClient, partition: str, bodies: Sequence[bytes]) -> None:
    await producer.send_batch([EventData(body) for body in bodies], partition_id=partition)


async def test_the_index_has_files_without_events(archive: Archive, song_cloud: LocalCloud) -> None:
    """Capture writes one for each window in which nothing came."""
    environ = {**song_cloud.environment, "SONGLINE_ARCHIVE_CONTAINER": archive.container.container_name}
    data = SongLiked(user_id="ann", song_id="s-1")
    liked = encode(Event(id="e-0", source="/t", time=datetime.fromtimestamp(NOON, UTC), data=data))
    found = []
    for records in ([], [record(0, NOON, liked)], [], []):
        await archive.write("0", records)
        async with open_history(environ, with_tail=False) as history, open_index(environ, history) as index:
            found.append([event.position for event in (await index.listener_history("ann")).events])
    assert found == [[], [0], [0], [0]]


async def test_events_in_flight_are_read_once_and_none_is_lost(
    archive: Archive, producer: EventHubProducerClient, tail: HubTail
) -> None:
    """While producers send and Capture writes what they sent, a reader that goes on and on misses nothing."""
    files = BlobFiles(archive.container, NAMES)
    sent = dict.fromkeys(BUSY, 0)
    taken: dict[str, list[tuple[int, bytes]]] = {partition: [] for partition in BUSY}
    first = {partition: await end_of(tail, partition) + 1 for partition in BUSY}
    captured = dict(first)
    for partition in BUSY:
        # What the hub had before is in a file.
        if first[partition]:
            await archive.write(partition, [record(at, int(time.time()), b"old") for at in range(first[partition])])
    ended = asyncio.Event()

    async def produce(partition: str) -> None:
        while not ended.is_set():
            count = sent[partition] % 7 + 1
            await send(producer, partition, [b"%d" % (sent[partition] + more) for more in range(count)])
            sent[partition] += count

    async def capture(partition: str) -> None:
        reader = HubHistory(NoFiles(), tail)
        while not ended.is_set():
            fresh = [one async for one in reader.read(partition, captured[partition] - 1)]
            records = [
                record(at, second, body)
                for batch in fresh
                for at, second, body in zip(batch.positions, batch.enqueued_s, batch.bodies, strict=True)
            ]
            if records:
                await archive.write(partition, records)
                captured[partition] = int(str(records[-1]["SequenceNumber"])) + 1
            await asyncio.sleep(0.02)

    async def follow(partition: str) -> None:
        while not ended.is_set():
            history = HubHistory(files, tail)
            after = taken[partition][-1][0] if taken[partition] else first[partition] - 1
            taken[partition] += await read(history, partition, after)

    async def has_followed() -> bool:
        return all(len(taken[one]) >= 200 and captured[one] >= first[one] + 200 for one in BUSY)

    async with asyncio.TaskGroup() as group:
        for partition in BUSY:
            for job in (produce, capture, follow):
                group.create_task(job(partition))
        await wait_for_async(has_followed, "the reader to follow", 120)
        ended.set()
    for partition in BUSY:
        history = HubHistory(files, tail)
        taken[partition] += await read(history, partition, taken[partition][-1][0])
        wanted = [(first[partition] + number, b"%d" % number) for number in range(sent[partition])]
        assert taken[partition] == wanted
        assert (await read(history, partition))[first[partition] :] == wanted
        extent = await history.extent(partition)
        assert extent.hub_last == first[partition] + sent[partition] - 1
        assert extent.waiting == extent.hub_last - captured[partition] + 1
        assert (extent.holes, extent.damages) == ((), ())


class NoFiles(BlobFiles):
    """An archive without a file."""

    def __init__(self) -> None:
        pass

    async def list(self) -> None:
        return None


async def test_what_the_archive_lacks_is_read_from_the_hub(
    archive: Archive, producer: EventHubProducerClient, tail: HubTail
) -> None:
    partition = PARTITIONS[0]
    await send(producer, partition, [b"%d" % number for number in range(50)])
    everything = await read(HubHistory(NoFiles(), tail), partition)
    last = everything[-1][0]
    assert [at for at, _ in everything] == list(range(last + 1))
    await archive.write(partition, [record(at, int(time.time()), body) for at, body in everything[5:20]])
    await archive.write(partition, [record(at, int(time.time()), body) for at, body in everything[25:30]])
    history = HubHistory(BlobFiles(archive.container, NAMES), tail)
    assert await read(history, partition) == everything
    # The archive alone lacks them.
    with pytest.raises(ArchiveHoleError, match="0 to 4"):
        await read(HubHistory(BlobFiles(archive.container, NAMES)), partition)


async def test_the_environment_opens_a_history(song_cloud: LocalCloud, producer: EventHubProducerClient) -> None:
    await send(producer, "1", [b"one", b"two"])
    environ = {**song_cloud.environment, "SONGLINE_ARCHIVE_CONTAINER": "archive-of-nobody"}
    async with open_history(environ) as history:
        assert await history.partitions() == list(PARTITIONS)
        found = await read(history, "1")
        assert [body for _, body in found[-2:]] == [b"one", b"two"]
        assert not (await history.extent("1")).has_container


async def test_a_file_that_is_written_anew_while_it_is_read_is_read_whole(archive: Archive) -> None:
    """An erasure does so: the positions stay, and the bodies change."""
    old = [record(at, NOON, b"old" * 3_000) for at in range(3_000)]
    await archive.write("0", old)
    name = await anext(one.name async for one in archive.container.list_blobs())
    history = HubHistory(BlobFiles(archive.container, NAMES))
    reading = history.read("0")
    found = [await anext(reading)]
    new = capture_file([{**one, "Body": b"new" * 3_000} for one in old])
    await archive.container.upload_blob(name, new, overwrite=True)
    found += [batch async for batch in reading]
    assert [at for batch in found for at in batch.positions] == list(range(3_000))
    assert found[-1].bodies[-1] == b"new" * 3_000


async def test_the_index_of_an_archive_in_blobs_finds_what_a_reading_finds(
    song_cloud: LocalCloud, archive: Archive, producer: EventHubProducerClient
) -> None:
    """Also of what only the hub has."""
    liked = [
        Event(
            id=f"e-{at}", source="/t", time=datetime.now(UTC), data=SongLiked(user_id=f"u-{at % 3}", song_id=f"s-{at}")
        )
        for at in range(40)
    ]
    await send(producer, "3", [encode(one) for one in liked])
    environ = {**song_cloud.environment, "SONGLINE_ARCHIVE_CONTAINER": archive.container.container_name}
    for _ in range(2):
        async with open_history(environ) as history, open_index(environ, history) as index:
            events = [batch async for batch in history.read("3")]
            bodies = [body for batch in events for body in batch.bodies]
            found = (await index.listener_history("u-1")).events
            assert [event.body for event in found] == [body for body in bodies if is_of_listener(body, "u-1")]
            assert len(found) >= 13
            last = events[-1].positions[-1]
        # The next time, a file has the half of it.
        captured = [
            record(at, second, body)
            for batch in events
            for at, second, body in zip(batch.positions, batch.enqueued_s, batch.bodies, strict=True)
        ][: last - 20]
        await archive.write("3", captured)


async def test_the_archive_and_the_hub_are_asked_in_sql(
    song_cloud: LocalCloud, archive: Archive, producer: EventHubProducerClient
) -> None:
    container = archive.container.container_name
    environ = {**song_cloud.environment, "SONGLINE_ARCHIVE_CONTAINER": container, "SONGLINE_DATA": "nowhere"}
    liked = Event(id="sql-1", source="/t", time=datetime.now(UTC), data=SongLiked(user_id="sql-user", song_id="s-1"))
    await send(producer, "1", [encode(liked)])

    async def sql(*arguments: str) -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "songline", "sql", *arguments, env=environ, stdout=PIPE, stderr=PIPE
        )
        out, err = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()

    wanted = "select song_id from liked where user_id = 'sql-user'"
    answers = await asyncio.gather(
        sql(wanted, "--format", "csv"),
        sql(wanted, "--no-tail", "--format", "json"),
        sql("select song from liked"),
        sql("select 1", "--since", "soon"),
    )
    assert answers[0][:2] == (0, "song_id\ns-1\n")
    # The archive has nothing yet.
    assert answers[1][:2] == (0, "")
    assert (answers[2][0], "song" in answers[2][2], "Traceback" in answers[2][2]) == (2, True, False)
    assert (answers[3][0], "saw 'soon', expected a moment" in answers[3][2]) == (2, True)
    damaged = NAMES.path("ns", MUSIC_EVENTS, "0", datetime(2025, 11, 22, tzinfo=UTC))
    await archive.container.upload_blob(damaged, b"nothing")
    code, _, err = await sql("select count(*) from events")
    assert code == 2
    assert damaged in " ".join(err.split()).replace("- ", "-")
