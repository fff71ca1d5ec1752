"""A compacted hub that ends in gaps, read by both families of clients from every offset up to the end."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient, PartitionContext

from localcloud.config import HubConfig
from localcloud.eventhubs.server import EventHubsServer
from localcloud.kafka.server import KafkaServer
from localcloud.log.batch import build
from localcloud.log.store import LogStore
from localcloud.sas import Keys
from localcloud_tests.support.kafka import CONNECTION_STRING, aiokafka_options

HUB = HubConfig("tables", 1, compacted=True, retention_ms=None)
DAY_MS = 24 * 3_600_000
DEADLINE = 60.0
END = 6


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LogStore]:
    """Offsets 0 to 5, of which 2 and 5 are left: the others were overwritten or deleted a day ago."""
    async with LogStore.open(tmp_path, [HUB], lambda: DAY_MS) as store:
        partition = store.hub("tables").partitions[0]
        for pair in ((b"a", b"1"), (b"b", b"1"), (b"a", b"2"), (b"c", b"1"), (b"c", None), (b"b", None)):
            await partition.append(build([pair], 1))
        folder = partition.folder
    # As a crash leaves it that comes between the creation of a segment and its first write.
    (folder / f"{END:020d}.log").touch()
    async with LogStore.open(tmp_path, [HUB], lambda: 3 * DAY_MS) as store:
        partition = store.hub("tables").partitions[0]
        await partition.maintain()
        assert [batch.base_offset for batch in partition.read(0, 1 << 20)] == [2, END - 1]
        assert partition.high_watermark == END
        yield store


def left(start: int) -> list[int]:
    return [offset for offset in (2, END - 1) if offset >= start]


async def test_kafka_readers_reach_the_end_from_every_offset(store: LogStore) -> None:
    async with KafkaServer(store, Keys(), port=0) as server, asyncio.timeout(DEADLINE):
        partition = TopicPartition("tables", 0)
        consumer = AIOKafkaConsumer(**aiokafka_options(f"127.0.0.1:{server.port}"), auto_offset_reset="none")
        await consumer.start()
        try:
            consumer.assign([partition])
            for start in range(END):
                consumer.seek(partition, start)
                found = []
                while await consumer.position(partition) < END:
                    record = await consumer.getone()
                    found.append(record.offset)
                assert found == left(start)
        finally:
            await consumer.stop()


async def test_amqp_readers_reach_it_too(store: LogStore) -> None:
    async with EventHubsServer(store, Keys()) as server:
        address = CONNECTION_STRING.replace("127.0.0.1", f"127.0.0.1:{server.port}")
        starts = range(1, END)  # five readers at once are what a group may have of a partition
        assert await asyncio.gather(*(received(address, start) for start in starts)) == [
            left(start) for start in starts
        ]


async def received(address: str, start: int) -> list[int]:
    """The sequence numbers from `start` on, until the one that is told to be the last enqueued."""
    found: list[int] = []
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def on_event(context: PartitionContext, event: EventData | None) -> None:
        assert event is not None
        assert event.sequence_number is not None
        found.append(event.sequence_number)
        properties = context.last_enqueued_event_properties
        assert properties is not None
        if event.sequence_number == properties["sequence_number"]:
            done.set_result(None)

    async def on_error(_: PartitionContext, error: Exception) -> None:
        done.set_exception(error)

    client = EventHubConsumerClient.from_connection_string(address, "$Default", eventhub_name="tables", retry_total=0)
    async with client, asyncio.timeout(DEADLINE):
        receiving = asyncio.create_task(
            client.receive(
                on_event,
                on_error=on_error,
                partition_id="0",
                starting_position=start,
                starting_position_inclusive=True,
                track_last_enqueued_event_properties=True,
            )
        )
        try:
            await done
        finally:
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)
    return found
