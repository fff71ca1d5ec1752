"""When a reader of a hub commits, and how much it gives to a partition's reader at a time."""

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest
from azure.eventhub import CloseReason

from localcloud.amqp.message import section
from localcloud.amqp.types import Symbol, Timestamp
from songline.cloud.eventhub_frames import ReceivedEvent
from songline.processors.runtime.hub_reader import PORTION, HubReader
from songline.processors.runtime.hub_record import HubRecord
from songline.processors.runtime.owned_partition import OwnedPartition
from songline.processors.runtime.projection_config import ProjectionConfig
from songline.processors.runtime.record_renaming import RecordsAsWritten
from songline.schemas.progress import Watermark

NOW = datetime(2026, 11, 22, 14, tzinfo=UTC)


class _Clock:
    now_s = 1_000.0


class _PartitionReader:
    """Takes all that it is given, and is never full."""

    partition, place, mismatch, is_full, next_position = "0", "music-events/0", None, False, 0

    def __init__(self, *, folds_in_pieces: bool) -> None:
        self.folds_in_pieces = folds_in_pieces
        self.given: list[int] = []

    async def process(self, records: list[HubRecord]) -> None:
        self.given.append(len(records))
        self.next_position = records[-1].position + 1


def reader_of(behind_flush_s: float, clock: Any) -> HubReader:
    shared: Any = SimpleNamespace(
        reader="library", hub="music-events", steady=lambda: clock.now_s, now=lambda: NOW,
        bound=SimpleNamespace(reason=""),
    )  # fmt: skip
    return HubReader(SimpleNamespace(), shared, ProjectionConfig(flush_s=1.0), {}, str, behind_flush_s)  # type: ignore[arg-type]


def event_at(position: int) -> ReceivedEvent:
    annotations: Any = {
        Symbol("x-opt-sequence-number"): position,
        Symbol("x-opt-enqueued-time"): Timestamp(int(NOW.timestamp() * 1_000)),
        Symbol("x-opt-offset"): str(position),
    }
    return ReceivedEvent(section(0x72, annotations) + section(0x75, b"{}"))


@pytest.mark.parametrize(
    ("behind_flush_s", "age_s", "due_s"), [(0, 0, 1), (0, 60, 1), (3, 0, 1), (3, 9, 1), (3, 11, 3), (3, None, 1)]
)
def test_far_behind_a_projection_is_flushed_as_often_as_it_says(
    behind_flush_s: float, age_s: float | None, due_s: int
) -> None:
    reader = reader_of(behind_flush_s, clock := _Clock())
    owned: Any = SimpleNamespace(reader=SimpleNamespace(is_full=False), committed_s=999.0)
    newest_at = None if age_s is None else NOW - timedelta(seconds=age_s)
    due = []
    for second in range(7):
        clock.now_s = 999.0 + second
        due.append(reader._is_commit_due(owned, newest_at))
    assert due.index(True) == due_s
    owned.committed_s, owned.reader.is_full = clock.now_s, True
    assert reader._is_commit_due(owned, newest_at)


async def test_what_is_read_first_is_committed_together_with_all_partitions() -> None:
    reader = reader_of(0, clock := _Clock())
    partition_reader: Any = SimpleNamespace(
        partition="0", place="music-events/0", resume=AsyncMock(), retries=SimpleNamespace(run=lambda call: call()),
        mismatch=None, is_full=False, watermark=Watermark(position=9, through=NOW), written_position=9,
        written_through=NOW,
    )  # fmt: skip
    reader._watch.partitions = frozenset({"0"})
    clock.now_s = 1_000.4
    await reader._resume(owned := OwnedPartition(partition_reader))
    due = []
    for tenth in range(4, 11):
        clock.now_s = 1_000 + tenth / 10
        due.append(reader._is_commit_due(owned, NOW))
    assert due == [False] * 6 + [True]


