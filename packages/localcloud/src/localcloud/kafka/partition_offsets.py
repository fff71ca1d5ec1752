"""ListOffsets and OffsetForLeaderEpoch: where a partition begins, ends, and was at a time."""

from collections import Counter

from kio.schema.errors import ErrorCode
from kio.schema.list_offsets.v7 import ListOffsetsRequest, ListOffsetsResponse
from kio.schema.list_offsets.v7.request import ListOffsetsPartition
from kio.schema.list_offsets.v7.response import ListOffsetsPartitionResponse, ListOffsetsTopicResponse
from kio.schema.offset_for_leader_epoch.v4 import OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse
from kio.schema.offset_for_leader_epoch.v4.request import OffsetForLeaderPartition
from kio.schema.offset_for_leader_epoch.v4.response import EpochEndOffset, OffsetForLeaderTopicResult

from localcloud.kafka.namespace import KafkaClient, KafkaNamespace, find_hub, find_partition
from localcloud.kafka.primitives import LEADER_EPOCH, NO_THROTTLE, i64
from localcloud.log.errors import DamagedLogError, InvalidBatchError
from localcloud.log.partition import PartitionLog

LATEST, EARLIEST, MAX_TIMESTAMP = -1, -2, -3


def list_offsets(namespace: KafkaNamespace, client: KafkaClient, request: ListOffsetsRequest) -> ListOffsetsResponse:
    named = Counter((wanted.name, part.partition_index) for wanted in request.topics for part in wanted.partitions)
    topics = []
    for wanted in request.topics:
        hub = find_hub(namespace, client, wanted.name)
        parts = []
        for part in wanted.partitions:
            partition = find_partition(hub, part.partition_index)
            if named[wanted.name, part.partition_index] > 1:
                partition = ErrorCode.invalid_request
            parts.append(_listed(part, partition))
        topics.append(ListOffsetsTopicResponse(name=wanted.name, partitions=tuple(parts)))
    return ListOffsetsResponse(throttle_time=NO_THROTTLE, topics=tuple(topics))


def _listed(wanted: ListOffsetsPartition, partition: PartitionLog | ErrorCode) -> ListOffsetsPartitionResponse:
    number = wanted.partition_index
    if isinstance(partition, ErrorCode):
        return ListOffsetsPartitionResponse(partition_index=number, error_code=partition)
    if wanted.current_leader_epoch > LEADER_EPOCH:
        return ListOffsetsPartitionResponse(partition_index=number, error_code=ErrorCode.unknown_leader_epoch)
    try:
        offset, timestamp = _offset_at(partition, wanted.timestamp)
    # A compressed batch was stored as it came, and may turn out not to be what it says.
    except (DamagedLogError, InvalidBatchError):
        return ListOffsetsPartitionResponse(partition_index=number, error_code=ErrorCode.corrupt_message)
    return ListOffsetsPartitionResponse(
        partition_index=number,
        error_code=ErrorCode.none,
        timestamp=i64(timestamp),
        offset=i64(offset),
        leader_epoch=LEADER_EPOCH,
    )


def _offset_at(partition: PartitionLog, timestamp: int) -> tuple[int, int]:
    """(offset, timestamp), each -1 when there is none; timestamps are the records' own."""
    if timestamp == LATEST:
        return partition.high_watermark, -1
    if timestamp == EARLIEST:
        return partition.start_offset, -1
    if timestamp == MAX_TIMESTAMP:
        return partition.latest_record() or (-1, -1)
    return partition.record_at(max(0, timestamp)) or (-1, -1)


def offset_for_leader_epoch(
    namespace: KafkaNamespace, client: KafkaClient, request: OffsetForLeaderEpochRequest
) -> OffsetForLeaderEpochResponse:
    topics = []
    for wanted in request.topics:
        hub = find_hub(namespace, client, wanted.topic)
        parts = tuple(_epoch_end(part, find_partition(hub, part.partition)) for part in wanted.partitions)
        topics.append(OffsetForLeaderTopicResult(topic=wanted.topic, partitions=parts))
    return OffsetForLeaderEpochResponse(throttle_time=NO_THROTTLE, topics=tuple(topics))


def _epoch_end(wanted: OffsetForLeaderPartition, partition: PartitionLog | ErrorCode) -> EpochEndOffset:
    """There has only ever been epoch 0, and it ends where the log does."""
    if isinstance(partition, ErrorCode):
        return EpochEndOffset(error_code=partition, partition=wanted.partition)
    if wanted.current_leader_epoch > LEADER_EPOCH:
        return EpochEndOffset(error_code=ErrorCode.unknown_leader_epoch, partition=wanted.partition)
    if wanted.leader_epoch != LEADER_EPOCH:
        return EpochEndOffset(error_code=ErrorCode.none, partition=wanted.partition)
    return EpochEndOffset(
        error_code=ErrorCode.none,
        partition=wanted.partition,
        leader_epoch=LEADER_EPOCH,
        end_offset=i64(partition.high_watermark),
    )
