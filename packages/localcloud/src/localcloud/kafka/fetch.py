"""Fetch: stored batches as they are, at once or when enough has come."""

import asyncio
from collections.abc import Iterator

from kio.schema.errors import ErrorCode
from kio.schema.fetch.v12 import FetchRequest, FetchResponse
from kio.schema.fetch.v12.request import FetchPartition
from kio.schema.fetch.v12.response import FetchableTopicResponse, PartitionData

from localcloud.kafka.namespace import KafkaClient, KafkaNamespace, find_hub, find_partition
from localcloud.kafka.primitives import LEADER_EPOCH, NO_THROTTLE, i32, i64, milliseconds, records, topic
from localcloud.log.errors import InvalidOffsetError
from localcloud.log.partition import PartitionLog

MAX_RESPONSE_BYTES = 16 << 20
"""More than this is not put in one answer, whatever a client asks for: answers of one turn must not stop the loop."""
MAX_WAIT_MS = 60_000

_Row = tuple[FetchPartition, PartitionLog | ErrorCode]


async def fetch(namespace: KafkaNamespace, client: KafkaClient, request: FetchRequest) -> FetchResponse:
    """Answers without a session: clients then name all partitions each time, which costs nothing with one broker."""
    if request.session_id:
        return FetchResponse(throttle_time=NO_THROTTLE, error_code=ErrorCode.fetch_session_id_not_found, responses=())
    asked: list[tuple[str, list[_Row]]] = []
    for wanted in request.topics:
        hub = find_hub(namespace, client, wanted.topic)
        asked.append((wanted.topic, [(part, find_partition(hub, part.partition)) for part in wanted.partitions]))
    response, size, failed = _read(request, asked)
    wait_ms = min(milliseconds(request.max_wait), MAX_WAIT_MS)
    if failed or size >= request.min_bytes or wait_ms <= 0:
        return response
    with _AppendWatch(row[1] for _, rows in asked for row in rows) as watch:
        try:
            async with asyncio.timeout(wait_ms / 1000):
                while size < request.min_bytes and not failed:
                    await watch.moved()
                    response, size, failed = _read(request, asked)
        except TimeoutError:
            pass
    return response


class _AppendWatch:
    """Wakes up when one of several partitions has got something."""

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


def _read(request: FetchRequest, asked: list[tuple[str, list[_Row]]]) -> tuple[FetchResponse, int, bool]:
    """(answer, bytes of records in it, whether a partition has an error)."""
    budget = min(request.max_bytes, MAX_RESPONSE_BYTES)
    size = 0
    failed = False
    responses = []
    for name, rows in asked:
        parts = []
        for wanted, partition in rows:
            part = _partition_data(wanted, partition, budget - size, first=size == 0)
            failed = failed or part.error_code is not ErrorCode.none
            size += len(part.records or b"")
            parts.append(part)
        responses.append(FetchableTopicResponse(topic=topic(name), partitions=tuple(parts)))
    response = FetchResponse(throttle_time=NO_THROTTLE, error_code=ErrorCode.none, responses=tuple(responses))
    return response, size, failed


def _partition_data(
    wanted: FetchPartition, partition: PartitionLog | ErrorCode, budget: int, *, first: bool
) -> PartitionData:
    """At least one batch for the first partition that has any, so that a batch over the limits can't block a reader."""
    if isinstance(partition, ErrorCode):
        return _failed(wanted, partition, -1, -1)
    if wanted.current_leader_epoch > LEADER_EPOCH:
        return _failed(wanted, ErrorCode.unknown_leader_epoch, -1, -1)
    limit = max(0, min(wanted.partition_max_bytes, budget))
    data = b""
    if wanted.fetch_offset != partition.high_watermark and (limit or first):
        try:
            batches = partition.read(wanted.fetch_offset, limit)
        except InvalidOffsetError:
            return _failed(wanted, ErrorCode.offset_out_of_range, partition.high_watermark, partition.start_offset)
        if batches and (first or len(batches[0].data) <= limit):
            data = b"".join([batch.data for batch in batches])
    return PartitionData(
        partition_index=wanted.partition,
        error_code=ErrorCode.none,
        high_watermark=i64(partition.high_watermark),
        last_stable_offset=i64(partition.high_watermark),
        log_start_offset=i64(partition.start_offset),
        aborted_transactions=None,
        records=records(data),
    )


def _failed(wanted: FetchPartition, error: ErrorCode, high_watermark: int, start_offset: int) -> PartitionData:
    return PartitionData(
        partition_index=i32(wanted.partition),
        error_code=error,
        high_watermark=i64(high_watermark),
        last_stable_offset=i64(high_watermark),
        log_start_offset=i64(start_offset),
        aborted_transactions=None,
        records=records(b""),
    )