@pytest.mark.parametrize(("in_pieces", "given"), [(False, [PORTION] * 4 + [50]), (True, [450])])
async def test_pieces_are_given_the_whole_batch_to_grow_in(in_pieces: bool, given: list[int]) -> None:
    reader = reader_of(0, _Clock())
    owned = OwnedPartition(partition_reader := _PartitionReader(folds_in_pieces=in_pieces))  # type: ignore[arg-type]
    owned.committed_s = owned.checked_s = _Clock.now_s
    context: Any = SimpleNamespace(partition_id="0")
    await reader._process(context, owned, [event_at(position) for position in range(450)])
    assert partition_reader.given == given


@pytest.mark.parametrize("watched", [False, True])
async def test_an_idle_partition_is_complete_through_the_question_for_its_end(*, watched: bool) -> None:
    """An event that came while the answer was on its way is as old as the question: 3 s more than the answer."""
    now = NOW

    async def read_ends(partition: str) -> tuple[int, int]:
        nonlocal now
        now += timedelta(seconds=3)
        return 0, ends.pop()

    ends = [10, 9]
    shared: Any = SimpleNamespace(
        reader="library", hub="music-events", steady=lambda: _Clock.now_s, now=lambda: now,
        bound=SimpleNamespace(reason=""), metadata=SimpleNamespace(read_ends=read_ends),
    )  # fmt: skip
    reader = HubReader(SimpleNamespace(), shared, ProjectionConfig(), {}, str)  # type: ignore[arg-type]
    partition_reader: Any = SimpleNamespace(
        partition="0", mismatch=None, written_position=9, written_through=NOW - timedelta(hours=1),
        record_end=lambda last, asked_at: None, retries=SimpleNamespace(failing_for_s=lambda: 0.0),
    )  # fmt: skip
    owned = reader._owned["0"] = OwnedPartition(partition_reader)
    reader._watch.partitions = frozenset({"0"})
    for _ in range(2):
        await (reader._watch._observe_busy(0) if watched else reader._check_end(owned))
    (found,) = reader.report().partitions
    assert (found.events_behind, found.age_seconds) == (1, 6.0)


class _Store:
    """Watermarks that are read when `there` is set."""

    def __init__(self, error: Exception | None = None) -> None:
        self.asked, self.there = asyncio.Event(), asyncio.Event()
        self._error = error

    async def read(self, partition: str) -> Any:
        self.asked.set()
        await self.there.wait()
        raise self._error or AssertionError("more than these tests need")


def opening_reader(store: _Store) -> HubReader:
    shared: Any = SimpleNamespace(
        reader="library", hub="music-events", steady=lambda: _Clock.now_s, now=lambda: NOW, watermarks=store,
        bound=SimpleNamespace(reason="", in_a_row=lambda partition: 0), attempts=SimpleNamespace(read=AsyncMock()),
        parked=None, renaming=RecordsAsWritten(), piece_gate=None,
    )  # fmt: skip
    reader = HubReader(SimpleNamespace(), shared, ProjectionConfig(), {}, str)  # type: ignore[arg-type]
    reader._watch.partitions = frozenset({"0"})
    reader._crashed = asyncio.get_running_loop().create_future()
    return reader


async def test_a_link_is_opened_while_its_reader_resumes_and_what_comes_over_it_waits() -> None:
    reader = opening_reader(store := _Store(ValueError("no document")))
    context: Any = SimpleNamespace(partition_id="0")
    await reader._on_open(context)
    assert not store.asked.is_set()
    received = asyncio.create_task(reader._on_events(context, [event_at(0)]))
    async with asyncio.timeout(60):
        await store.asked.wait()
    assert not received.done()
    store.there.set()
    with pytest.raises(ValueError, match="no document"):
        await reader._crashed  # type: ignore[misc]
    received.cancel()
    await asyncio.wait((received,))


async def test_a_partition_that_is_lost_before_its_reader_has_resumed_leaves_no_task() -> None:
    reader = opening_reader(store := _Store())
    context: Any = SimpleNamespace(partition_id="0")
    before = asyncio.all_tasks()
    await reader._on_open(context)
    async with asyncio.timeout(60):
        await store.asked.wait()
    await reader._on_close(context, CloseReason.OWNERSHIP_LOST)
    assert asyncio.all_tasks() == before
    assert reader.report().partitions == ()
