"""Faust, taught to hand over a whole fetch at a time. The one place that knows Faust's and aiokafka's inside.

Faust spends 100 µs and more on each message. Here a message is all that one fetch brought from one partition: its
value is a `Batch`, its offset the batch's last one. Three things are overridden:

- what the driver's consumer thread fetches (`_fetch_records`): the records of a batched hub are taken out of the
  record batches as columns, without an object for each record;
- how a fetched thing becomes a message (`_to_message`);
- which offset may be committed (`_new_offset`): Faust looks for gaps between the offsets that were acknowledged,
  and here every batch leaves one. Our agents acknowledge in the order of the partition, and take no batch that
  doesn't follow on the one before (`order.py`), so that the last acknowledged offset is the one, gap or not.

The versions that this was written against are pinned by `tests/integration/trending/test_batching.py`.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import faust
from aiokafka.consumer.fetcher import FetchResult, PartitionRecords
from aiokafka.errors import ConsumerStoppedError, CorruptRecordException
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from msgspec import Struct

from processors.trending.batch import Batch


class Reach(Struct, frozen=True):
    """Where a partition's fetching stands: `end` is the offset after its last record when it was asked, `polled_ms`
    (Unix milliseconds) when the answer came."""

    end: int
    polled_ms: int


class Fetched:
    """All records of one fetch, standing where aiokafka has an iterator of records; iterating gives one `Batch`."""

    def __init__(self, records: Any) -> None:
        self._records = records

    @property
    def next_fetch_offset(self) -> int:
        offset: int = self._records.next_fetch_offset
        return offset

    def __iter__(self) -> Iterator[Batch]:
        source = self._records
        begin = source.next_fetch_offset
        offsets: list[int] = []
        logged: list[int] = []
        bodies: list[bytes] = []
        while source._records.has_next():
            batch = source._records.next_batch()
            if source._check_crcs and not batch.validate_crc():
                raise CorruptRecordException(f"invalid checksum in {source._tp}")
            if not batch.is_control_batch:
                records = list(batch)
                if batch.base_offset < source.next_fetch_offset:
                    records = [record for record in records if record.offset >= source.next_fetch_offset]
                offsets += [record.offset for record in records]
                logged += [record.timestamp for record in records]
                bodies += [record.value or b"" for record in records]
            source.next_fetch_offset = batch.next_offset
        yield Batch(begin, source.next_fetch_offset, offsets, logged, bodies)


class ConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc] # Faust has no types
    async def _fetch_records(
        self,
        consumer: Any,
        active_partitions: Any,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is Faust's
        max_records: int | None = None,
    ) -> Mapping[Any, list[Any]]:
        if not self.consumer.flow_active:
            return {}
        fetcher = consumer._fetcher
        if consumer._closed or fetcher._closed:
            raise ConsumerStoppedError
        with fetcher._subscriptions.fetch_context():
            fetched = await self._fetched(fetcher, active_partitions)
            if not fetched and timeout:
                waiter = fetcher._create_fetch_waiter()
                await asyncio.wait([waiter], timeout=timeout)
                if not waiter.done():
                    waiter.cancel()
                    return {}
                waiter.result()
                fetched = await self._fetched(fetcher, active_partitions)
        return fetched

    async def _fetched(self, fetcher: Any, partitions: Any) -> Mapping[Any, list[Any]]:
        for tp, result in fetcher._records.items():
            # A fetch of a partition whose stream is full stays here, wrapped, until there is room again.
            if (
                tp.topic in self.app.batched
                and type(result) is FetchResult
                and type(result._partition_records) is PartitionRecords
            ):
                result._partition_records = Fetched(result._partition_records)
        records: Mapping[Any, list[Any]] = await fetcher.fetched_records(partitions, timeout=0)
        return {tp: [_batch(found)] if tp.topic in self.app.batched else found for tp, found in records.items()}

    def reach(self, tp: TP) -> Reach | None:
        """None while nothing is known."""
        if self._consumer is None:
            return None
        assignment = self._consumer._fetcher._subscriptions.subscription.assignment
        if tp not in assignment.tps:
            return None
        state = assignment.state_value(tp)
        # In this order: an end that is read later than its time makes the claim weaker, never wrong.
        polled_ms, end = state.timestamp, state.highwater
        return None if polled_ms is None or end is None else Reach(end, int(polled_ms))


class Consumer(driver.Consumer):  # type: ignore[misc] # Faust has no types
    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def _to_message(self, tp: TP, record: Any) -> Any:
        if not isinstance(record, Batch):
            return super()._to_message(tp, record)
        return driver.ConsumerMessage(
            tp.topic,
            tp.partition,
            record.end - 1,
            record.logged_ms[-1] / 1000 if record.logged_ms else None,
            0,
            (),
            None,
            record,
            None,
            0,
            0,
            tp,
            generation_id=self.app.consumer_generation_id,
        )

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Gaps don't matter here: see `_new_offset`."""

    def _new_offset(self, tp: TP) -> int | None:
        acked = self._acked[tp]
        if not acked:
            return None
        offset: int = max(acked) + 1
        acked.clear()
        self._acked_index[tp].clear()
        return offset

    def reach(self, tp: TP) -> Reach | None:
        reach: Reach | None = self._thread.reach(tp)
        return reach


class Transport(driver.Transport):  # type: ignore[misc] # Faust has no types
    Consumer = Consumer


class App(faust.App):  # type: ignore[misc] # Faust has no types
    """A Faust app that gets the hubs named in `batched` a fetch at a time."""

    def __init__(self, *args: Any, batched: Iterable[str], **options: Any) -> None:
        self.batched = frozenset(batched)
        super().__init__(*args, **options)

    def _new_transport(self) -> Transport:
        return Transport(self.conf.broker_consumer, self)


def _batch(found: list[Any]) -> Batch:
    """The batch of a fetch. Records that came after the fetch was wrapped are still single ones."""
    if isinstance(found[0], Batch):
        batch: Batch = found[0]
        return batch
    return Batch(
        found[0].offset,
        found[-1].offset + 1,
        [record.offset for record in found],
        [record.timestamp for record in found],
        [record.value or b"" for record in found],
    )
