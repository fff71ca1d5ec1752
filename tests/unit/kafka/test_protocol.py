"""The corners of the protocol, frame by frame."""

import gzip
import os
import struct
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from crc32c import crc32c
from kio.schema.api_versions.v3 import ApiVersionsRequest
from kio.schema.errors import ErrorCode
from kio.schema.fetch.v11 import FetchRequest
from kio.schema.fetch.v11.request import FetchPartition, FetchTopic
from kio.schema.init_producer_id.v1 import InitProducerIdRequest
from kio.schema.list_offsets.v4 import ListOffsetsRequest
from kio.schema.list_offsets.v4.request import ListOffsetsPartition, ListOffsetsTopic
from kio.schema.metadata.v0 import MetadataRequest as MetadataRequestV0
from kio.schema.metadata.v8 import MetadataRequest
from kio.schema.metadata.v8.request import MetadataRequestTopic
from kio.schema.offset_for_leader_epoch.v3 import OffsetForLeaderEpochRequest
from kio.schema.offset_for_leader_epoch.v3.request import OffsetForLeaderPartition, OffsetForLeaderTopic
from kio.schema.produce.v8 import ProduceRequest
from kio.schema.produce.v8.request import PartitionProduceData, TopicProduceData
from kio.schema.sasl_authenticate.v1 import SaslAuthenticateRequest
from kio.schema.sasl_handshake.v0 import SaslHandshakeRequest as SaslHandshakeRequestV0
from kio.schema.sasl_handshake.v1 import SaslHandshakeRequest

from localcloud.kafka import connection
from localcloud.kafka.server import KafkaServer
from localcloud.log.batch import HEADER, HEADER_SIZE, build, header_of, records
from localcloud.log.partition import PartitionLog
from localcloud.log.store import LogStore
from localcloud.sas import Keys
from tests.support.kafka import CONNECTION_STRING, RawClient
from tests.support.waiting import wait_for_async
from tests.unit.kafka.conftest import HUBS, Connect


def make(kind: Any, **values: Any) -> Any:
    """An entity from plain values: kio's types are narrower than a test needs."""
    return kind(**values)


def produce(batch: bytes | None, topic: str = "events", partition: int = 0, **values: Any) -> Any:
    data = make(PartitionProduceData, index=partition, records=batch)
    return make(
        ProduceRequest,
        **{"acks": -1, "timeout": timedelta(seconds=5)} | values,
        topic_data=(make(TopicProduceData, name=topic, partition_data=(data,)),),
    )


def fetch(offset: int, topic: str = "events", partitions: tuple[int, ...] = (0,), **values: Any) -> Any:
    limits = {"max_wait": timedelta(), "min_bytes": 1, "max_bytes": 1 << 20, "isolation_level": 0} | values
    partition_max_bytes = limits.pop("partition_max_bytes", 1 << 20)
    parts = tuple(
        make(FetchPartition, partition=number, fetch_offset=offset, partition_max_bytes=partition_max_bytes)
        for number in partitions
    )
    return make(
        FetchRequest,
        **limits,
        replica_id=-1,
        topics=(make(FetchTopic, topic=topic, partitions=parts),),
        forgotten_topics_data=(),
    )


def values(data: bytes) -> list[bytes | None]:
    """The records' values of an answer's batches."""
    found = []
    while data:
        size = header_of(data).size
        found += [record.value for record in records(data[:size])]
        data = data[size:]
    return found


def plain(*contents: bytes, timestamp: int = 1000) -> bytes:
    return build([(b"k", content) for content in contents], timestamp)


def with_header(batch: bytes, *, body: bytes | None = None, **changes: int) -> bytes:
    """The batch with another header, its CRC made right again."""
    content = batch[HEADER_SIZE:] if body is None else body
    header = header_of(batch)._replace(batch_length=HEADER_SIZE - 12 + len(content), **changes)
    data = bytearray(HEADER.pack(*header) + content)
    struct.pack_into(">I", data, 17, crc32c(bytes(data[21:])))
    return bytes(data)


async def produced(client: RawClient, request: Any) -> Any:
    return (await client.call(request)).responses[0].partition_responses[0]


async def fetched(client: RawClient, request: Any) -> Any:
    return (await client.call(request)).responses[0].partitions[0]


# The way in.


async def test_a_version_of_the_future_is_answered_in_version_0(connect: Connect) -> None:
    client = await connect(sign_in=False)
    request = make(ApiVersionsRequest, client_software_name="x", client_software_version="1")
    client.send(request, api_version=99)
    answer = await client.receive(request, version=0)
    assert answer.error_code is ErrorCode.unsupported_version
    assert {key.api_key for key in answer.api_keys} >= {0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 17, 18, 36}
    assert (await client.call(request)).error_code is ErrorCode.none


