"""Every kind of reader gets everything, in order, of batches that are very unequal in segments that are small.

What fits into one answer then ends anywhere: between batches, at a segment's end, before a batch that is too large.
"""

import asyncio
import random
import time
from collections.abc import Iterator

import pytest
from aiokafka import AIOKafkaConsumer
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient, PartitionContext
from confluent_kafka import Consumer

from localcloud.log.batch import build
from localcloud.testing import LocalCloudProcess
from localcloud_tests.integration.eventhubs.conftest import write_config
from localcloud_tests.support.kafka import RawClient, aiokafka_options, confluent_options
from localcloud_tests.support.kafka_requests import produce

DEADLINE_S = 60.0
PARTITIONS = 2
BATCHES = 500
COUNTS = [1, 1, 1, 2, 5, 40]
SIZES = [20, 100, 300, 3000, 30_000]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloudProcess]:
    folder = tmp_path_factory.mktemp("unequal")
    config = write_config(folder / "Config.json", ["unequal"], PARTITIONS)
    cloud = LocalCloudProcess(folder / "data", ["--config", str(config), "--segment-bytes", "200000"]).start()
    yield cloud
    cloud.stop()


@pytest.fixture(scope="module")
def sent(cloud: LocalCloudProcess) -> int:
    """How many records each partition holds; the value of each begins with its position."""
    count = asyncio.run(_fill(cloud))
    for partition in range(PARTITIONS):
        assert len(list((cloud.data / "hubs" / "hubs" / "unequal" / str(partition)).glob("*.log"))) > 10
    return count


async def _fill(cloud: LocalCloudProcess) -> int:
    client = await RawClient.connect(cloud.ports["kafka"])
    chance, position = random.Random(1), 0  # by this seed a reader with default limits meets each kind of end too
    for _ in range(BATCHES):
        size = chance.choice(SIZES)
        count = min(chance.choice(COUNTS), max(1, 600_000 // size))
        values = [(b"k", b"%d." % (position + number) + b"x" * size) for number in range(count)]
        for partition in range(PARTITIONS):
            await client.call(produce(build([*values], 1), "unequal", partition))
        position += count
    await client.close()
    return position


class Received:
    """The positions that came, by partition."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._positions: dict[int, list[int]] = {partition: [] for partition in range(PARTITIONS)}

    def add(self, partition: int, offset: int, value: bytes) -> None:
        assert value.startswith(b"%d." % offset)
        self._positions[partition].append(offset)

    @property
    def complete(self) -> bool:
        """Whether the ends are reached, whatever came before."""
        return all(positions[-1:] == [self._count - 1] for positions in self._positions.values())

    def check(self) -> None:
        for positions in self._positions.values():
            assert positions == list(range(self._count))


@pytest.mark.parametrize("limits", [{}, {"max_partition_fetch_bytes": 100_000}, {"fetch_max_bytes": 300_000}], ids=str)
async def test_aiokafka_receives_everything(cloud: LocalCloudProcess, sent: int, limits: dict[str, int]) -> None:
    received = Received(sent)
    options = aiokafka_options(cloud.kafka_bootstrap) | {"auto_offset_reset": "earliest"} | limits
    async with AIOKafkaConsumer("unequal", **options) as consumer, asyncio.timeout(DEADLINE_S):
        while not received.complete:
            for place, records in (await consumer.getmany(timeout_ms=1000)).items():
                for record in records:
                    received.add(place.partition, record.offset, record.value)
    received.check()


@pytest.mark.parametrize("limits", [{}, {"fetch.message.max.bytes": 100_000}], ids=str)
def test_librdkafka_receives_everything(cloud: LocalCloudProcess, sent: int, limits: dict[str, int]) -> None:
    received = Received(sent)
    group = {"group.id": f"unequal {limits}", "auto.offset.reset": "earliest", "enable.auto.commit": False}
    consumer = Consumer(confluent_options(cloud.kafka_bootstrap) | group | limits)
    consumer.subscribe(["unequal"])
    end = time.monotonic() + DEADLINE_S
    try:
        while not received.complete:
            assert time.monotonic() < end, "not everything came"
            for message in consumer.consume(1000, 1.0):
                assert message.error() is None
                received.add(message.partition(), message.offset(), message.value())
    finally:
        consumer.close()
    received.check()


@pytest.mark.parametrize("prefetch", [300, 3000])
async def test_azure_eventhub_receives_everything(cloud: LocalCloudProcess, sent: int, prefetch: int) -> None:
    received = Received(sent)
    done = asyncio.Event()

    async def on_batch(context: PartitionContext, events: list[EventData]) -> None:
        for event in events:
            assert event.sequence_number is not None
            body = b"".join(event.body)  # type: ignore[arg-type] # one data section each
            received.add(int(context.partition_id), event.sequence_number, body)
        if received.complete:
            done.set()

    client = EventHubConsumerClient.from_connection_string(
        cloud.eventhub_connection_string, "$Default", eventhub_name="unequal"
    )
    async with client:
        receiving = asyncio.create_task(
            client.receive_batch(on_batch, starting_position="-1", prefetch=prefetch, max_batch_size=300)
        )
        await asyncio.wait_for(done.wait(), DEADLINE_S)
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)
    received.check()
