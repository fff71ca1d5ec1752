"""Produce, frame by frame: what is taken, what is refused, and producers that number their batches."""

import gzip
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from kio.schema.errors import ErrorCode
from kio.schema.init_producer_id.v1 import InitProducerIdRequest

from localcloud.kafka.server import KafkaServer
from localcloud.log.batch import HEADER_SIZE, build, header_of
from localcloud.log.store import LogStore
from localcloud.sas import Keys
from localcloud_tests.support.kafka import RawClient
from localcloud_tests.support.kafka_requests import (
    fetch,
    fetched,
    make,
    plain,
    produce,
    produced,
    values,
    with_deltas,
    with_header,
)
from localcloud_tests.unit.kafka.conftest import HUBS, Connect


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
        (produce(with_deltas(plain(b"a", b"b"), [(0, 0), (2, 0)]), topic="tables"), ErrorCode.invalid_record),
    ],
    ids=["topic", "partition", "negative", "acks", "transaction", "keyless", "deltas"],
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
        assert "the disk is full" in answer.error_message
    monkeypatch.undo()
    assert (await produced(client, produce(sequenced(7, 2, b"c")))).error_code is ErrorCode.out_of_order_sequence_number
    assert (await produced(client, produce(sequenced(7, 1, b"b")))).base_offset == 1


async def test_transactions_are_refused(connect: Connect) -> None:
    client = await connect()
    answer = await client.call(make(InitProducerIdRequest, transactional_id="t", transaction_timeout=timedelta(1)))
    assert answer.error_code is ErrorCode.transactional_id_authorization_failed