async def test_nothing_but_the_way_in_is_served_before_it(connect: Connect) -> None:
    client = await connect(sign_in=False)
    client.send(make(MetadataRequestV0, topics=()))
    assert await client.closed()


async def test_a_wrong_key_is_refused_and_the_connection_closed(connect: Connect) -> None:
    client = await connect(sign_in=False)
    await client.call(SaslHandshakeRequest(mechanism="PLAIN"))
    token = b"\0$ConnectionString\0" + CONNECTION_STRING.replace("SAS_KEY_VALUE", "wrong").encode()
    answer = await client.call(SaslAuthenticateRequest(auth_bytes=token))
    assert answer.error_code is ErrorCode.sasl_authentication_failed
    assert "wrong" not in answer.error_message
    assert await client.closed()


@pytest.mark.parametrize("token", [b"", b"\0\0", b"\xff\0a\0b", b"\0root\0" + CONNECTION_STRING.encode()])
async def test_other_tokens_are_refused(connect: Connect, token: bytes) -> None:
    client = await connect(sign_in=False)
    await client.call(SaslHandshakeRequest(mechanism="PLAIN"))
    answer = await client.call(SaslAuthenticateRequest(auth_bytes=token))
    assert answer.error_code is ErrorCode.sasl_authentication_failed


async def test_authenticating_before_the_handshake_closes_the_connection(connect: Connect) -> None:
    client = await connect(sign_in=False)
    client.send(SaslAuthenticateRequest(auth_bytes=b"\0$ConnectionString\0" + CONNECTION_STRING.encode()))
    assert await client.closed()


async def test_other_mechanisms_are_told_which_one_there_is(connect: Connect) -> None:
    client = await connect(sign_in=False)
    answer = await client.call(SaslHandshakeRequest(mechanism="SCRAM-SHA-256"))
    assert (answer.error_code, answer.mechanisms) == (ErrorCode.unsupported_sasl_mechanism, ("PLAIN",))


async def test_the_oldest_handshake_is_followed_by_a_bare_token(connect: Connect) -> None:
    client = await connect(sign_in=False)
    await client.call(SaslHandshakeRequestV0(mechanism="PLAIN"))
    client.send_frame(b"\0$ConnectionString\0" + CONNECTION_STRING.encode())
    assert await client.receive_frame() == b""
    assert len((await client.call(make(MetadataRequestV0, topics=()))).topics) == 3
    refused = await connect(sign_in=False)
    await refused.call(SaslHandshakeRequestV0(mechanism="PLAIN"))
    refused.send_frame(b"\0$ConnectionString\0nonsense")
    assert await refused.closed()


async def test_a_credential_for_one_hub_opens_only_that(connect: Connect) -> None:
    client = await connect(password=CONNECTION_STRING + ";EntityPath=Events")
    assert [topic.name for topic in (await client.call(make(MetadataRequestV0, topics=()))).topics] == ["events"]
    assert (await produced(client, produce(plain(b"a")))).error_code is ErrorCode.none
    refused = await produced(client, produce(plain(b"a"), topic="other"))
    assert refused.error_code is ErrorCode.topic_authorization_failed
    assert (await fetched(client, fetch(0, "other"))).error_code is ErrorCode.topic_authorization_failed


# Hostile bytes.


