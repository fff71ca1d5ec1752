"""A Faust app whose messages are whole fetches. This folder alone knows the inside of Faust and aiokafka.

Faust spends 100 µs and more on each message. Here a message is all that one fetch brought from one partition: its
value is a `Batch`, of a changelog a `ChangeBatch`, its offset the batch's last one. Eight things are overridden:

- what the driver's consumer thread fetches (`_fetch_records`): records are taken out of the record batches as columns,
  so that none stops the reader (`fetched_records.py`). To read a batch again aiokafka has to keep its bytes
  (`record_batches.RecordBytes`);
- when partitions are shared out (`on_start`): once all hubs are known (`known_hubs.py`);
- how committed offsets are asked for (`seek_to_committed`): of all partitions at once, and what was fetched from there
  stays;
- how long it takes until partitions are read that are resumed (`_wait_next_records`);
- how a fetched thing becomes a message (`_to_message`);
- which offset may be committed (`_new_offset`): Faust looks for gaps between the offsets that were acknowledged,
  and here every batch leaves one. Our agents acknowledge in the order of the partition, and take no batch that
  doesn't follow on the one before (`gap_detection.py`), so the last acknowledged offset may be committed;
- which partitions Faust expects to move (`verify_event_path`): it would log an error a second for each partition that
  we hold back;
- which folders it makes where the process was started (`_create_directories`): none, since its tables are in memory.

The versions that this was written against are pinned by `tests/integration/trending/test_batched_app.py`.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from time import monotonic
from typing import Any

import faust
from aiokafka.consumer import fetcher as fetching
from aiokafka.consumer.fetcher import FetchResult, PartitionRecords
from aiokafka.errors import ConsumerStoppedError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from msgspec import Struct

from songline.processors.trending.faust.batch import Batch, ChangeBatch
from songline.processors.trending.faust.fetched_records import (
    FetchedChanges,
    FetchedRecords,
    OffsetGap,
    batch_of,
    change_batch_of,
)
from songline.processors.trending.faust.gathering import Gathering
from songline.processors.trending.faust.known_hubs import share_out_known_hubs
from songline.processors.trending.faust.record_batches import RecordBytes
from songline.processors.trending.faust.settings import LARGE_FETCH_BYTES, fetch_bytes
from songline.processors.trending.first_backlog import FirstBacklog, UnreadRange

log = logging.getLogger(__name__)

READ_AGAIN_S = 1.0
"""The pause before a partition that is at a gap is read again."""

RESUMED_S = 0.05
"""The pause between two looks whether partitions are resumed, while all are paused."""


class FetchPosition(Struct, frozen=True):
    """Where a partition's fetching stands: `end` is the offset after its last record when it was asked, `polled_ms`
    (Unix milliseconds) when the answer came."""

    end: int
    polled_ms: int


class GapRead(Struct, frozen=True):
    """A gap at which a partition is, since `since_s` of the steady clock, and how often it was read."""

    gap: OffsetGap
    since_s: float
    times: int


class BatchedConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc] # Faust has no types
    def __post_init__(self) -> None:
        super().__post_init__()
        self._opened: dict[Any, FetchedRecords] = {}
        self._held_until: dict[Any, float] = {}
        self._gathering = Gathering(self.app.gathered, self.app.batched)
        self._backlog = FirstBacklog()
        self._backlog_of: Any = None
        """The assignment whose backlog that is."""

    async def on_start(self) -> None:
        await super().on_start()
        share_out_known_hubs(self._consumer, self._record_unknown)

    def _record_unknown(self, hubs: tuple[str, ...]) -> None:
        self.app.unknown_hubs = hubs

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
        self._gathering.attach(fetcher)
        fetcher._max_partition_fetch_bytes = fetch_bytes(self.app.in_pieces(), self._read_at_once(fetcher))
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
        now = monotonic()
        for tp, result in fetcher._records.items():
            # A fetch of a partition whose stream is full stays here, wrapped, until there is room again.
            if type(result) is FetchResult and type(result._partition_records) is PartitionRecords:
                if tp.topic in self.app.batched:
                    result._partition_records = self._opened[tp] = FetchedRecords(result._partition_records, _now_ms())
                else:
                    result._partition_records = FetchedChanges(result._partition_records, self._unreadable)
        wanted = {
            tp
            for tp in partitions
            if self._held_until.get(tp, 0.0) <= now and tp not in self.app.on_hold and tp not in self.app.unopened
        }
        if not wanted:
            # To aiokafka no partitions are all of them.
            return {}
        records: Mapping[Any, list[Any]] = {}
        # What was fetched of a partition that was sought or paused meanwhile is dropped, and the next ones are there.
        while not records and (some := self._next_fetches(fetcher, wanted)):
            records = await fetcher.fetched_records(some, timeout=0)
        fetched: dict[Any, list[Batch | ChangeBatch]] = {}
        for tp, found in records.items():
            if tp.topic in self.app.batched:
                self._record_gap(tp, self._opened.pop(tp, None), now)
            batch = batch_of(found, _now_ms()) if tp.topic in self.app.batched else change_batch_of(found)
            if batch.begin < batch.end:
                fetched[tp] = [batch]
        self._gathering.begin(fetched)
        return fetched

    def wake(self) -> None:
        """Have what was fetched of a partition taken that is handed over from now on; nothing more may come."""

        def wake() -> None:
            if self._consumer is not None:
                fetcher = self._consumer._fetcher
                for waiter in fetcher._fetch_waiters:
                    fetcher._notify(waiter)

        self.thread_loop.call_soon_threadsafe(wake)

    def _next_fetches(self, fetcher: Any, wanted: set[Any]) -> set[Any]:
        """The partitions whose fetches are taken now: all small ones, and of large ones only the first that came. The
        others wait as bytes, and their partitions are not fetched again before. A short backlog is taken as it comes.
        """
        found = set()
        has_large = False
        at_once = self.app.gathered if self._read_at_once(fetcher) else ()
        for tp, result in fetcher._records.items():
            records = getattr(result, "_partition_records", None)
            is_large = isinstance(records, FetchedRecords) and records.size_bytes >= LARGE_FETCH_BYTES
            is_large = is_large and tp.topic not in at_once
            if tp in wanted and not (is_large and has_large):
                found.add(tp)
                has_large = has_large or is_large
        return found

    def _read_at_once(self, fetcher: Any) -> int:
        """How many partitions of gathered hubs are read at once, since they have little to read until they are at their
        ends for the first time; 0 where they are not, or any is folded in pieces."""
        assignment = fetcher._subscriptions.subscription.assignment
        if assignment is not self._backlog_of:
            self._backlog, self._backlog_of = FirstBacklog(), assignment
        states = {tp: assignment.state_value(tp) for tp in assignment.tps if tp.topic in self.app.gathered}
        seen = (
            UnreadRange(tp, state.position, state.highwater)
            for tp, state in states.items()
            if state.has_valid_position and state.highwater is not None
        )
        return len(states) if self._backlog.is_short(seen) and not self.app.in_pieces() else 0

    def _unreadable(self, tp: Any, offset: int, raw: bytes, why: str) -> None:
        log.error("%s/%d: passed over a record batch at %d that can't be read: %s", *tp, offset, why)
        if (report := self.app.unreadable.get(tp.topic)) is not None:
            self.consumer.loop.call_soon_threadsafe(report, tp.partition, offset, raw, why)

    def _record_gap(self, tp: Any, opened: FetchedRecords | None, now: float) -> None:
        gap = None if opened is None else opened.gap
        if gap is None:
            self.app.gaps.pop(tp, None)
            return
        self._held_until[tp] = now + READ_AGAIN_S
        before: GapRead | None = self.app.gaps.get(tp)
        if before is not None and before.gap.expected == gap.expected:
            self.app.gaps[tp] = GapRead(gap, before.since_s, before.times + 1)
            return
        self.app.gaps[tp] = GapRead(gap, now, 1)
        log.warning("%s/%d: expected offset %d, saw %s; reading again", *tp, gap.expected, gap.seen)

    async def seek_to_committed(self) -> Mapping[Any, int | None]:
        """Read each partition from its committed offset; returns these, None where there is none."""
        offsets: Mapping[Any, int | None] = await self.call_thread(self._seek_to_committed)
        return offsets

    async def _seek_to_committed(self) -> Mapping[Any, int | None]:
        consumer = self._ensure_consumer()
        before = {tp: self.position(tp) for tp in consumer.assignment()}
        found = await consumer._coordinator.fetch_committed_offsets(list(before))
        # Partitions may have been taken away meanwhile.
        committed = {
            tp: None if tp not in found or found[tp].offset < 0 else found[tp].offset for tp in consumer.assignment()
        }
        for tp, offset in committed.items():
            # What was sought meanwhile, or taken from, is where it has to be.
            if offset and before.get(tp) == self.position(tp) != offset:
                consumer._fetcher.seek_to(tp, offset)
        return committed

    def position(self, tp: Any) -> int | None:
        """The offset from which the partition is read on, None where it is not known: what was fetched and not taken is
        from there."""
        state = self._ensure_consumer()._fetcher._subscriptions.subscription.assignment.state_value(tp)
        position: int | None = None if state is None else state._position
        return position

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Log where a partition does not move, unless we hold it back."""
        if tp not in self.app.on_hold and tp not in self.app.unopened:
            super().verify_event_path(now, tp)

    @property
    def member(self) -> str:
        """The name under which the group knows this consumer, empty while it is in none."""
        coordinator = None if self._consumer is None else self._consumer._coordinator
        return "" if coordinator is None else coordinator.member_id or ""

    def fetch_position(self, tp: TP) -> FetchPosition | None:
        """Where the partition's fetching stands, None while that is not known."""
        if self._consumer is None:
            return None
        assignment = self._consumer._fetcher._subscriptions.subscription.assignment
        if tp not in assignment.tps:
            return None
        state = assignment.state_value(tp)
        # In this order: an end that is read later than its time makes the claim weaker, never wrong.
        polled_ms, end = state.timestamp, state.highwater
        return None if polled_ms is None or end is None else FetchPosition(end, int(polled_ms))


