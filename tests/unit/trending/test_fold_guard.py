"""Pieces of partitions: after which ends there are any, which are folded beside one another, and what becomes of them
when a partition is given up."""

import asyncio
from functools import partial
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from localcloud_tests.support.fuzzing import effort
from songline.processors.runtime.attempts import Attempt, attempt_id
from songline.processors.runtime.parking_bound import ParkingBound
from songline.processors.trending import crash_isolation, fold_guard
from songline.processors.trending.crash_isolation import CrashIsolation
from songline.processors.trending.faust.batch import Batch
from songline.processors.trending.fold_guard import FoldGuard
from songline.processors.trending.parking_queue import UnappliedRecord
from songline.processors.trending.spans import READER
from songline.schemas.channels import MUSIC_EVENTS
from tests.support.waiting import wait_for_async


class NotedAttempts:
    """A store in which a worker's attempt was left open."""

    def __init__(self) -> None:
        self.written: list[Attempt] = []
        self.before: list[Attempt] = []

    async def read(self, key: str) -> Attempt:
        for attempt in self.before:
            if attempt.id == key:
                return attempt
        return Attempt(id=key, owner="before", first=0)

    async def write(self, attempt: Attempt) -> None:
        self.written.append(attempt)

    async def close(self, *_: object) -> None:
        pass


async def test_no_piece_is_folded_or_noted_once_the_partition_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fold_guard, "FIRST_PIECE", 2)
    store: Any = NotedAttempts()
    nothing: Any = None
    guard = FoldGuard(MUSIC_EVENTS, CrashIsolation(store, ParkingBound(), nothing, nothing))
    folded: list[list[int]] = []

    async def complete(_: int) -> None:
        await guard.close()

    batch = Batch(0, 6, range(6), [0] * 6, [b""] * 6)
    await guard.fold(0, batch, "me", 6, lambda part: folded.append(list(part.offsets)), complete)
    assert folded == [[0, 1]]
    assert [(one.id, one.first, one.piece_last) for one in store.written] == [
        (attempt_id(READER, MUSIC_EVENTS, "0"), 0, None),
        (attempt_id(READER, MUSIC_EVENTS, "0"), 0, 1),
    ]


async def test_pieces_of_partitions_are_written_together_and_a_suspect_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fold_guard, "FIRST_PIECE", 2)
    store: Any = NotedAttempts()
    nothing: Any = None
    isolation = CrashIsolation(store, ParkingBound(), nothing, nothing)
    guard = FoldGuard(MUSIC_EVENTS, isolation)
    batch = Batch(0, 2, range(2), [0] * 2, [b""] * 2)
    writing = asyncio.Semaphore(0)
    folded: list[int] = []

    async def fold(partition: int) -> None:
        await guard.fold(partition, batch, "me", 2, lambda _: folded.append(partition), written)

    async def written(_: int) -> None:
        await writing.acquire()

    async def both_folded() -> bool:
        return len(folded) == 2

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        pieces = [group.create_task(fold(partition)) for partition in (0, 1)]
        await wait_for_async(both_folded, "both pieces to be folded")
        assert not any(piece.done() for piece in pieces), "neither waits for the other one to be written"
        # A stay has ended in both: none of them is a try of that piece.
        assert {one.tries for one in store.written} == {0}
        store.before = [one for one in store.written if one.piece_last == 1]
        guard, suspects = FoldGuard(MUSIC_EVENTS, isolation), len(store.written)
        assert len(store.before) == 2
        pieces += [group.create_task(fold(partition)) for partition in (0, 1)]
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(folded) == 2, "a suspect waits until no other piece is being folded"
        for _ in range(12):
            writing.release()
    tried = [one for one in store.written[suspects:] if one.tries]
    assert {(one.id, one.first, one.piece_last, one.tries) for one in tried} == {
        (attempt_id(READER, MUSIC_EVENTS, partition), position, position, 1)
        for partition in "01"
        for position in (0, 1)
    }


STRIDE = 4
OPEN = Attempt(id=attempt_id(READER, MUSIC_EVENTS, "0"), owner="before", first=0)


