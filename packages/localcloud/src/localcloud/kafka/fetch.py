"""Fetch: stored batches as they are, at once or when there are enough bytes."""

import asyncio
from collections.abc import Iterator
from typing import NamedTuple, TypeVar, cast

from kio.schema.errors import ErrorCode
from kio.schema.fetch.v12 import FetchRequest, FetchResponse
from kio.schema.fetch.v12.request import FetchPartition
from kio.schema.fetch.v12.response import FetchableTopicResponse, PartitionData
from kio.schema.fetch.v13 import FetchRequest as FetchRequestV13
from kio.schema.fetch.v13 import FetchResponse as FetchResponseV13
from kio.schema.fetch.v13.response import FetchableTopicResponse as FetchableTopicResponseV13
from kio.schema.fetch.v13.response import PartitionData as PartitionDataV13

from localcloud.kafka.namespace import KafkaClient, KafkaNamespace, find_hub, find_hub_by_id, find_partition
from localcloud.kafka.primitives import LEADER_EPOCH, NO_THROTTLE, i32, i64, milliseconds, records, topic
from localcloud.log.errors import DamagedLogError, InvalidOffsetError
from localcloud.log.partition import PartitionLog
from localcloud.log.store import Hub
from localcloud.sas import Right
from localcloud.throughput_units import ThroughputUnits

MAX_RESPONSE_BYTES = 16 << 20
"""The most bytes of records in one response: building a response must not block the event loop for long."""
MAX_WAIT_MS = 60_000
MAX_THROTTLE_S = 5.0
"""Clients give up a request after half a minute, and a fetch may have waited before."""

_Row = tuple[FetchPartition, PartitionLog | ErrorCode]
_Topic = list[_Row]


class _Partition(NamedTuple):
    """What a response says of one partition, in any version."""

    number: int
    error: ErrorCode
    high_watermark: int
    start_offset: int
    data: bytes = b""
    events: int = 0


class _Read(NamedTuple):
    """What one look at the partitions found, a list of results a topic."""

    topics: list[tuple[_Partition, ...]]
    size_bytes: int
    failed: bool


async def fetch(namespace: KafkaNamespace, client: KafkaClient, request: FetchRequest) -> FetchResponse:
    """Answers without a session: clients then name all partitions each time, which costs nothing with one broker."""
    if request.session_id:
        return FetchResponse(throttle_time=NO_THROTTLE, error_code=ErrorCode.fetch_session_id_not_found, responses=())
    found = await _fetched(
        namespace.egress,
        request,
        [find_hub(namespace, client, wanted.topic, Right.LISTEN) for wanted in request.topics],
    )
    return FetchResponse(
        throttle_time=NO_THROTTLE,
        error_code=ErrorCode.none,
        responses=tuple(
            FetchableTopicResponse(
                topic=topic(wanted.topic), partitions=tuple(_as_entity(each, PartitionData) for each in partitions)
            )
            for wanted, partitions in zip(request.topics, found, strict=True)
        ),
    )


async def fetch_by_id(namespace: KafkaNamespace, client: KafkaClient, request: FetchRequestV13) -> FetchResponseV13:
    """From version 13 on topics are named by their ids alone (KIP-516)."""
    if request.session_id:
        return FetchResponseV13(
            throttle_time=NO_THROTTLE, error_code=ErrorCode.fetch_session_id_not_found, responses=()
        )
    found = await _fetched(
        namespace.egress,
        request,
        [find_hub_by_id(namespace, client, wanted.topic_id, Right.LISTEN) for wanted in request.topics],
    )
    return FetchResponseV13(
        throttle_time=NO_THROTTLE,
        error_code=ErrorCode.none,
        responses=tuple(
            FetchableTopicResponseV13(
                topic_id=wanted.topic_id, partitions=tuple(_as_entity(each, PartitionDataV13) for each in partitions)
            )
            for wanted, partitions in zip(request.topics, found, strict=True)
        ),
    )


async def _fetched(
    egress: ThroughputUnits, request: FetchRequest | FetchRequestV13, hubs: list[Hub | ErrorCode]
) -> list[tuple[_Partition, ...]]:
    """The partitions' data, a tuple a topic of the request: at once, or when there is enough, or at the time-out; and
    later than that where more has gone out than `egress` allows."""
    found = await _awaited(request, hubs)
    if (wait_s := min(egress.wait_s(), MAX_THROTTLE_S)) > 0:
        # Clients that don't heed the time in a response are held back by waiting for it.
        await asyncio.sleep(wait_s)
    parts = [part for parts in found for part in parts]
    egress.take(sum(len(part.data) for part in parts), sum(part.events for part in parts))
    return found


