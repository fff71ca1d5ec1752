"""What we reach into in Faust and aiokafka is as it was when we wrote it, and does what it is for."""

import asyncio
import inspect
from collections import defaultdict
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import Fetcher, FetchResult, PartitionRecords
from aiokafka.consumer.group_coordinator import CoordinatorGroupRebalance, GroupCoordinator
from aiokafka.consumer.subscription_state import TopicPartitionState
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust import types
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.tables.table import Table
from faust.transport.consumer import Consumer as FaustConsumer
from faust.transport.drivers import aiokafka as driver

from songline.processors.trending.faust.batched_app import (
    RESUMED_S,
    BatchedApp,
    BatchedConsumer,
    BatchedConsumerThread,
    BatchedTransport,
)
from songline.processors.trending.faust.fetched_records import FetchedRecords
from songline.processors.trending.faust.gathering import Gathering
from songline.processors.trending.faust.hub_table import HubTable
from songline.processors.trending.faust.record_batches import RecordBytes
from songline.processors.trending.faust.settings import LARGE_FETCH_BYTES, MAX_FETCH_BYTES, fetch_bytes
from songline.processors.trending.faust.table_manager import PromptTableManager
from songline.processors.trending.first_backlog import SHORT_BACKLOG, FirstBacklog

TP = TopicPartition("music-events", 0)


def test_versions_are_those_that_were_read() -> None:
    """On an update, read the overridden methods again, then change these."""
    assert version("faust-streaming").startswith("0.15.")
    assert version("aiokafka").startswith("0.14.")


def test_what_is_overridden_exists() -> None:
    for ours, theirs, names in (
        (
            BatchedConsumerThread,
            driver.AIOKafkaConsumerThread,
            ["on_start", "_fetch_records", "seek_to_committed", "verify_event_path"],
        ),
        (BatchedConsumer, FaustConsumer, ["_to_message", "_add_gap", "_new_offset", "_wait_next_records"]),
        (BatchedConsumer, driver.Consumer, ["_new_consumer_thread"]),
        (HubTable, Table, ["on_rebalance", "persisted_offset"]),
        (PromptTableManager, TableManager, ["on_start"]),
        (BatchedApp, faust.App, ["_new_transport", "_create_directories", "on_first_start"]),
    ):
        for name in names:
            assert list(inspect.signature(getattr(ours, name)).parameters) == list(
                inspect.signature(getattr(theirs, name)).parameters
            ), name
    rebalance = inspect.getsource(TableManager.on_rebalance)
    assert rebalance.index("table.on_rebalance") < rebalance.index("self.recovery.on_rebalance"), "images come first"
    assert "self.sleep(1.0)" in inspect.getsource(TableManager.on_start), "else ours is not needed"
    assert "table.persisted_offset(tp)" in inspect.getsource(Recovery._add)
    assert "self._generation_id = generation_id" in inspect.getsource(Recovery.on_rebalance)
    assert BatchedTransport.Consumer is BatchedConsumer
    assert {"_create_fetch_waiter", "fetched_records"} <= set(vars(Fetcher))
    assert {"has_more", "getall"} <= set(vars(FetchResult))
    assert "partitions" in inspect.signature(GroupCoordinator.fetch_committed_offsets).parameters
    assert list(inspect.signature(GroupCoordinator._perform_assignment).parameters) == ["self", "response"]
    assert "self._coordinator._perform_assignment(response)" in inspect.getsource(CoordinatorGroupRebalance)
    assert "self._max_partition_fetch_bytes)" in inspect.getsource(Fetcher._get_actions_per_node), "asked at each fetch"
    assert hasattr(fetcher, "MemoryRecords"), "the name under which aiokafka makes them is where ours are put"


