"""Limits of a namespace. What comes in beyond its throughput units is refused over AMQP, and answered later over Kafka;
what goes out comes later. A client too many is refused."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.errors import PolicyViolationError
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient, EventHubProducerClient
from azure.eventhub.exceptions import EventHubError
from kio.schema.errors import ErrorCode
from kio.schema.metadata.v12 import MetadataRequest
from kio.schema.metadata.v12.request import MetadataRequestTopic

from localcloud.config import HubConfig
from localcloud.eventhubs.server import EventHubsServer
from localcloud.kafka.server import KafkaServer
from localcloud.log.store import LogStore
from localcloud.sas import Keys
from localcloud.standard_tier import ConnectionCount
from localcloud.testing.waiting import wait_for_async
from localcloud.throughput_units import EGRESS, ThroughputUnits
from localcloud_tests.support.kafka import CONNECTION_STRING, RawClient, aiokafka_options
from localcloud_tests.support.kafka_requests import make


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


async def test_a_reader_over_amqp_gets_the_rest_later(store: LogStore) -> None:
    clock = Clock()
    egress = ThroughputUnits(1, clock, EGRESS)
    async with EventHubsServer(store, Keys(), egress=egress) as server:
        address = CONNECTION_STRING.replace("127.0.0.1", f"127.0.0.1:{server.port}")
        async with EventHubProducerClient.from_connection_string(address, eventhub_name="events") as producer:
            await producer.send_batch([EventData(b"x") for _ in range(10)])
        # What was due is paid in two seconds, and the clock stands still.
        egress.take(0, 3 * EGRESS.events_s)
        async with EventHubConsumerClient.from_connection_string(
            address, "$Default", eventhub_name="events"
        ) as consumer:
            read: list[Any] = []
            rounds = asyncio.Event()

            async def on_event(context: Any, event: Any) -> None:
                if event is None:
                    rounds.set()
                else:
                    read.append(event)

            receiving = asyncio.create_task(
                consumer.receive(on_event, partition_id="0", starting_position="-1", max_wait_time=2)
            )
            await asyncio.wait_for(rounds.wait(), 60)
            assert read == []
            clock.now_s += 2

            async def all_read() -> bool:
                return len(read) == 10

            assert await wait_for_async(all_read, "ten events", 60)
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)


async def test_a_reader_over_kafka_is_answered_later(store: LogStore) -> None:
    now_s = asyncio.get_running_loop().time
    egress = ThroughputUnits(1, now_s, EGRESS)
    async with KafkaServer(store, Keys(), port=0, egress=egress) as server:
        address = f"127.0.0.1:{server.port}"
        async with AIOKafkaProducer(**aiokafka_options(address)) as producer:
            await producer.send_and_wait("events", b"late")
        egress.take(0, int(2.5 * EGRESS.events_s))
        paid_s = now_s() + egress.wait_s()
        async with AIOKafkaConsumer(auto_offset_reset="earliest", **aiokafka_options(address)) as consumer:
            consumer.assign([TopicPartition("events", 0)])
            assert (await asyncio.wait_for(consumer.getone(), 60)).value == b"late"
        assert now_s() >= paid_s - 0.05


async def test_a_client_too_many_is_refused(store: LogStore) -> None:
    # The SDK has two connections at a time.
    count = ConnectionCount(2)
    async with (
        EventHubsServer(store, Keys(), connections=count) as server,
        KafkaServer(store, Keys(), port=0, connections=count) as kafka,
    ):
        address = CONNECTION_STRING.replace("127.0.0.1", f"127.0.0.1:{server.port}")
        while count.admit():
            pass
        async with EventHubProducerClient.from_connection_string(
            address, eventhub_name="events", retry_total=0
        ) as producer:
            with pytest.raises(EventHubError, match="ConnectionsQuotaExceeded"):
                await producer.send_batch([EventData(b"refused")], partition_id="0")
        reader, writer = await asyncio.open_connection("127.0.0.1", kafka.port)
        assert await asyncio.wait_for(reader.read(), 60) == b""
        writer.close()
        await writer.wait_closed()
        count.release()
        count.release()
        async with EventHubProducerClient.from_connection_string(address, eventhub_name="events") as producer:
            await producer.send_batch([EventData(b"taken")], partition_id="0")
    assert store.hub("events").partitions[0].end_offset == 1


async def test_in_the_tier_standard_there_are_ten_hubs_and_none_grows(tmp_path: Path) -> None:
    hubs = [HubConfig(f"hub-{number}", 1) for number in range(9)]
    async with (
        LogStore.open(tmp_path, hubs, lambda: 1) as store,
        KafkaServer(store, Keys(), port=0, create_topics=True, standard=True) as server,
    ):
        admin = AIOKafkaAdminClient(**aiokafka_options(f"127.0.0.1:{server.port}"))
        await admin.start()
        try:
            made = await admin.create_topics([NewTopic(name, 1, 1) for name in ("tenth", "eleventh")])
            errors = [(name, error) for name, error, *_ in made.topic_errors]
            assert errors == [("tenth", 0), ("eleventh", PolicyViolationError.errno)]
            with pytest.raises(PolicyViolationError, match="keeps the partitions"):
                await admin.create_partitions({"hub-0": NewPartitions(2)})
        finally:
            await admin.close()
        client = await RawClient.connect(server.port)
        wanted = make(MetadataRequestTopic, name="on-demand", topic_id=None)
        asked = make(
            MetadataRequest,
            topics=(wanted,),
            allow_auto_topic_creation=True,
            include_topic_authorized_operations=False,
        )
        assert (await client.call(asked)).topics[0].error_code is ErrorCode.policy_violation
        await client.close()
        assert len(store.hubs()) == 10
        assert len(store.hub("hub-0").partitions) == 1
