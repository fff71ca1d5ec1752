"""What the state machines over a partition's log share: a log on disk that is opened again and again, and reads."""

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine

from localcloud.log.batch import records
from localcloud.log.commits import Commits
from localcloud.log.errors import InvalidOffsetError
from localcloud.log.partition import LogSettings, PartitionLog
from localcloud.log.segment import StoredBatch

SIZES = st.sampled_from([0, 1, 20, 100, 400, 1500, 4200, 9000])
"""Bytes of a value: very unequal, on both sides of the index's 4096 and of the smaller segments."""
SEGMENTS = st.sampled_from([1, 300, 1000, 2500, 6000, 20_000])
LIMITS = st.lists(st.integers(0, 300) | st.integers(300, 15_000), min_size=1, max_size=3)

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Files that are synced in no time, where the machine has such a folder."""


class Crash(BaseException):
    """The process ends here: nothing after it is done, nobody tidies up."""


class Inline(Executor):
    """Does at once what a thread would do: thousands of examples don't wait for threads."""

    def submit(self, call: Callable[..., Any], /, *args: Any, **options: Any) -> "Future[Any]":
        done: Future[Any] = Future()
        try:
            done.set_result(call(*args, **options))
        except BaseException as error:  # noqa: BLE001 - a crash is one
            done.set_exception(error)
        return done


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A partition's folder, in memory where the machine has such a place."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        yield Path(name) / "0"


class LogMachine(RuleBasedStateMachine):
    """A partition in a folder of its own, with a clock."""

    log: PartitionLog
    settings: LogSettings

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY)) / "0"
        self.executor = Inline()
        self.now = 1000

    def open(self) -> None:
        self.log = PartitionLog.open(self.folder, self.settings, Commits(self.executor), lambda: self.now)

    def close(self) -> None:
        self.loop.run_until_complete(self.log.close())

    def maintain(self) -> None:
        self.loop.run_until_complete(self.log.maintain())

    def stored(self) -> list[StoredBatch]:
        """Every batch, segment by segment."""
        return [batch for segment in self.log._segments for batch in segment.read_all()]

    def read_everywhere(self, limits: list[int], fitting: int, ahead: int) -> None:
        """From every offset, with these limits, with one that `fitting` batches just fit into, or just don't, and with
        one that has room for the batch `ahead` of those as well, but perhaps not for the one in between.

        A read gives the batches from the wanted one on, as many as fit but one at least, and passes none over.
        """
        batches = self.stored()
        at = 0
        for offset in range(self.log.start_offset, self.log.high_watermark):
            while at < len(batches) and batches[at].last_offset < offset:
                at += 1
            exact = sum(len(batch.data) for batch in batches[at : at + fitting])
            another = sum(len(batch.data) for batch in batches[at + fitting + ahead :][:1])
            for limit in (*limits, max(0, exact - 1), exact, exact + another):
                expected, room = batches[at : at + 1], limit
                for batch in batches[at:]:
                    room -= len(batch.data)
                    if room < 0:
                        break
                    expected = batches[at : batches.index(batch) + 1]
                found = self.log.read(offset, limit)
                assert places(found) == places(expected), f"read({offset}, {limit})"
        assert self.log.read(self.log.high_watermark, limits[0]) == []
        for outside in (self.log.start_offset - 1, self.log.high_watermark + 1):
            with pytest.raises(InvalidOffsetError):
                self.log.read(outside, 100)

    def teardown(self) -> None:
        self.loop.close()
        shutil.rmtree(self.folder.parent)


def places(batches: list[StoredBatch]) -> list[tuple[int, int, bytes]]:
    return [(batch.base_offset, batch.last_offset, batch.data) for batch in batches]


def contents(batches: list[StoredBatch]) -> list[tuple[int, bytes | None, bytes | None]]:
    """(offset, key, value) of every record."""
    return [
        (batch.base_offset + record.offset_delta, record.key, record.value)
        for batch in batches
        for record in records(batch.data)
    ]


@contextlib.contextmanager
def failing_writes(after_bytes: int, error: BaseException) -> Iterator[None]:
    """So many bytes more can be written to segments, then `error` is raised."""
    real, left = os.pwrite, after_bytes

    def pwrite(fd: int, data: memoryview, position: int) -> int:
        nonlocal left
        if left <= 0:
            raise error
        count = real(fd, data[:left], position)
        left -= count
        return count

    with mock.patch.object(os, "pwrite", pwrite):
        yield


@contextlib.contextmanager
def failing_files(after: int, error: BaseException, times: int = 1_000_000) -> Iterator[None]:
    """So many files more can be synced, renamed or removed, then `error` is raised, so many times."""
    left = after

    def failing(real: object) -> object:
        def step(*args: object, **options: object) -> object:
            nonlocal left
            left -= 1
            if -times <= left < 0:
                raise error
            return real(*args, **options)  # type: ignore[operator] # one of the three below

        return step

    with (
        mock.patch.object(os, "fsync", failing(os.fsync)),
        mock.patch.object(Path, "unlink", failing(Path.unlink)),
        mock.patch.object(Path, "replace", failing(Path.replace)),
    ):
        yield
