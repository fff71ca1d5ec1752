"""aiokafka against localcloud: what Faust and other asyncio applications rely on."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    KafkaError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

from localcloud.testing import LocalCloudProcess
from localcloud.testing.waiting import wait_for_async
from localcloud_tests.support.kafka import CONNECTION_STRING, aiokafka_options

DEADLINE = 60.0


async def read(consumer: AIOKafkaConsumer, count: int) -> list[Any]:
    """The next `count` messages, in the order of their partitions' offsets."""
    found: list[Any] = []
    async with asyncio.timeout(DEADLINE):
        while len(found) < count:
            for messages in (await consumer.getmany(timeout_ms=1000)).values():
                found += messages
    assert len(found) == count
    return found


def by_partition(messages: list[Any]) -> dict[int, list[Any]]:
    parts: dict[int, list[Any]] = {}
    for message in messages:
        parts.setdefault(message.partition, []).append(message)
    return parts


@pytest.mark.parametrize(
    ("hub", "compression", "acks", "idempotent"),
    [("one", None, "all", True), ("two", "gzip", 1, False), ("three", None, 0, False)],
)
async def test_what_is_sent_is_read_in_order_with_all_its_parts(
    shared: LocalCloudProcess, hub: str, compression: str | None, acks: str | int, idempotent: bool
) -> None:
    options = aiokafka_options(shared.kafka_bootstrap)
    async with AsyncExitStack() as stack:
        producer = AIOKafkaProducer(**options, compression_type=compression, acks=acks, enable_idempotence=idempotent)
        await stack.enter_async_context(producer)
        for number in range(300):
            await producer.send(
                hub, b"value %d" % number * 10, key=b"key %d" % (number % 7), timestamp_ms=1000 + number,
                headers=[("h", b"%d" % number), ("empty", b"")],
            )  # fmt: skip
        await producer.flush()
        consumer = AIOKafkaConsumer(hub, **options, auto_offset_reset="earliest")
        await stack.enter_async_context(consumer)
        messages = await read(consumer, 300)
        assert {m.value for m in messages} == {b"value %d" % number * 10 for number in range(300)}
        for part in by_partition(messages).values():
            assert [m.offset for m in part] == list(range(len(part)))
            numbers = [int(m.headers[0][1]) for m in part]
            assert numbers == sorted(numbers)
            assert all(m.timestamp == 1000 + number for m, number in zip(part, numbers, strict=True))
        ends = await consumer.end_offsets(consumer.assignment())
        assert sum(ends.values()) == 300
        assert (
            consumer.highwater(TopicPartition(hub, messages[0].partition))
            == ends[TopicPartition(hub, messages[0].partition)]
        )


async def test_offsets_by_time(shared: LocalCloudProcess) -> None:
    options = aiokafka_options(shared.kafka_bootstrap)
    async with AsyncExitStack() as stack:
        producer = await stack.enter_async_context(AIOKafkaProducer(**options))
        for timestamp in (100, 200, 300):
            await producer.send_and_wait("single", b"v", timestamp_ms=timestamp)
        consumer = await stack.enter_async_context(AIOKafkaConsumer(**options))
        partition = TopicPartition("single", 0)
        consumer.assign([partition])
        found = await consumer.offsets_for_times({partition: 150})
        assert (found[partition].offset, found[partition].timestamp) == (1, 200)
        assert (await consumer.offsets_for_times({partition: 999}))[partition] is None
        assert (await consumer.beginning_offsets([partition]))[partition] == 0


async def test_a_group_shares_partitions_and_takes_over_from_who_leaves(shared: LocalCloudProcess) -> None:
    options = aiokafka_options(shared.kafka_bootstrap)
    moved = asyncio.Event()

    class Listener(ConsumerRebalanceListener):  # type: ignore[misc] # the library has no types
        async def on_partitions_revoked(self, revoked: object) -> None:
            moved.set()

        async def on_partitions_assigned(self, assigned: object) -> None:
            moved.set()

    async with AsyncExitStack() as stack:
        producer = await stack.enter_async_context(AIOKafkaProducer(**options))
        consumers = []
        for _ in range(3):
            consumer = AIOKafkaConsumer(
                **options, group_id="sharing", auto_offset_reset="earliest", heartbeat_interval_ms=200
            )
            consumer.subscribe(["four"], listener=Listener())
            await consumer.start()
            stack.push_async_callback(consumer.stop)
            consumers.append(consumer)

        async def one_each() -> bool:
            return sorted(tp.partition for c in consumers for tp in c.assignment()) == [0, 1, 2] and all(
                len(c.assignment()) == 1 for c in consumers
            )

        await wait_for_async(one_each, "one partition for each of three members")
        for number in range(3):
            await producer.send_and_wait("four", b"%d" % number, partition=number)
        for consumer in consumers:
            (message,) = await read(consumer, 1)
            assert message.partition == next(iter(consumer.assignment())).partition
            await consumer.commit()
        await consumers.pop().stop()

        async def all_by_two() -> bool:
            return sorted(tp.partition for c in consumers for tp in c.assignment()) == [0, 1, 2]

        await wait_for_async(all_by_two, "the two that stay to have all partitions")
        for number in range(3):
            await producer.send_and_wait("four", b"more %d" % number, partition=number)
        later = [await read(consumer, len(consumer.assignment())) for consumer in consumers]
        assert sorted(m.value for messages in later for m in messages) == [b"more 0", b"more 1", b"more 2"]
        assert moved.is_set()