@pytest.mark.parametrize(
    ("before", "first_piece"),
    [
        (structs.replace(OPEN, open=False), 6),
        (structs.replace(OPEN, first=6), 6),
        (structs.replace(OPEN, first=6, piece_last=9), 6),
        (structs.replace(OPEN, first=7), 2),
        (structs.replace(OPEN, error="nobody foresaw it"), 2),
        (structs.replace(OPEN, piece_last=10), 1),
        (structs.replace(OPEN, first=10), 2),
        (structs.replace(OPEN, first=20), 2),
    ],
    ids=[
        "ended well",
        "wrote a stride",
        "wrote its piece and a stride",
        "wrote less than a stride",
        "noted an error",
        "ended in a piece",
        "wrote nothing",
        "was beyond",
    ],
)
async def test_pieces_follow_a_stay_that_a_record_may_have_ended(
    monkeypatch: pytest.MonkeyPatch, before: Attempt, first_piece: int
) -> None:
    monkeypatch.setattr(fold_guard, "FIRST_PIECE", 2)
    store: Any = NotedAttempts()
    store.before = [before]
    nothing: Any = None
    isolation = CrashIsolation(store, ParkingBound(), nothing, nothing)
    guard = FoldGuard(MUSIC_EVENTS, isolation, STRIDE)
    folded: list[int] = []

    async def complete(_: int) -> None:
        pass

    batch = Batch(10, 16, range(10, 16), [0] * 6, [b""] * 6)
    await guard.fold(0, batch, "me", 16, lambda part: folded.append(len(part.offsets)), complete)
    assert (folded[0], sum(folded)) == (first_piece, 6)
    assert isolation.noted[OPEN.id] == store.written[-1]


async def test_an_error_of_no_known_partition_is_noted_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crash_isolation, "threading", SimpleNamespace(Timer=Mock()))
    store: Any = NotedAttempts()
    nothing: Any = None
    crash = AsyncMock()
    isolation = CrashIsolation(store, ParkingBound(), nothing, crash)
    guard = FoldGuard(MUSIC_EVENTS, isolation, STRIDE)
    store.before = [structs.replace(OPEN, id=attempt_id(READER, MUSIC_EVENTS, str(one)), open=False) for one in (0, 1)]
    for partition in (0, 1):
        await guard.fold(partition, Batch(0, 1, [0], [0], [b""]), "me", 1, Mock(), AsyncMock())
    error = RuntimeError("nobody foresaw it")
    ending = asyncio.create_task(isolation.end(error))
    async with asyncio.timeout(60):
        await wait_for_async(partial(awaited, crash), "the app to be ended")
    ending.cancel()
    crash.assert_awaited_once_with(error)
    assert [(one.id[-1], one.error) for one in store.written[2:]] == [
        ("0", "RuntimeError: nobody foresaw it"),
        ("1", "RuntimeError: nobody foresaw it"),
    ]


async def awaited(mock: AsyncMock) -> bool:
    return mock.await_count > 0


class KilledError(BaseException):
    """The process is gone: nothing is noted of it."""


class Life:
    """Workers after one another, each killed by the same record. What they note, commit and park is kept."""

    def __init__(self, culprit: int, events: int, batch: int, batches_a_flush: int) -> None:
        self._culprit, self._events, self._batch, self._flush = culprit, events, batch, batches_a_flush
        self._attempts: dict[str, Attempt] = {}
        self.committed = 0
        self.parked: list[int] = []

    async def read(self, key: str) -> Attempt | None:
        return self._attempts.get(key)

    async def write(self, attempt: Attempt) -> None:
        self._attempts[attempt.id] = attempt

    def add(self, _: str, __: int, record: UnappliedRecord) -> None:
        self.parked.append(record.position)

    def _apply(self, part: Batch) -> None:
        if self._culprit in part.offsets:
            raise KilledError

    async def _complete(self, position: int) -> None:
        self.committed = position + 1

    async def live(self, stride: int) -> None:
        """Fold from the committed offset on. Like cells, which have a wide stride, a worker flushes its first batch,
        and the next ones seldom."""
        this: Any = self
        guard = FoldGuard(MUSIC_EVENTS, CrashIsolation(this, ParkingBound(), this, this), stride)
        begin, owner = self.committed, str(id(guard))
        for number, first in enumerate(range(begin, self._events, self._batch), 1):
            end = min(first + self._batch, self._events)
            count = end - first
            batch = Batch(first, end, range(first, end), [0] * count, [b""] * count)
            await guard.fold(0, batch, owner, self._events, self._apply, self._complete)
            if number % self._flush == 0 or (number == 1 and stride > 1):
                await self._complete(end - 1)


@effort(25)
@given(
    culprit=st.integers(0, 1_999),
    batch=st.integers(1, 300),
    batches_a_flush=st.integers(1, 20),
    begin=st.integers(0, 500),
    stride=st.sampled_from([1, 512]),
)
async def test_a_record_that_kills_every_worker_is_parked_after_few(
    culprit: int, batch: int, batches_a_flush: int, begin: int, stride: int
) -> None:
    life = Life(culprit, 2_000, batch, batches_a_flush)
    life.committed = min(begin, culprit)
    starts = 0
    while True:
        starts += 1
        try:
            await life.live(stride)
        except KilledError:
            assert starts < 12
        else:
            break
    assert life.parked == [culprit]
