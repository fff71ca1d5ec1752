"""Hours that are over, sealed into Blob Storage by the worker: late events find them, and nothing counts twice."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from azure.cosmos.aio import ContainerProxy
from azure.storage.blob.aio import ContainerClient

from songline.audit import chart_reference as reference
from songline.cloud import blobs, cosmos
from songline.cloud.kafka import client_options
from songline.cloud.settings import CloudSettings, read_blobs
from songline.processors.runtime.projection_config import DATA
from songline.processors.trending.cells.sealed_blocks import HEADER, BadFrame, pack_block, unpack_block
from songline.processors.trending.cells.sealed_hours import IMAGE, INDEX, SealedHours
from songline.schemas.channels import CHARTS, DATABASE, MUSIC_EVENTS, TRENDING_BLOBS, TRENDING_CELLS_CHANGELOG
from songline.schemas.envelope import Event, decode, encode
from songline.schemas.events import SongPlayed
from tests.support.localcloud import LocalCloud
from tests.support.waiting import wait_for, wait_for_async
from tests.support.worker import QUICK, TrendingWorker, make_containers, one_chart, read_hub

WEEK = "top:7d:global"
DEADLINE = 120.0


@contextmanager
def working(cloud: LocalCloud, log: Path, **config: str) -> Iterator[TrendingWorker]:
    worker = TrendingWorker(cloud, log, {**QUICK, **config}, "tests.support.hasty_trending").start()
    try:
        yield worker
    finally:
        worker.kill()


async def test_an_hour_that_is_over_is_sealed_and_late_events_find_it(own_cloud: LocalCloud, tmp_path: Path) -> None:
    cloud = own_cloud
    settings, log = cloud.settings(), tmp_path / "worker.log"
    await make_containers(settings)
    past = (datetime.now(UTC) - timedelta(hours=5)).replace(minute=30)
    first, second = range(40), range(20, 60)
    async with cosmos.client(settings.cosmos) as client, blobs.client(read_blobs(cloud.environment)) as service:
        container = cosmos.container(client, DATABASE, CHARTS)
        sealed = service.get_container_client(TRENDING_BLOBS)
        await send(settings, [play(number, past) for number in first])
        with working(cloud, log, SONGLINE_TEST_DIES="sealed") as worker:
            await wait_for_async(partial(has_ended, worker), "a worker that ends in the midst of sealing", DEADLINE)
        assert await chunks(settings), "nothing was deleted before the worker ended"
        with working(cloud, log):
            # The same listeners again, and others: from both places, the first are known.
            await send(settings, [play(number, past) for number in second])
            await wait_for_async(partial(right, settings, container), "counts that know the sealed hour", DEADLINE)
            await wait_for_async(partial(is_sealed, settings), "a changelog without the hour", DEADLINE)
            before = await sizes(sealed)
            assert before
            await wait_for_async(partial(is_indexed, sealed), "indexes of the hours", DEADLINE)
            await send(settings, [play(number, past) for number in range(80)])
            await wait_for_async(partial(right, settings, container), "late events counted once", DEADLINE)
            await wait_for_async(partial(is_sealed, settings), "an hour that is sealed anew", DEADLINE)
        await sealed.upload_blob(min(before) + INDEX, b"not ours", overwrite=True)
        with working(cloud, log):
            await send(settings, [play(number, past) for number in range(90)])
            await wait_for_async(partial(right, settings, container), "a new owner that knows the hour", DEADLINE)
        assert log.read_text().count("can't be used, the hour is loaded as a whole") == 1
        after = await sizes(sealed)
        assert all(after[name] > size for name, size in before.items())


async def test_a_successor_knows_the_open_hour_before_it_owns_partitions(own_cloud: LocalCloud, tmp_path: Path) -> None:
    settings, now = own_cloud.settings(), datetime.now(UTC)
    await make_containers(settings)
    # The one before is in the group until it is removed, however long the next one takes to start.
    config = {DATA: str(tmp_path), "SONGLINE_TEST_BLOCK_BYTES": "1", "SONGLINE_TRENDING_SESSION_MS": "60000"}
    owners = tmp_path / "owners" / "trending-0.txt"
    async with (
        cosmos.client(settings.cosmos) as client,
        blobs.client(read_blobs(own_cloud.environment)) as service,
    ):
        container = cosmos.container(client, DATABASE, CHARTS)
        sealed = service.get_container_client(TRENDING_BLOBS)
        # What a worker has saved last may be written again; the next one seals it.
        for turn in range(3):
            # Some of the listeners have played their song before the kill.
            await send(settings, [play(number, now) for number in range(20 * turn, 20 * turn + 40)])
            with working(own_cloud, tmp_path / f"{turn}.log", **config) as worker:
                await wait_for_async(partial(right, settings, container), "counts of all", DEADLINE)
                await wait_for_async(partial(has_marks, settings, min(turn, 1)), "blocks of the open hour", DEADLINE)
                await wait_for_async(partial(has_images, sealed, min(turn, 1)), "images of the open hour", DEADLINE)
                await wait_for_async(partial(has_shard_images, sealed, min(turn, 1)), "images of shards", DEADLINE)
                wait_for(lambda: len(owners.read_text().splitlines()) == 2, "its name in the file")
    assert worker.said.count("are loaded before it is assigned") == 4, worker.said
    assert worker.said.count("is restored by its image") == 4, worker.said
    assert "can't be used" not in worker.said


async def has_shard_images(sealed: ContainerClient, each: int) -> bool:
    """Whether each shard has so many images, one at most."""
    return not each or len([one async for one in sealed.list_blobs(name_starts_with="shards/")]) == 4


async def has_images(sealed: ContainerClient, each: int) -> bool:
    """Whether so many hours of each partition have an image, at least."""
    return (
        not each
        or len([one async for one in sealed.list_blobs() if one.name[0].isdecimal() and one.name.endswith(IMAGE)])
        >= 4 * each
    )


async def has_marks(settings: CloudSettings, each: int) -> bool:
    """Whether so many hours of each partition are marked as sealed, at least."""
    marks = [key async for key, _ in records(settings) if b"/sealed/" in key]
    return len(marks) >= 4 * each


async def test_owners_add_to_each_others_blocks(song_cloud: LocalCloud) -> None:
    async with hours_of(song_cloud, "owners") as (container, one):
        another = SealedHours(container)
        for hours in (one, another):
            await hours.add_block(0, 5, b"first")
        await asyncio.gather(*[hours.add_block(0, 5, b"%d" % turn) for turn in range(3) for hours in (one, another)])
        found = [block async for block in one.read(0, 5)]
        assert sorted(found) == sorted([b"first"] * 2 + [b"%d" % turn for turn in range(3)] * 2)


async def test_what_stands_in_a_blob_already_stops_nobody(song_cloud: LocalCloud) -> None:
    async with hours_of(song_cloud, "foreign") as (container, hours):
        await container.upload_blob("0/6", b"not ours")
        assert [list(unpack_block(block)) async for block in hours.read(0, 6)] == [
            [BadFrame(0, "no frame begins here, 8 bytes are passed over")]
        ]
        await hours.add_block(0, 6, b"ours")
        assert (await read_all(hours, 6))[-1] == b"ours"


async def test_a_small_hour_is_read_as_a_whole_unless_it_is_damaged(song_cloud: LocalCloud) -> None:
    async with hours_of(song_cloud, "small") as (_, hours):
        blocks = [pack_block([b"one", b"two"]), pack_block([b"three"])]
        for block in blocks:
            await hours.add_block(0, 7, block)
        assert await read_all(hours, 7) == [b"".join(blocks)]
        assert list(unpack_block(b"".join(blocks))) == [b"one", b"two", b"three"]
        await hours.add_block(0, 7, b"slc" + blocks[0])
        await hours.add_block(0, 7, blocks[1])
        assert await read_all(hours, 7) == [*blocks, b"slc" + blocks[0], blocks[1]], "no block costs the next one"


async def test_hours_that_no_window_shows_are_deleted(song_cloud: LocalCloud) -> None:
    async with hours_of(song_cloud, "old") as (container, hours):
        for partition, hour in ((0, 4), (0, 5), (1, 4)):
            await hours.add_block(partition, hour, b"block")
        await container.upload_blob("0/notes", b"somebody's")
        await hours.delete_before(0, 5)
        assert {one.name async for one in container.list_blobs()} == {"0/5", "1/4", "0/notes"}


@pytest.mark.parametrize(
    ("block", "found"),
    [
        (b"", []),
        (HEADER.pack(b"slc1", 1, 0xE8B7BE43) + b"a", [b"a"]),
        (HEADER.pack(b"slc1", 1, 7) + b"a" + HEADER.pack(b"slc1", 1, 0xE8B7BE43) + b"a", [BadFrame, b"a"]),
        (HEADER.pack(b"slc1", 2, 7) + b"a", [BadFrame]),
        (HEADER.pack(b"slc1", 2**31, 7) + b"a", [BadFrame]),
        (HEADER.pack(b"slc1", 1, 0xE8B7BE43) + b"a" + b"slc1", [b"a", BadFrame]),
    ],
)
def test_a_damaged_chunk_costs_no_other(block: bytes, found: list[Any]) -> None:
    assert [one if isinstance(one, bytes) else type(one) for one in unpack_block(block)] == found


@asynccontextmanager
async def hours_of(cloud: LocalCloud, name: str) -> AsyncIterator[tuple[ContainerClient, SealedHours]]:
    async with blobs.client(read_blobs(cloud.environment)) as service:
        container = service.get_container_client(name)
        hours = SealedHours(container)
        assert await read_all(hours, 5) == []
        await hours.make_container()
        await hours.make_container()
        yield container, hours


async def read_all(hours: SealedHours, hour: int) -> list[bytes]:
    return [block async for block in hours.read(0, hour)]


async def has_ended(worker: TrendingWorker) -> bool:
    return not worker.running


async def send(settings: CloudSettings, plays: list[Event]) -> None:
    producer = AIOKafkaProducer(**client_options(settings.eventhubs))
    await producer.start()
    try:
        for event in plays:
            user = int(event.data.user_id.removeprefix("user-"))
            await producer.send(MUSIC_EVENTS, encode(event), partition=user % 4)
        await producer.flush()
    finally:
        await producer.stop()


def play(number: int, at: datetime) -> Event:
    data = SongPlayed(
        user_id=f"user-{number}", song_id=f"song-{number % 3}", played_ms=60_000, duration_ms=90_000, region="DE"
    )
    return Event(id=f"play-{number}", source="/tests", time=at, data=data)


async def right(settings: CloudSettings, container: ContainerProxy) -> bool:
    """Whether the chart of the week is what the reference makes of all that is in the hub."""
    log = [(partition, offset, decode(body)) for partition, offset, body in await read_hub(settings)]
    chart = await one_chart(container, WEEK)
    if chart is None or sum(position + 1 for position in chart.position.values()) < len(log):
        return False
    expected = [(line.song_id, line.listens) for line in reference.charts(log, chart.as_of)[WEEK]]
    assert [(one.song_id, one.listens) for one in chart.entries] == expected
    return True


async def chunks(settings: CloudSettings) -> list[bytes]:
    """The keys of the chunks that the cells' changelog holds."""
    return [key async for key, value in records(settings) if value is not None and b"/sealed/" not in key]


async def is_sealed(settings: CloudSettings) -> bool:
    return not await chunks(settings)


async def records(settings: CloudSettings) -> AsyncIterator[tuple[bytes, bytes | None]]:
    """The last record of each key."""
    consumer = AIOKafkaConsumer(**client_options(settings.eventhubs), auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [TopicPartition(TRENDING_CELLS_CHANGELOG, number) for number in range(4)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        last: dict[bytes, bytes | None] = {}
        while any([await consumer.position(one) < end for one, end in ends.items()]):
            for found in (await consumer.getmany(timeout_ms=200)).values():
                last |= {record.key: record.value for record in found}
    finally:
        await consumer.stop()
    for key, value in last.items():
        yield key, value


async def sizes(container: ContainerClient) -> dict[str, int]:
    """The sealed hours, without their indexes."""
    return {one.name: one.size async for one in container.list_blobs() if not one.name.endswith(INDEX)}


async def is_indexed(container: ContainerClient) -> bool:
    """Whether every sealed hour has its index."""
    names = {one.name async for one in container.list_blobs()}
    return all(name.removesuffix(INDEX) + INDEX in names for name in names)