@pytest.mark.parametrize(
    "data",
    [
        struct.pack(">i", -1),
        struct.pack(">i", 2**31 - 1),
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        struct.pack(">i", 3) + b"abc",
        struct.pack(">ihhi", 8, 3, 99, 1),
        struct.pack(">ihhi", 8, 999, 0, 1),
        struct.pack(">ihhih", 10, 18, 3, 1, 30000),
    ],
    ids=["negative", "huge", "http", "tls", "short", "version", "api", "truncated"],
)
async def test_hostile_bytes_close_the_connection_with_a_word_in_the_log(
    connect: Connect, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    client = await connect(sign_in=False)
    client.writer.write(data)
    assert await client.closed()
    assert "closed:" in caplog.text
    assert "unexpected" not in caplog.text


async def test_noise_after_signing_in_harms_nobody_else(connect: Connect) -> None:
    bystander = await connect()
    for seed in range(30):
        client = await connect()
        key, version = seed % 24, seed % 9
        noise = struct.pack(">hhi", key, version, 1) + os.urandom(60)
        client.send_frame(noise)
        client.writer.write_eof()
        while await client.reader.read(1000):
            pass
    assert (await produced(bystander, produce(plain(b"still here")))).error_code is ErrorCode.none


async def test_a_silent_connection_is_closed_as_azure_does(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "IDLE_SECONDS", 0.05)
    client = await connect(sign_in=False)
    assert await client.closed()


# Produce.


@pytest.mark.parametrize(
    ("batch", "error"),
    [
        (None, ErrorCode.invalid_record),
        (b"", ErrorCode.invalid_record),
        (b"x" * 10, ErrorCode.corrupt_message),
        (plain(b"a")[:-1], ErrorCode.corrupt_message),
        (plain(b"a")[:-1] + b"?", ErrorCode.corrupt_message),
        (plain(b"a") + plain(b"b"), ErrorCode.invalid_record),
        (with_header(plain(b"a"), magic=1), ErrorCode.unsupported_for_message_format),
        (with_header(plain(b"a"), attributes=2), ErrorCode.unsupported_compression_type),
        (with_header(plain(b"a"), attributes=3), ErrorCode.unsupported_compression_type),
        (with_header(plain(b"a"), attributes=4), ErrorCode.unsupported_compression_type),
        (with_header(plain(b"a"), attributes=0x10), ErrorCode.invalid_record),
        (with_header(plain(b"a"), attributes=0x20), ErrorCode.invalid_record),
        (with_header(plain(b"a"), record_count=0), ErrorCode.corrupt_message),
        (with_header(plain(b"a"), last_offset_delta=5), ErrorCode.corrupt_message),
        (plain(b"x" * 1_048_576), ErrorCode.message_too_large),
    ],
    ids=lambda value: value.name if isinstance(value, ErrorCode) else "",
)
async def test_batches_that_are_not_taken(
    connect: Connect, store: LogStore, batch: bytes | None, error: ErrorCode
) -> None:
    client = await connect()
    answer = await produced(client, produce(batch))
    assert (answer.error_code, answer.base_offset) == (error, -1)
    assert answer.error_message
    assert store.hub("events").partitions[0].end_offset == 0


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (produce(plain(b"a"), topic="nothing"), ErrorCode.unknown_topic_or_partition),
        (produce(plain(b"a"), partition=2), ErrorCode.unknown_topic_or_partition),
        (produce(plain(b"a"), partition=-1), ErrorCode.unknown_topic_or_partition),
        (produce(plain(b"a"), acks=2), ErrorCode.invalid_required_acks),
        (produce(plain(b"a"), transactional_id="t"), ErrorCode.transactional_id_authorization_failed),
        (produce(build([(None, b"no key")], 1), topic="tables"), ErrorCode.invalid_record),
    ],
    ids=["topic", "partition", "negative", "acks", "transaction", "keyless"],
)
async def test_requests_that_are_refused(connect: Connect, request_: Any, error: ErrorCode) -> None:
    answer = await produced(await connect(), request_)
    assert (answer.error_code, answer.base_offset) == (error, -1)


async def test_the_largest_batch_is_taken_and_read(connect: Connect) -> None:
    client = await connect()
    batch = plain(b"x" * (1_048_576 - len(plain(b"")) - 4))
    assert len(batch) <= 1_048_576
    assert (await produced(client, produce(batch))).base_offset == 0
    answer = await fetched(client, fetch(0, max_bytes=10, partition_max_bytes=10))
    assert answer.records[16:] == batch[16:]


async def test_gzip_is_stored_as_it_came(connect: Connect) -> None:
    client = await connect()
    batch = with_header(
        plain(b"a" * 500, b"b" * 500), body=gzip.compress(plain(b"a" * 500, b"b" * 500)[HEADER_SIZE:]), attributes=1
    )
    assert (await produced(client, produce(batch))).base_offset == 0
    answer = await fetched(client, fetch(0))
    assert answer.records[16:] == batch[16:]
    assert values(answer.records) == [b"a" * 500, b"b" * 500]


async def test_acks_0_is_not_answered_and_its_failure_closes(connect: Connect) -> None:
    client = await connect()
    client.send(produce(plain(b"a"), acks=0))
    assert (await produced(client, produce(plain(b"b")))).base_offset == 1
    client.send(produce(plain(b"a"), topic="nothing", acks=0))
    assert await client.closed()


async def test_pipelined_requests_keep_their_order_and_so_do_their_answers(connect: Connect) -> None:
    client = await connect()
    sent = [produce(plain(b"%d" % number)) for number in range(200)]
    for request in sent:
        client.send(request)
    offsets = [(await client.receive(request)).responses[0].partition_responses[0].base_offset for request in sent]
    assert offsets == list(range(200))
    answer = await fetched(client, fetch(0))
    assert values(answer.records) == [b"%d" % number for number in range(200)]


