"""Produce and InitProducerId."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Final, cast
from weakref import WeakKeyDictionary

from kio.schema.errors import ErrorCode
from kio.schema.init_producer_id.v4 import InitProducerIdRequest, InitProducerIdResponse
from kio.schema.produce.v9 import ProduceRequest, ProduceResponse
from kio.schema.produce.v9.response import PartitionProduceResponse, TopicProduceResponse
from kio.schema.types import ProducerId
from kio.static.primitive import i32Timedelta

from localcloud.kafka.namespace import KafkaClient, KafkaNamespace, find_hub, find_partition
from localcloud.kafka.primitives import NO_THROTTLE, append_time, i16, i32, i64, milliseconds, topic
from localcloud.kafka.producer_sequences import ProducerSequences
from localcloud.log.batch import CONTROL, GZIP, HEADER_SIZE, MAGIC_AT, TRANSACTIONAL, header_of, records
from localcloud.log.errors import AppendError, InvalidBatchError, LogClosedError
from localcloud.log.partition import AppendedBatch, PartitionLog
from localcloud.log.store import Hub
from localcloud.sas import Right
from localcloud.throughput_units import ThroughputUnits

MAX_BATCH_BYTES = 1_048_576
"""Event Hubs' limit on one event and on one batch (Standard and Premium)."""

MAX_THROTTLE_S: Final = 10.0
"""So much later at most comes the response to a sender that is too fast: its patience is not known."""

_Outcome = asyncio.Future[AppendedBatch] | AppendedBatch | tuple[ErrorCode, str | None]


class ProduceHandler:
    """Appends batches in the order of the requests, and responds when they are on disk.

    What is more than `units` take in is kept all the same, and its response comes later.
    """

    def __init__(self, namespace: KafkaNamespace, new_producer_id: Callable[[], int], units: ThroughputUnits) -> None:
        self._units = units
        self._namespace = namespace
        self._new_producer_id = new_producer_id
        self._sequences: WeakKeyDictionary[PartitionLog, tuple[int, ProducerSequences]] = WeakKeyDictionary()
        self._in_flight: dict[tuple[PartitionLog, int], asyncio.Future[AppendedBatch]] = {}

    async def produce(self, client: KafkaClient, request: ProduceRequest) -> ProduceResponse:
        """All batches have their place before the first wait, so that requests keep their order."""
        refused = None
        if request.transactional_id is not None:
            refused = (ErrorCode.transactional_id_authorization_failed, "Transactions are not available here.")
        elif request.acks not in (-1, 0, 1):
            refused = (ErrorCode.invalid_required_acks, f"acks is {request.acks}; expected -1, 0 or 1.")
        outcomes: list[tuple[str, list[tuple[int, PartitionLog | None, _Outcome]]]] = []
        for data in request.topic_data:
            hub = find_hub(self._namespace, client, data.name, Right.SEND)
            rows: list[tuple[int, PartitionLog | None, _Outcome]] = []
            for part in data.partition_data:
                partition = find_partition(hub, part.index)
                if refused or isinstance(partition, ErrorCode) or isinstance(hub, ErrorCode):
                    error = partition if isinstance(partition, ErrorCode) else ErrorCode.unknown_server_error
                    rows.append((part.index, None, refused or (error, None)))
                else:
                    rows.append((part.index, partition, self._append(hub, partition, part.records)))
            outcomes.append((data.name, rows))
        waiting = [outcome for _, rows in outcomes for *_, outcome in rows if isinstance(outcome, asyncio.Future)]
        if waiting:
            timeout = max(1, milliseconds(request.timeout)) / 1000
            await asyncio.wait(waiting, timeout=timeout)
        throttled_s = min(self._units.wait_s(), MAX_THROTTLE_S)
        if throttled_s:
            # Clients that don't heed the time in a response are held back by waiting for it.
            await asyncio.sleep(throttled_s)
        return ProduceResponse(
            responses=tuple(
                TopicProduceResponse(
                    name=topic(name), partition_responses=tuple(_partition_response(*row) for row in rows)
                )
                for name, rows in outcomes
            ),
            throttle_time=cast(i32Timedelta, timedelta(milliseconds=round(throttled_s * 1000))),
        )

    def init_producer_id(self, request: InitProducerIdRequest) -> InitProducerIdResponse:
        """Idempotence within partitions, as the Standard tier has it; transactions are refused."""
        if request.transactional_id is not None:
            return InitProducerIdResponse(
                throttle_time=NO_THROTTLE,
                error_code=ErrorCode.transactional_id_authorization_failed,
                producer_id=ProducerId(-1),
                producer_epoch=i16(-1),
            )
        return InitProducerIdResponse(
            throttle_time=NO_THROTTLE,
            error_code=ErrorCode.none,
            producer_id=ProducerId(self._new_producer_id()),
            producer_epoch=i16(0),
        )

    def _append(self, hub: Hub, partition: PartitionLog, data: bytes | None) -> _Outcome:
        refused = _batch_error(hub, data)
        if refused:
            return refused
        assert data is not None
        header = header_of(data)
        sequences = None
        if header.producer_id >= 0:
            sequences = self._sequences_of(partition)
            known = sequences.check(header)
            if isinstance(known, ErrorCode):
                return known, "The batch does not follow on this producer's last one."
            if known is not None:
                return self._in_flight.get((partition, known.base_offset), known)
        self._units.take(len(data), header.last_offset_delta + 1)
        place = AppendedBatch(partition.end_offset, partition.end_offset + header.last_offset_delta, -1)
        try:
            done = partition.submit(data)
        except InvalidBatchError as error:
            return ErrorCode.corrupt_message, str(error)
        except (AppendError, LogClosedError) as error:
            return ErrorCode.kafka_storage_error, str(error)
        if sequences is not None:
            sequences.accept(header, place)
            key = partition, place.base_offset
            self._in_flight[key] = done
            done.add_done_callback(lambda done: self._forget_in_flight(key, done))
        return done

    def _sequences_of(self, partition: PartitionLog) -> ProducerSequences:
        """The partition's sequences: read from disk at first, and again after an append failed, which loses batches."""
        failures, sequences = self._sequences.get(partition, (-1, None))
        if sequences is None or failures != partition.failures:
            sequences = ProducerSequences(partition.recent_headers())
            self._sequences[partition] = partition.failures, sequences
        return sequences

    def _forget_in_flight(self, key: tuple[PartitionLog, int], done: asyncio.Future[AppendedBatch]) -> None:
        if self._in_flight.get(key) is done:
            del self._in_flight[key]