async def test_a_group_goes_on_where_it_had_committed(shared: LocalCloudProcess) -> None:
    options = aiokafka_options(shared.kafka_bootstrap)
    partition = TopicPartition("five", 0)
    async with AIOKafkaProducer(**options) as producer:
        for number in range(10):
            await producer.send_and_wait("five", b"%d" % number, partition=0)
    group = {"group_id": "resuming", "auto_offset_reset": "earliest", "enable_auto_commit": False}
    async with AIOKafkaConsumer("five", **options, **group) as consumer:
        assert await consumer.committed(partition) is None
        await read(consumer, 10)
        await consumer.commit({partition: (6, "note")})
    async with AIOKafkaConsumer("five", **options, **group) as consumer:
        assert [m.value for m in await read(consumer, 4)] == [b"6", b"7", b"8", b"9"]


async def test_a_hub_that_is_not_there_is_created_on_demand_when_that_is_allowed(shared: LocalCloudProcess) -> None:
    options = aiokafka_options(shared.kafka_bootstrap)
    async with AIOKafkaProducer(**options) as producer:
        assert (await producer.send_and_wait("on-demand", b"v")).offset == 0
        assert len(await producer.partitions_for("on-demand")) == 1


async def test_a_wrong_password_is_refused(shared: LocalCloudProcess) -> None:
    options = aiokafka_options(shared.kafka_bootstrap, CONNECTION_STRING.replace("SAS_KEY_VALUE", "guess"))
    producer = AIOKafkaProducer(**options)
    try:
        with pytest.raises(KafkaError):
            await producer.start()
    finally:
        await producer.stop()


async def test_what_is_too_large_is_refused_and_the_producer_goes_on(shared: LocalCloudProcess) -> None:
    options = aiokafka_options(shared.kafka_bootstrap)
    async with AIOKafkaProducer(**options, max_request_size=3 << 20) as producer:
        with pytest.raises(MessageSizeTooLargeError):
            await producer.send_and_wait("six", bytes(1_100_000))
        assert (await producer.send_and_wait("six", bytes(1_000_000))).offset == 0


async def test_topics_are_created_and_deleted_when_that_is_allowed(shared: LocalCloudProcess) -> None:
    admin = AIOKafkaAdminClient(**aiokafka_options(shared.kafka_bootstrap))
    await admin.start()
    try:
        await admin.create_topics([NewTopic("made", 2, 1, topic_configs={"cleanup.policy": "compact"})])
        assert "made" in await admin.list_topics()
        (description,) = await admin.describe_topics(["made"])
        assert len(description["partitions"]) == 2
        await admin.delete_topics(["made"])
        assert "made" not in await admin.list_topics()
    finally:
        await admin.close()


async def test_topics_are_not_created_otherwise(cloud: LocalCloudProcess) -> None:
    options = aiokafka_options(cloud.kafka_bootstrap)
    async with AIOKafkaProducer(**options, request_timeout_ms=1500) as producer:
        with pytest.raises((UnknownTopicOrPartitionError, KafkaError)):
            await producer.send_and_wait("nothing-here", b"v")
        assert "nothing-here" not in (await producer.client.fetch_all_metadata()).topics()
    admin = AIOKafkaAdminClient(**options)
    await admin.start()
    try:
        response = await admin.create_topics([NewTopic("made", 2, 1)])
        assert [error[1] for error in response.topic_errors] == [TopicAuthorizationFailedError.errno]
        assert "made" not in await admin.list_topics()
    finally:
        await admin.close()


async def test_events_offsets_and_groups_outlive_a_kill(cloud: LocalCloudProcess) -> None:
    options = aiokafka_options(cloud.kafka_bootstrap)
    group = {"group_id": "surviving", "auto_offset_reset": "earliest", "enable_auto_commit": False}
    async with AsyncExitStack() as stack:
        producer = await stack.enter_async_context(AIOKafkaProducer(**options, enable_idempotence=True))
        consumer = await stack.enter_async_context(AIOKafkaConsumer("single", **options, **group))
        for number in range(20):
            await producer.send_and_wait("single", b"%d" % number)
        await read(consumer, 20)
        await consumer.commit({TopicPartition("single", 0): 12})
        cloud.kill()
        cloud.start()
        # The same producer goes on with its sequence, which the log remembers.
        for number in range(20, 25):
            await producer.send_and_wait("single", b"%d" % number)
        # A member that had to join again goes on from what it had committed, one that had not from where it was.
        seen: list[int] = []
        async with asyncio.timeout(DEADLINE):
            while not seen or seen[-1] != 24:
                seen.append((await consumer.getone()).offset)
        assert seen in (list(range(20, 25)), list(range(12, 25)))
    async with AIOKafkaConsumer("single", **options, **group) as consumer:
        assert [m.offset for m in await read(consumer, 13)] == list(range(12, 25))
