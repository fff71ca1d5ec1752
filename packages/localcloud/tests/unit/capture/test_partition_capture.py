"""Capture of one partition over a real log: whatever ends it, each event is in one file once."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from azure.core.exceptions import ServiceRequestError
from hypothesis import given
from hypothesis import strategies as st

from localcloud.capture import partition_capture, retry
from localcloud.capture.declaration import CaptureConfig
from localcloud.capture.name_format import DEFAULT_FORMAT, file_name
from localcloud.capture.partition_capture import PartitionCapture
from localcloud.capture.state_file import CaptureState, load_state, save_state
from localcloud.log.batch import build
from localcloud.log.commits import Commits
from localcloud.log.partition import LogSettings, PartitionLog
from localcloud.testing.waiting import wait_for_async
from localcloud_tests.support.capture import rows
from localcloud_tests.support.fuzzing import effort

T0_MS = 1_700_000_000_000
LATER_MS = T0_MS + 10**9


class KilledError(BaseException):
    """The process ends here."""


class MemoryBlobs:
    """Blobs in a dict; `step` is called before and after each change, and may raise."""

    def __init__(self, step: Callable[[], None] = lambda: None) -> None:
        self.step = step
        self.blobs: dict[str, bytes] = {}
        self.written = 0

    async def exists(self, container: str, name: str) -> bool:
        return name in self.blobs

    async def write(self, container: str, name: str, pieces: AsyncIterator[bytes]) -> None:
        self.step()
        data = b"".join([piece async for piece in pieces])
        self.step()
        self.blobs.setdefault(name, data)
        self.written += 1
        self.step()


class Scene:
    """A log with a clock, and Capture over it, as restarts would have it."""

    def __init__(self, folder: Path, config: CaptureConfig) -> None:
        self.executor = ThreadPoolExecutor(2)
        self.folder = folder
        self.config = config
        self.clock_ms = T0_MS
        self.blobs = MemoryBlobs()
        self.log = self.opened()

    def opened(self, **changes: int) -> PartitionLog:
        return PartitionLog.open(self.folder, LogSettings(**changes), Commits(self.executor), lambda: self.clock_ms)  # type: ignore[arg-type]

    async def append(self, count: int, after_ms: int = 0) -> None:
        self.clock_ms += after_ms
        await self.log.append(build([(None, b"event") for _ in range(count)], self.clock_ms))

    async def capture(self, until: Callable[[], bool], now_ms: int = LATER_MS) -> CaptureState:
        """Capture until `until` says so, or until it is killed; what the folder holds then."""
        begun = asyncio.Event()
        begun.set()
        name_of = partial(file_name, DEFAULT_FORMAT, "ns", "hub", 0)
        state = load_state(self.folder) or CaptureState()
        running = PartitionCapture(
            self.log, self.config, state, name_of, self.blobs, lambda: now_ms, begun, asyncio.Lock(), lambda: 1
        )
        task = asyncio.create_task(running.run())
        with contextlib.suppress(KilledError):

            async def over() -> bool:
                return until() or task.done()

            await wait_for_async(over, "the events to be captured")
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        return load_state(self.folder) or CaptureState()

    def is_captured(self) -> bool:
        return (load_state(self.folder) or CaptureState()).position == self.log.high_watermark

    def positions(self) -> list[list[int]]:
        """The events of each file, in the order of names."""
        return [[event["SequenceNumber"] for event in rows(data)] for _, data in sorted(self.blobs.blobs.items())]

    def names(self) -> list[str]:
        return [name.removeprefix("ns/hub/0/") for name in sorted(self.blobs.blobs)]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path / "0", CaptureConfig("archive", interval_s=60, skip_empty=True))
    yield made
    made.executor.shutdown()


async def test_windows_follow_from_the_first_event_on(scene: Scene) -> None:
    await scene.append(2)
    await scene.append(3, after_ms=59_999)
    await scene.append(4, after_ms=1)
    await scene.append(1, after_ms=600_000)
    await scene.capture(scene.is_captured)
    assert scene.positions() == [[0, 1, 2, 3, 4], [5, 6, 7, 8], [9]]
    assert scene.names() == ["2023/11/14/22/13/20.avro", "2023/11/14/22/14/20.avro", "2023/11/14/22/24/20.avro"]


async def test_what_comes_while_nothing_is_captured_is_captured_later(scene: Scene) -> None:
    await scene.append(2)
    await scene.capture(scene.is_captured)
    await scene.append(3, after_ms=10_000)
    await scene.capture(scene.is_captured)
    assert scene.positions() == [[0, 1], [2, 3, 4]]


async def test_a_size_ends_a_window_and_starts_the_next_one(scene: Scene) -> None:
    scene.config = CaptureConfig("archive", interval_s=60, size_limit_bytes=1, skip_empty=True)
    for after_ms in (0, 10, 10, 30_000, 0):
        await scene.append(2, after_ms)
    await scene.capture(scene.is_captured)
    assert scene.positions() == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    assert [name[-7:-5] for name in scene.names()] == ["20", "21", "22", "23", "50"]


async def test_a_clock_that_went_back_loses_nothing(scene: Scene) -> None:
    await scene.append(2)
    await scene.capture(scene.is_captured)
    await scene.append(2, after_ms=-3_600_000)
    await scene.capture(scene.is_captured)
    assert scene.positions() == [[0, 1], [2, 3]]


@effort(10)
@given(
    appends=st.lists(st.tuples(st.integers(1, 5), st.integers(0, 100_000)), min_size=1, max_size=6),
    kills=st.lists(st.integers(1, 8), min_size=1, max_size=12),
    size_limit_bytes=st.sampled_from([1, 200, 10**6]),
    skip_empty=st.booleans(),
)
def test_killed_at_any_step_each_event_is_in_one_file_once(
    tmp_path_factory: pytest.TempPathFactory,
    appends: list[tuple[int, int]],
    kills: list[int],
    size_limit_bytes: int,
    skip_empty: bool,
) -> None:
    """Steps are: before and after a state is on disk, before, in the middle of and after a blob's writing."""
    config = CaptureConfig("archive", interval_s=60, size_limit_bytes=size_limit_bytes, skip_empty=skip_empty)
    scene = Scene(tmp_path_factory.mktemp("capture") / "0", config)
    left = 0

    def step() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise KilledError

    def save(folder: Path, state: CaptureState) -> None:
        step()
        save_state(folder, state)
        step()

    async def run() -> None:
        nonlocal left
        scene.blobs = MemoryBlobs(step)
        for (count, after_ms), kill in zip(appends, [*kills, *[0] * len(appends)], strict=False):
            left = kill
            await scene.append(count, after_ms)
            await scene.capture(scene.is_captured)
        for kill in [*kills, 0]:
            left = kill
            await scene.capture(scene.is_captured)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(partition_capture, "save_state", save)
        asyncio.run(run())
    scene.executor.shutdown()
    files = scene.positions()
    assert [position for file in files for position in file] == list(range(scene.log.high_watermark))