def _batch_error(hub: Hub, data: bytes | None) -> tuple[ErrorCode, str] | None:
    """Why the bytes can't be appended to any partition of the hub; `PartitionLog` checks their integrity."""
    if not data:
        return ErrorCode.invalid_record, "There is no record batch."
    if len(data) > MAX_BATCH_BYTES:
        return ErrorCode.message_too_large, f"The batch has {len(data)} bytes, at most {MAX_BATCH_BYTES} are taken."
    if len(data) <= MAGIC_AT:
        return ErrorCode.corrupt_message, f"{len(data)} bytes are no record batch."
    if data[MAGIC_AT] != 2:
        return ErrorCode.unsupported_for_message_format, f"Message format {data[MAGIC_AT]}; only format 2 is taken."
    if len(data) < HEADER_SIZE:
        return ErrorCode.corrupt_message, f"{len(data)} bytes are no record batch."
    header = header_of(data)
    if header.compression not in (0, GZIP):
        return ErrorCode.unsupported_compression_type, f"Codec {header.compression}; only none and gzip are taken."
    if header.attributes & (TRANSACTIONAL | CONTROL):
        return ErrorCode.invalid_record, "Transactional and control batches are not taken."
    if header.size < len(data):
        return ErrorCode.invalid_record, "There is more than one record batch for the partition."
    if hub.config.compacted:
        try:
            found = list(records(data))
        except InvalidBatchError as error:
            return ErrorCode.corrupt_message, str(error)
        if any(record.key is None for record in found):
            return ErrorCode.invalid_record, "A compacted hub takes no record without a key."
        for place, record in enumerate(found):
            # Of a batch that was compacted nothing else says the offsets.
            if record.offset_delta != place:
                text = f"Record {place} of the batch has the offset delta {record.offset_delta}; expected {place}."
                return ErrorCode.invalid_record, text
    return None


def _partition_response(number: int, partition: PartitionLog | None, outcome: _Outcome) -> PartitionProduceResponse:
    error: ErrorCode = ErrorCode.none
    message: str | None = None
    base_offset = -1
    enqueued_ms: int | None = None
    if isinstance(outcome, asyncio.Future):
        if not outcome.done():
            error = ErrorCode.request_timed_out
        elif failure := outcome.exception():
            error, message = ErrorCode.kafka_storage_error, str(failure)
        else:
            base_offset, _, enqueued_ms = outcome.result()
    elif isinstance(outcome, AppendedBatch):
        base_offset = outcome.base_offset
    else:
        error, message = outcome
    return PartitionProduceResponse(
        index=i32(number),
        error_code=error,
        base_offset=i64(base_offset),
        log_append_time=append_time(enqueued_ms) if partition and partition.append_time and enqueued_ms else None,
        log_start_offset=i64(partition.start_offset if partition and error is ErrorCode.none else -1),
        record_errors=(),
        error_message=message,
    )