def test_partitions_that_are_folded_in_pieces_are_fetched_in_large_ones() -> None:
    assert fetch_bytes(0) == MAX_FETCH_BYTES
    assert [fetch_bytes(held) // 2**20 for held in (1, 4, 24, 32)] == [24, 6, 1, 1], "bounded for all of them"


def test_a_short_backlog_is_fetched_in_large_ones() -> None:
    assert [fetch_bytes(0, read) // 2**20 for read in (1, 4, 16, 32)] == [16, 4, 1, 1], "bounded for all of them"
    assert fetch_bytes(4, 4) == fetch_bytes(4), "pieces are bounded as well"


def test_nothing_is_made_where_the_process_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    app = BatchedApp("songline-trending", batched=(), store="memory://", autodiscover=False)
    asyncio.run(app.on_first_start())
    assert list(tmp_path.iterdir()) == []


def test_faust_looks_only_at_partitions_that_are_not_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """For each other one it would log an error every few seconds, for as long as it is held back."""
    looked_at: list[Any] = []
    monkeypatch.setattr(
        driver.AIOKafkaConsumerThread, "verify_event_path", lambda self, now, tp: looked_at.append((now, tp))
    )
    thread = BatchedConsumerThread.__new__(BatchedConsumerThread)
    monkeypatch.setattr(BatchedConsumerThread, "app", SimpleNamespace(on_hold={1}, unopened={2}), raising=False)
    for tp in (0, 1, 2):
        thread.verify_event_path(9.0, tp)
    assert looked_at == [(9.0, 0)]


def test_a_fetch_is_one_batch_that_begins_at_the_offset_asked_for() -> None:
    records = PartitionRecords(
        TP, RecordBytes(record_batch(10, 3) + record_batch(13, 2)), None, 11, None, None, True, 0
    )
    (batch,) = FetchedRecords(records, 10_000)
    assert batch.offsets == [11, 12, 13, 14]
    assert batch.bodies == [b"11", b"12", b"13", b"14"]
    assert batch.logged_ms == [1011, 1012, 1013, 1014]
    assert (batch.begin, batch.end) == (11, 15)
    assert records.next_fetch_offset == 15


class Fetches:
    """aiokafka's Fetcher in which something was fetched of each partition, and the thread that takes it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, sizes_bytes: list[int], end: int | None = None) -> None:
        """`end` is the offset after the last record of each partition, None where that is not known."""
        hub = "music-events"
        self.app = SimpleNamespace(
            batched={hub}, gathered={hub: 0.0}, on_hold=set(), unopened=set(), gaps={}, in_pieces=lambda: 0
        )
        monkeypatch.setattr(BatchedConsumerThread, "app", self.app, raising=False)
        self.states = {TopicPartition(hub, number): TopicPartitionState(SimpleNamespace()) for number in range(4)}
        self._fetcher = Fetcher.__new__(Fetcher)
        assignment = SimpleNamespace(active=True, tps=set(self.states), state_value=self.states.__getitem__)
        self._fetcher._subscriptions = SimpleNamespace(
            reassignment_in_progress=False,
            is_assigned=lambda _: True,
            subscription=SimpleNamespace(assignment=assignment),
        )
        self._fetcher._wait_consume_future = None
        self._fetcher._records = {}
        for (tp, state), size_bytes in zip(self.states.items(), sizes_bytes, strict=True):
            state.seek(0)
            state.highwater = end
            data = RecordBytes(record_batch(0, 1, size_bytes))
            records = PartitionRecords(tp, data, None, 0, None, None, True, 0)
            result = FetchResult(tp, assignment=assignment, partition_records=records, backoff=0)
            self._fetcher._records[tp] = result
        self._thread = BatchedConsumerThread.__new__(BatchedConsumerThread)
        self._thread._gathering = Gathering({}, {hub})
        self._thread._opened, self._thread._held_until = {}, {}
        self._thread._backlog, self._thread._backlog_of = FirstBacklog(), None

    async def wait(self) -> list[int]:
        """The partitions of which something is taken, once there is."""
        loop = asyncio.get_running_loop()
        self._fetcher._closed, self._fetcher._loop, self._fetcher._fetch_waiters = False, loop, set()
        self._fetcher._subscriptions.fetch_context = nullcontext
        self._thread._consumer = SimpleNamespace(_closed=False, _fetcher=self._fetcher)
        self._thread.consumer, self._thread.thread_loop = SimpleNamespace(flow_active=True), loop
        fetched = await self._thread._fetch_records(self._thread._consumer, set(self.states), timeout=600.0)
        return sorted(tp.partition for tp in fetched)

    def hand_over(self, number: int) -> None:
        consumer = BatchedConsumer.__new__(BatchedConsumer)
        consumer.app, consumer._thread = self.app, self._thread
        consumer.hand_over(TopicPartition("music-events", number))

    async def take(self) -> list[int]:
        """The partitions of which something is taken at once."""
        return sorted(tp.partition for tp in await self._thread._fetched(self._fetcher, set(self.states)))


async def test_few_events_of_all_partitions_are_taken_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    fetches = Fetches(monkeypatch, [100] * 4)
    assert await fetches.take() == [0, 1, 2, 3]
    assert await fetches.take() == []


async def test_large_fetches_are_taken_one_by_one_as_they_came(monkeypatch: pytest.MonkeyPatch) -> None:
    fetches = Fetches(monkeypatch, [LARGE_FETCH_BYTES, LARGE_FETCH_BYTES, 100, LARGE_FETCH_BYTES])
    assert [await fetches.take() for _ in range(4)] == [[0, 2], [1], [3], []]


@pytest.mark.parametrize(
    ("end", "taken"), [(SHORT_BACKLOG // 4, [[0, 1, 2, 3], []]), (SHORT_BACKLOG // 4 + 1, [[0], [1]])]
)
async def test_large_fetches_of_a_short_backlog_are_taken_as_they_come(
    monkeypatch: pytest.MonkeyPatch, end: int, taken: list[list[int]]
) -> None:
    fetches = Fetches(monkeypatch, [LARGE_FETCH_BYTES] * 4, end)
    assert [await fetches.take() for _ in range(2)] == taken


async def test_large_fetches_behind_a_short_backlog_are_taken_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    fetches = Fetches(monkeypatch, [LARGE_FETCH_BYTES] * 4, end=0)
    assert [await fetches.take() for _ in range(2)] == [[0], [1]]


async def test_what_was_fetched_before_a_partition_was_opened_is_taken_once_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fetches = Fetches(monkeypatch, [100] * 4)
    fetches.app.unopened |= set(fetches.states)
    waiting = asyncio.create_task(fetches.wait())
    async with asyncio.timeout(60):
        await asyncio.sleep(0)
        assert not waiting.done()
        fetches.hand_over(2)
        assert await waiting == [2]


async def test_what_was_fetched_of_a_paused_partition_keeps_nothing_back(monkeypatch: pytest.MonkeyPatch) -> None:
    fetches = Fetches(monkeypatch, [LARGE_FETCH_BYTES] * 4)
    for number in (0, 1):
        fetches.states[TopicPartition("music-events", number)].pause()
    assert await fetches.take() == [2]


async def test_partitions_that_are_resumed_are_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not after Faust's second."""
    consumer = BatchedConsumer.__new__(BatchedConsumer)
    consumer.flow_active, consumer._active_partitions = True, set()
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        consumer._active_partitions.add(types.TP(*TP))

    async def wait_next_records(self: Any, timeout: float) -> Any:  # noqa: ASYNC109 - the signature is Faust's
        return {TP: []}, {TP}

    monkeypatch.setattr(consumer, "sleep", sleep)
    monkeypatch.setattr(FaustConsumer, "_wait_next_records", wait_next_records)
    assert await consumer._wait_next_records(1.0) == ({}, set())
    assert await consumer._wait_next_records(1.0) == ({TP: []}, {TP})
    assert slept == [RESUMED_S]


class Assigned:
    """A consumer whose partitions are at these positions, None where that is not known, and the thread that has it.

    `committed` are the offsets of the group. `asked` has the partitions of each question about them, `sought` the
    partitions that were sought, `rewound` those whose offset was committed anew.
    """

    def __init__(self, positions: list[int | None], committed: list[int]) -> None:
        self.tps = [TopicPartition("music-events", number) for number in range(len(positions))]
        self.asked: list[list[Any]] = []
        self.sought: dict[int, int] = {}
        self.rewound: dict[int, int] = {}
        self._committed = {tp: OffsetAndMetadata(offset, "") for tp, offset in zip(self.tps, committed, strict=True)}
        self.states = states = {tp: TopicPartitionState(SimpleNamespace()) for tp in self.tps}
        self.taken: dict[int, int] = {}
        """The positions that are reached while the offsets are asked for."""
        for tp, position in zip(self.tps, positions, strict=True):
            if position is not None:
                states[tp].seek(position)
        subscription = SimpleNamespace(assignment=SimpleNamespace(state_value=states.get))
        self.thread = BatchedConsumerThread.__new__(BatchedConsumerThread)
        self.thread._consumer = SimpleNamespace(
            assignment=lambda: set(self.tps),
            _coordinator=SimpleNamespace(fetch_committed_offsets=self._fetch),
            _fetcher=SimpleNamespace(
                seek_to=lambda tp, offset: self.sought.update({tp.partition: offset}),
                _subscriptions=SimpleNamespace(subscription=subscription),
            ),
        )
        self.consumer = BatchedConsumer.__new__(BatchedConsumer)
        self.consumer._thread = SimpleNamespace(
            position=self.thread.position, commit=self._rewind, seek_wait=self._seek_wait
        )
        self.consumer._acked, self.consumer._acked_index = defaultdict(list), defaultdict(set)
        self.consumer._committed_offset = {tp: one.offset for tp, one in self._committed.items()}

    async def _fetch(self, tps: list[Any]) -> dict[Any, OffsetAndMetadata]:
        self.asked.append(tps)
        for number, position in self.taken.items():
            self.states[self.tps[number]].seek(position)
        return {tp: self._committed[tp] for tp in tps}

    async def _rewind(self, offsets: dict[Any, int]) -> None:
        self.rewound.update({tp.partition: offset for tp, offset in offsets.items()})

    async def _seek_wait(self, offsets: dict[Any, int]) -> None:
        self.sought.update({tp.partition: offset for tp, offset in offsets.items()})


async def test_committed_offsets_are_asked_for_at_once_and_what_was_fetched_from_there_stays() -> None:
    one = Assigned(positions=[7, 6, None, 3, 0], committed=[7, 7, 7, -1, 0])
    committed = await one.thread._seek_to_committed()
    assert {tp.partition: offset for tp, offset in committed.items()} == {0: 7, 1: 7, 2: 7, 3: None, 4: 0}
    assert [len(tps) for tps in one.asked] == [5]
    assert one.sought == {1: 7, 2: 7}


async def test_a_partition_that_moves_while_offsets_are_asked_for_is_left_where_it_is() -> None:
    one = Assigned(positions=[7, 6, None], committed=[7, 7, 7])
    one.taken = {0: 12, 2: 9}
    await one.thread._seek_to_committed()
    assert one.sought == {1: 7}


async def test_a_partition_is_rewound_unless_it_is_where_it_is_to_be_read() -> None:
    one = Assigned(positions=[7, 7, 6, 0], committed=[7, 6, 7, 0])
    for tp, offset in zip(one.tps, [7, 7, 7, 0], strict=True):
        one.consumer._acked[tp].append(5)
        await one.consumer.rewind(tp, offset)
    assert one.rewound == one.sought == {1: 7, 2: 7, 3: 0}
    assert not any(one.consumer._acked.values()), "what was acknowledged before is not committed"


def test_the_same_records_come_one_by_one_without_it() -> None:
    data = record_batch(10, 3) + record_batch(13, 2)
    single = list(PartitionRecords(TP, RecordBytes(data), None, 11, None, None, True, 0))
    (batch,) = FetchedRecords(PartitionRecords(TP, RecordBytes(data), None, 11, None, None, True, 0), 10_000)
    assert batch.bodies == [record.value for record in single]
    assert batch.offsets == [record.offset for record in single]


def record_batch(base: int, count: int, body_bytes: int = 0) -> bytes:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, MAX_FETCH_BYTES)
    for number in range(count):
        offset = base + number
        builder.append(
            number, timestamp=1000 + offset, key=None, value=str(offset).encode().rjust(body_bytes), headers=[]
        )
    data = bytearray(builder.build())
    data[:8] = base.to_bytes(8, "big")
    return bytes(data)