async def test_what_is_answered_stands_in_the_log(connect: Connect, store: LogStore) -> None:
    client = await connect()
    for acks in (1, -1):
        answer = await produced(client, produce(plain(b"a"), acks=acks))
        assert store.hub("events").partitions[0].high_watermark == answer.base_offset + 1
        assert (answer.log_start_offset, answer.log_append_time) == (0, None)


# Idempotent producers.


def sequenced(producer_id: int, sequence: int, *contents: bytes, epoch: int = 0) -> bytes:
    return with_header(plain(*contents), producer_id=producer_id, producer_epoch=epoch, base_sequence=sequence)


async def test_a_repeated_batch_is_answered_with_its_first_offset(connect: Connect, store: LogStore) -> None:
    client = await connect()
    answer = await client.call(make(InitProducerIdRequest, transactional_id=None, transaction_timeout=timedelta()))
    assert (answer.error_code, answer.producer_epoch) == (ErrorCode.none, 0)
    number = answer.producer_id
    batches = [sequenced(number, 0, b"a", b"b"), sequenced(number, 2, b"c")]
    for batch in batches * 2:
        client.send(produce(batch))
    answers = [(await client.receive(produce(None))).responses[0].partition_responses[0] for _ in range(4)]
    assert [(answer.error_code, answer.base_offset) for answer in answers] == [
        (ErrorCode.none, 0), (ErrorCode.none, 2), (ErrorCode.none, 0), (ErrorCode.none, 2),
    ]  # fmt: skip
    assert store.hub("events").partitions[0].end_offset == 3


@pytest.mark.parametrize(
    ("batch", "error"),
    [
        (sequenced(7, 4, b"gap"), ErrorCode.out_of_order_sequence_number),
        (sequenced(7, 1, b"other"), ErrorCode.out_of_order_sequence_number),
        (sequenced(7, 3, b"old", epoch=0), ErrorCode.invalid_producer_epoch),
        (sequenced(7, 3, b"new epoch", epoch=2), ErrorCode.out_of_order_sequence_number),
        (sequenced(7, 0, b"new epoch", epoch=2), ErrorCode.none),
        (sequenced(7, 3, b"next", epoch=1), ErrorCode.none),
        (sequenced(8, 33, b"unheard of"), ErrorCode.none),
    ],
    ids=["gap", "overlap", "epoch", "midway", "bumped", "next", "unknown"],
)
async def test_sequences_are_checked(connect: Connect, batch: bytes, error: ErrorCode) -> None:
    client = await connect()
    first = sequenced(7, 0, b"a", b"b", b"c", epoch=1)
    assert (await produced(client, produce(first))).error_code is ErrorCode.none
    header = header_of(batch)
    if error is ErrorCode.out_of_order_sequence_number and header.producer_epoch == 0:
        batch = with_header(batch, producer_epoch=1)
    assert (await produced(client, produce(batch))).error_code is error


async def test_producers_are_known_again_after_a_restart(tmp_path: Path) -> None:
    for round_ in range(2):
        async with (
            LogStore.open(tmp_path, HUBS, lambda: 1) as store,
            KafkaServer(store, Keys(), port=0) as server,
        ):
            client = await RawClient.connect(server.port)
            for sequence in range(7):
                answer = await produced(client, produce(sequenced(7, sequence, b"%d" % sequence)))
                # Only the last five are remembered; the oldest are out of order when they come again.
                if round_ == 0 or sequence > 1:
                    assert (answer.error_code, answer.base_offset) == (ErrorCode.none, sequence)
                else:
                    assert answer.error_code is ErrorCode.out_of_order_sequence_number
            assert store.hub("events").partitions[0].end_offset == 7
            await client.close()


async def test_a_failed_disk_does_not_break_a_producers_sequence(
    connect: Connect, store: LogStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await connect()
    await produced(client, produce(sequenced(7, 0, b"a")))

    def full(fd: int, data: memoryview, position: int) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    client.send(produce(sequenced(7, 1, b"b")))
    client.send(produce(sequenced(7, 2, b"c")))
    for _ in range(2):
        answer = (await client.receive(produce(None))).responses[0].partition_responses[0]
        assert answer.error_code is ErrorCode.kafka_storage_error
        assert "No space left" in answer.error_message
    monkeypatch.undo()
    assert (await produced(client, produce(sequenced(7, 2, b"c")))).error_code is ErrorCode.out_of_order_sequence_number
    assert (await produced(client, produce(sequenced(7, 1, b"b")))).base_offset == 1


async def test_transactions_are_refused(connect: Connect) -> None:
    client = await connect()
    answer = await client.call(make(InitProducerIdRequest, transactional_id="t", transaction_timeout=timedelta(1)))
    assert answer.error_code is ErrorCode.transactional_id_authorization_failed


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