class BatchedConsumer(driver.Consumer):  # type: ignore[misc] # Faust has no types
    def _new_consumer_thread(self) -> BatchedConsumerThread:
        return BatchedConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def _to_message(self, tp: TP, record: Any) -> Any:
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

    async def _wait_next_records(self, timeout: float) -> Any:  # noqa: ASYNC109 - the signature is Faust's
        if self.flow_active and not self._get_active_partitions():
            # Faust would sleep for a second: that much later it would see what is resumed.
            await self.sleep(RESUMED_S)
            return {}, set()
        return await super()._wait_next_records(timeout)

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

    async def commit_through(self, tp: TP, offset: int) -> None:
        """Commit up to an offset that is inside a batch; returns when that is done, or can't be."""
        if (self._committed_offset[tp] or 0) <= offset:
            self._acked[tp].append(offset)
            # A commit that is under way does not have it yet.
            for _ in range(2):
                await self.commit({tp})

    async def rewind(self, tp: TP, offset: int) -> None:
        """Read the partition from an offset, which may be before the one that is committed."""
        # Where it is there, what was fetched already is from there.
        is_there = bool(offset) and self._committed_offset[tp] == offset == self._thread.position(tp)
        if not is_there:
            await self._thread.commit({tp: offset})
        self._acked[tp].clear()
        self._acked_index[tp].clear()
        if not is_there:
            self._committed_offset[tp] = offset or None
            await self.seek_wait({tp: offset})

    def fetch_position(self, tp: TP) -> FetchPosition | None:
        """Where the partition's fetching stands, None while that is not known."""
        found: FetchPosition | None = self._thread.fetch_position(tp)
        return found

    def hand_over(self, tp: TP) -> None:
        """Hand over what comes of a partition that was not open."""
        self.app.unopened.discard(tp)
        self._thread.wake()

    @property
    def member(self) -> str:
        """The name under which the group knows this consumer, empty while it is in none."""
        found: str = self._thread.member
        return found

    def known_partitions(self, hub: str) -> frozenset[int]:
        """The partitions that are shared out among the workers; those that were added are not for some minutes."""
        consumer = self._thread._consumer
        return frozenset(() if consumer is None else consumer.partitions_for_topic(hub) or ())


