"""Idempotent producers: the sequence numbers of each producer in one partition.

The rules are those of Kafka's ProducerStateManager (KIP-98, KIP-360): the last five batches of a producer are
recognized, and get the offset that they got the first time; any other batch must follow the last one. After a restart
this is read from the newest segments.
"""

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from kio.schema.errors import ErrorCode

from localcloud.log.batch import BatchHeader
from localcloud.log.partition import AppendedBatch

KEPT_BATCHES = 5
MAX_PRODUCERS = 10_000
_SEQUENCES = 1 << 31


class _Batch(NamedTuple):
    first: int
    last: int
    place: AppendedBatch


class _Producer:
    __slots__ = ("batches", "epoch")

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.batches: deque[_Batch] = deque(maxlen=KEPT_BATCHES)


class ProducerSequences:
    """The producers of one partition. `accept` what `check` let pass, in the order of the log."""

    def __init__(self, history: Iterable[BatchHeader] = ()) -> None:
        self._producers: dict[int, _Producer] = {}
        for header in history:
            if header.producer_id >= 0:
                self.accept(header, AppendedBatch(header.base_offset, header.last_offset, -1))

    def check(self, header: BatchHeader) -> AppendedBatch | ErrorCode | None:
        """None: append it. An `AppendedBatch`: it is in the log already. An error: it must not be appended."""
        if header.producer_id < 0:
            return None
        producer = self._producers.get(header.producer_id)
        if producer is None:
            # After retention the beginning may be unknown, so that any sequence is as good as another.
            return None
        if header.producer_epoch < producer.epoch:
            return ErrorCode.invalid_producer_epoch
        if header.producer_epoch > producer.epoch:
            return None if header.base_sequence == 0 else ErrorCode.out_of_order_sequence_number
        last = _last_sequence(header)
        for known in producer.batches:
            if known.first == header.base_sequence and known.last == last:
                return known.place
        expected = (producer.batches[-1].last + 1) % _SEQUENCES
        return None if header.base_sequence == expected else ErrorCode.out_of_order_sequence_number

    def accept(self, header: BatchHeader, place: AppendedBatch) -> None:
        """Record that the batch has that place in the log."""
        if header.producer_id < 0:
            return
        producer = self._producers.pop(header.producer_id, None)
        if producer is None or producer.epoch != header.producer_epoch:
            producer = _Producer(header.producer_epoch)
            if len(self._producers) >= MAX_PRODUCERS:
                self._producers.pop(next(iter(self._producers)))
        self._producers[header.producer_id] = producer
        producer.batches.append(_Batch(header.base_sequence, _last_sequence(header), place))


def _last_sequence(header: BatchHeader) -> int:
    return (header.base_sequence + header.last_offset_delta) % _SEQUENCES