async def test_a_file_that_the_service_lost_is_written_again(scene: Scene) -> None:
    await scene.append(2)
    await scene.capture(scene.is_captured)
    ((name, data),) = scene.blobs.blobs.items()
    scene.blobs.blobs.clear()
    await scene.capture(lambda: bool(scene.blobs.blobs))
    assert scene.blobs.blobs == {name: data}


async def test_while_blob_storage_is_away_the_hub_keeps_its_events(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(retry, "PAUSES_S", (0.01,))
    await scene.append(2)
    failures = 3

    def fail() -> None:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise ServiceRequestError("connection refused")

    scene.blobs.step = fail
    await scene.capture(scene.is_captured)
    assert scene.positions() == [[0, 1]]
    assert caplog.text.count("connection refused") == 1
    assert "captured after 3 failures" in caplog.text


async def test_retention_waits_for_capture(scene: Scene) -> None:
    scene.log = scene.opened(segment_bytes=1, retention_ms=1000)
    scene.log.keep_from = 0
    for _ in range(3):
        await scene.append(1, after_ms=10_000)
    scene.clock_ms += 100_000
    await scene.log.maintain()
    assert scene.log.start_offset == 0
    await scene.capture(scene.is_captured)
    await scene.log.maintain()
    assert scene.log.start_offset == 0, "its files may have to be written again"
    await scene.append(1)
    # The log is told what it may drop after that is on disk.
    await scene.capture(lambda: scene.is_captured() and scene.log.keep_from != 0, LATER_MS + 100_000)
    await scene.log.maintain()
    assert scene.log.start_offset > 0
    assert [position for file in scene.positions() for position in file] == [0, 1, 2, 3]