class BatchedTransport(driver.Transport):  # type: ignore[misc] # Faust has no types
    Consumer = BatchedConsumer


class BatchedApp(faust.App):  # type: ignore[misc] # Faust has no types
    """A Faust app that gets its hubs a fetch at a time. Those that are not named in `batched` are changelogs.

    `unreadable` has, by changelogs, what to call with a record batch that can't be read: partition, offset, bytes, why.
    `gathered`: hub to the seconds for which what comes to its partitions is gathered once they are read to their end.
    `in_pieces` returns how many partitions are folded in pieces. `gaps` are those at which partitions are. Partitions
    that are `on_hold` or `unopened` are not handed over at all. `unknown_hubs` are those that partitions wait for which
    this worker shares out.
    """

    def __init__(
        self,
        *args: Any,
        batched: Iterable[str],
        gathered: Mapping[str, float] | None = None,
        **options: Any,
    ) -> None:
        self.batched = frozenset(batched)
        self.gathered = dict(gathered or {})
        self.unreadable: dict[str, Callable[[int, int, bytes, str], None]] = {}
        self.gaps: dict[TP, GapRead] = {}
        self.on_hold: set[TP] = set()
        self.unopened: set[TP] = set()
        self.unknown_hubs: tuple[str, ...] = ()
        self.in_pieces: Callable[[], int] = lambda: 0
        fetching.MemoryRecords = RecordBytes
        super().__init__(*args, **options)

    def _new_transport(self) -> BatchedTransport:
        return BatchedTransport(self.conf.broker_consumer, self)

    def _create_directories(self) -> None:
        """No table is on the disk. The folder in which a process starts may be nobody's to write to."""


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
