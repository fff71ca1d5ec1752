"""A namespace that takes in no more than its throughput units: over AMQP it is busy, over Kafka it answers later."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubProducerClient
from azure.eventhub.exceptions import EventHubError

from localcloud.config import HubConfig
from localcloud.eventhubs.server import EventHubsServer
from localcloud.kafka.server import KafkaServer
from localcloud.log.store import LogStore
from localcloud.sas import Keys
from localcloud.throughput_units import ThroughputUnits
from localcloud_tests.support.kafka import CONNECTION_STRING, aiokafka_options


class Clock:
    """Stands still."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LogStore]:
    async with LogStore.open(tmp_path, [HubConfig("events", 1)], lambda: 1) as opened:
        yield opened


async def test_a_sender_over_amqp_is_told_that_the_namespace_is_busy(store: LogStore) -> None:
    clock = Clock()
    async with EventHubsServer(store, Keys(), units=ThroughputUnits(1, clock)) as server:
        address = CONNECTION_STRING.replace("127.0.0.1", f"127.0.0.1:{server.port}")
        async with EventHubProducerClient.from_connection_string(
            address, eventhub_name="events", retry_total=0
        ) as producer:
            # A second's worth at once, and one that is owed: the next has to wait.
            for _ in range(2):
                await producer.send_batch([EventData(b"x") for _ in range(1_000)])
            with pytest.raises(EventHubError, match="being throttled"):
                await producer.send_batch([EventData(b"late")])
            clock.now_s += 2
            await producer.send_batch([EventData(b"in time")])
    assert store.hub("events").partitions[0].end_offset == 2_001


async def test_a_sender_over_kafka_is_answered_later(store: LogStore) -> None:
    units = ThroughputUnits(1, asyncio.get_running_loop().time)
    async with (
        KafkaServer(store, Keys(), port=0, units=units) as server,
        AIOKafkaProducer(**aiokafka_options(f"127.0.0.1:{server.port}")) as producer,
    ):
        units.take(0, 2_500)
        paid_s = asyncio.get_running_loop().time() + units.wait_s()
        await producer.send_and_wait("events", b"late")
        assert asyncio.get_running_loop().time() >= paid_s - 0.05
    assert store.hub("events").partitions[0].end_offset == 1
