"""Pieces of partitions: which are folded beside one another, and what becomes of them when a partition is given up."""

import asyncio
from typing import Any

import pytest

from songline.processors.runtime.attempts import Attempt, attempt_id
from songline.processors.runtime.parking_bound import ParkingBound
from songline.processors.trending import fold_guard
from songline.processors.trending.crash_isolation import CrashIsolation
from songline.processors.trending.faust.batch import Batch
from songline.processors.trending.fold_guard import FoldGuard
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
