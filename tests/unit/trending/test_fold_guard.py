"""Pieces of a partition that is given up while they are folded."""

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


class NotedAttempts:
    """A store in which a worker's attempt was left open."""

    def __init__(self) -> None:
        self.written: list[Attempt] = []

    async def read(self, key: str) -> Attempt:
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
