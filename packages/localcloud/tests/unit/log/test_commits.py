"""Partitions that are appended to together are written by one thread, and are seen together."""

import asyncio
import errno
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from localcloud.log.batch import build
from localcloud.log.commits import SLOW_S, Commits
from localcloud.log.errors import AppendError
from localcloud.log.partition import LogSettings, PartitionLog

BATCH = build([(None, b"value")], 5)


class CountedThreads(ThreadPoolExecutor):
    """Threads that count what they are given."""

    given = 0

    def submit(self, call: Callable[..., Any], /, *args: Any, **options: Any) -> "Future[Any]":
        self.given += 1
        return super().submit(call, *args, **options)


@pytest.fixture
def threads() -> Iterator[CountedThreads]:
    with CountedThreads(4) as found:
        yield found


class Clock:
    """Seconds that pass by themselves, `step_s` with each look."""

    def __init__(self) -> None:
        self.now_s = self.step_s = 0.0

    def __call__(self) -> float:
        self.now_s += self.step_s
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def partitions(tmp_path: Path, threads: CountedThreads, clock: Clock) -> list[PartitionLog]:
    commits = Commits(threads, clock)
    return [PartitionLog.open(tmp_path / str(number), LogSettings(), commits, lambda: 1_000) for number in range(4)]


async def test_appends_of_one_turn_wake_one_thread(partitions: list[PartitionLog], threads: CountedThreads) -> None:
    places = await asyncio.gather(*(one.submit(BATCH) for one in partitions))
    assert [place.base_offset for place in places] == [0] * 4
    assert threads.given == 1
    await partitions[0].append(BATCH)
    assert threads.given == 2


async def test_who_waits_for_several_partitions_finds_all_of_them(partitions: list[PartitionLog]) -> None:
    woken = asyncio.Event()
    for one in partitions:
        one.subscribe(woken.set)
    appended = [one.submit(BATCH) for one in partitions]
    await woken.wait()
    assert [one.high_watermark for one in partitions] == [1] * 4
    await asyncio.gather(*appended)


async def test_on_a_slow_disk_no_partition_waits_for_another(
    partitions: list[PartitionLog], threads: CountedThreads, clock: Clock
) -> None:
    clock.step_s = 2 * SLOW_S * len(partitions)
    await asyncio.gather(*(one.append(BATCH) for one in partitions))
    assert threads.given == 1, "it is not known yet"
    await asyncio.gather(*(one.append(BATCH) for one in partitions))
    assert threads.given == 1 + len(partitions)
    clock.step_s = 0.0
    await partitions[0].append(BATCH)
    await asyncio.gather(*(one.append(BATCH) for one in partitions))
    assert threads.given == 1 + len(partitions) + 2
    assert [one.high_watermark for one in partitions] == [4, 3, 3, 3]


async def test_a_partition_that_fails_costs_no_other(
    partitions: list[PartitionLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    await asyncio.gather(*(one.append(BATCH) for one in partitions))
    write, broken = os.pwrite, (partitions[1].folder / f"{0:020d}.log").stat().st_ino

    def fail_one(fd: int, data: memoryview, position: int) -> int:
        if os.fstat(fd).st_ino == broken:
            raise OSError(errno.EIO, "Input/output error")
        return write(fd, data, position)

    monkeypatch.setattr(os, "pwrite", fail_one)
    results = await asyncio.gather(*(one.append(BATCH) for one in partitions), return_exceptions=True)
    assert [isinstance(result, AppendError) for result in results] == [False, True, False, False]
    assert [one.high_watermark for one in partitions] == [2, 1, 2, 2]
