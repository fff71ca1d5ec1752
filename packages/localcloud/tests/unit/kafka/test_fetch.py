"""Fetch and offsets, frame by frame: waiting, limits, and where a partition begins and ends."""

import time
from datetime import timedelta
from typing import Any

import pytest
from kio.schema.errors import ErrorCode
from kio.schema.list_offsets.v4 import ListOffsetsRequest
from kio.schema.list_offsets.v4.request import ListOffsetsPartition, ListOffsetsTopic
from kio.schema.metadata.v8 import MetadataRequest
from kio.schema.metadata.v8.request import MetadataRequestTopic
from kio.schema.offset_for_leader_epoch.v3 import OffsetForLeaderEpochRequest
from kio.schema.offset_for_leader_epoch.v3.request import OffsetForLeaderPartition, OffsetForLeaderTopic

from localcloud.log.partition import PartitionLog
from localcloud.log.store import LogStore
from localcloud.testing.waiting import wait_for_async
from localcloud_tests.support.kafka_requests import fetch, fetched, make, plain, produce, produced, values
from localcloud_tests.unit.kafka.conftest import Connect

# Fetch.


async def test_a_fetch_at_the_end_waits_until_something_comes(connect: Connect, store: LogStore) -> None:
    reader, writer = await connect(), await connect()
    request = fetch(0, max_wait=timedelta(seconds=9), partitions=(0, 1))
    reader.send(request)
    partition = store.hub("events").partitions[1]
    await wait_for_async(lambda: subscribed(partition), "the fetch to wait")
    await produced(writer, produce(plain(b"news"), partition=1))
    answer = await reader.receive(request)
    assert [values(part.records) for part in answer.responses[0].partitions] == [[], [b"news"]]
    assert not partition._subscribers


async def subscribed(partition: PartitionLog) -> bool:
    return bool(partition._subscribers)


async def test_a_fetch_waits_for_as_much_as_it_asked_for(connect: Connect, store: LogStore) -> None:
    reader, writer = await connect(), await connect()
    size = len(plain(b"12345"))
    request = fetch(0, max_wait=timedelta(seconds=9), min_bytes=3 * size)
    reader.send(request)
    for _ in range(3):
        await produced(writer, produce(plain(b"12345")))
    answer = await reader.receive(request)
    assert len(values(answer.responses[0].partitions[0].records)) == 3


async def test_a_fetch_that_waits_in_vain_is_answered_in_time(connect: Connect) -> None:
    client = await connect()
    started = time.monotonic()
    answer = await fetched(client, fetch(0, max_wait=timedelta(milliseconds=80)))
    assert time.monotonic() - started >= 0.08
    assert (answer.error_code, answer.records, answer.high_watermark) == (ErrorCode.none, b"", 0)


async def test_fetches_honour_their_limits(connect: Connect) -> None:
    client = await connect()
    for number in range(10):
        for partition in (0, 1):
            await produced(client, produce(plain(b"%d" % number), partition=partition))
    size = len(plain(b"0"))

    async def counts(**limits: Any) -> list[int]:
        answer = await client.call(fetch(2, partitions=(0, 1), **limits))
        return [len(values(part.records)) for part in answer.responses[0].partitions]

    assert await counts() == [8, 8]
    assert await counts(partition_max_bytes=3 * size) == [3, 3]
    assert await counts(max_bytes=4 * size, partition_max_bytes=3 * size) == [3, 1]
    assert await counts(max_bytes=0) == [1, 0]
    assert await counts(partition_max_bytes=1) == [1, 0]


@pytest.mark.parametrize("offset", [-1, 2])
async def test_offsets_outside_are_refused_at_once(connect: Connect, offset: int) -> None:
    client = await connect()
    await produced(client, produce(plain(b"a")))
    answer = await fetched(client, fetch(offset, max_wait=timedelta(seconds=60)))
    assert answer.error_code is ErrorCode.offset_out_of_range
    assert (answer.log_start_offset, answer.high_watermark) == (0, 1)


async def test_fetch_sessions_are_declined(connect: Connect) -> None:
    client = await connect()
    assert (await client.call(fetch(0, session_epoch=0))).session_id == 0
    answer = await client.call(fetch(0, session_id=5, session_epoch=1))
    assert answer.error_code is ErrorCode.fetch_session_id_not_found


async def test_an_unknown_hub_is_not_created_by_asking(connect: Connect, store: LogStore) -> None:
    client = await connect()
    assert (await fetched(client, fetch(0, "nothing"))).error_code is ErrorCode.unknown_topic_or_partition
    wanted = make(MetadataRequestTopic, name="nothing")
    answer = await client.call(make(
        MetadataRequest, topics=(wanted,), allow_auto_topic_creation=True,
        include_cluster_authorized_operations=False, include_topic_authorized_operations=False,
    ))  # fmt: skip
    assert [topic.error_code for topic in answer.topics] == [ErrorCode.unknown_topic_or_partition]
    assert len(store.hubs()) == 3


# Offsets.


async def test_offsets_by_name_and_by_time(connect: Connect) -> None:
    client = await connect()
    for timestamp in (1000, 3000, 2000):
        await produced(client, produce(plain(b"a", b"b", timestamp=timestamp)))

    async def listed(timestamp: int, partition: int = 0) -> tuple[int, int]:
        part = make(ListOffsetsPartition, partition_index=partition, timestamp=timestamp)
        topic = make(ListOffsetsTopic, name="events", partitions=(part,))
        answer = await client.call(make(ListOffsetsRequest, replica_id=-1, isolation_level=0, topics=(topic,)))
        found = answer.topics[0].partitions[0]
        return found.offset, found.timestamp

    assert await listed(-2) == (0, -1)
    assert await listed(-1) == (6, -1)
    assert await listed(-3) == (2, 3000)
    assert await listed(0) == (0, 1000)
    assert await listed(1001) == (2, 3000)
    assert await listed(3001) == (-1, -1)
    assert await listed(-3, partition=1) == (-1, -1)
    assert await listed(5, partition=9) == (-1, -1)


async def test_the_only_epoch_ends_where_the_log_does(connect: Connect) -> None:
    client = await connect()
    await produced(client, produce(plain(b"a", b"b")))
    part = make(OffsetForLeaderPartition, partition=0, current_leader_epoch=0, leader_epoch=0)
    topic = make(OffsetForLeaderTopic, topic="events", partitions=(part,))
    answer = await client.call(make(OffsetForLeaderEpochRequest, replica_id=-1, topics=(topic,)))
    found = answer.topics[0].partitions[0]
    assert (found.error_code, found.leader_epoch, found.end_offset) == (ErrorCode.none, 0, 2)