async def _awaited(
    request: FetchRequest | FetchRequestV13, hubs: list[Hub | ErrorCode]
) -> list[tuple[_Partition, ...]]:
    # The partitions of both versions have the same fields.
    topics = cast("FetchRequest", request).topics
    asked: list[_Topic] = [
        [(part, find_partition(hub, part.partition)) for part in wanted.partitions]
        for wanted, hub in zip(topics, hubs, strict=True)
    ]
    read = _read(request, asked)
    wait_ms = min(milliseconds(request.max_wait), MAX_WAIT_MS)
    if read.failed or read.size_bytes >= request.min_bytes or wait_ms <= 0:
        return read.topics
    with _AppendWatch(row[1] for rows in asked for row in rows) as watch:
        try:
            async with asyncio.timeout(wait_ms / 1000):
                while read.size_bytes < request.min_bytes and not read.failed:
                    await watch.moved()
                    read = _read(request, asked)
        except TimeoutError:
            pass
    return read.topics


class _AppendWatch:
    """Waits until a batch is appended to one of several partitions."""

    def __init__(self, partitions: Iterator[PartitionLog | ErrorCode]) -> None:
        self._partitions = [partition for partition in partitions if isinstance(partition, PartitionLog)]
        self._event = asyncio.Event()

    def __enter__(self) -> "_AppendWatch":
        for partition in self._partitions:
            partition.subscribe(self._event.set)
        return self

    def __exit__(self, *_: object) -> None:
        for partition in self._partitions:
            partition.unsubscribe(self._event.set)

    async def moved(self) -> None:
        await self._event.wait()
        self._event.clear()


def _read(request: FetchRequest | FetchRequestV13, asked: list[_Topic]) -> _Read:
    budget = min(request.max_bytes, MAX_RESPONSE_BYTES)
    size = 0
    failed = False
    topics = []
    for rows in asked:
        parts = []
        for wanted, partition in rows:
            part = _partition_data(wanted, partition, budget - size, first=size == 0)
            failed = failed or part.error is not ErrorCode.none
            size += len(part.data)
            parts.append(part)
        topics.append(tuple(parts))
    return _Read(topics, size, failed)


def _partition_data(
    wanted: FetchPartition, partition: PartitionLog | ErrorCode, budget: int, *, first: bool
) -> _Partition:
    """At least one batch for the first partition that has any, so that a batch above the limits can't stop a reader."""
    number = wanted.partition
    if isinstance(partition, ErrorCode):
        return _Partition(number, partition, -1, -1)
    if wanted.current_leader_epoch > LEADER_EPOCH:
        return _Partition(number, ErrorCode.unknown_leader_epoch, -1, -1)
    limit = max(0, min(wanted.partition_max_bytes, budget))
    data, events = b"", 0
    if wanted.fetch_offset != partition.high_watermark and (limit or first):
        try:
            batches = partition.read(wanted.fetch_offset, limit)
        except InvalidOffsetError:
            return _Partition(number, ErrorCode.offset_out_of_range, partition.high_watermark, partition.start_offset)
        except DamagedLogError:
            return _Partition(number, ErrorCode.corrupt_message, partition.high_watermark, partition.start_offset)
        if batches and (first or len(batches[0].data) <= limit):
            data = b"".join([batch.data for batch in batches])
            events = sum(batch.last_offset - batch.base_offset + 1 for batch in batches)
    return _Partition(number, ErrorCode.none, partition.high_watermark, partition.start_offset, data, events)


_Entity = TypeVar("_Entity", PartitionData, PartitionDataV13)


def _as_entity(partition: _Partition, kind: type[_Entity]) -> _Entity:
    """Of the class of the response's own version: only then its optional fields are seen to hold nothing to write."""
    return kind(
        partition_index=i32(partition.number),
        error_code=partition.error,
        high_watermark=i64(partition.high_watermark),
        last_stable_offset=i64(partition.high_watermark),
        log_start_offset=i64(partition.start_offset),
        aborted_transactions=None,
        records=records(partition.data),
    )
