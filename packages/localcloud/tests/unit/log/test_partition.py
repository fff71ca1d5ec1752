"""Appending, reading and recovering one partition, by example and against a list."""

import asyncio
import contextlib
import errno
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from localcloud.log.batch import APPEND_TIME, build, check, header_of, placed, records
from localcloud.log.commits import Commits
from localcloud.log.errors import AppendError, InvalidBatchError, InvalidOffsetError, LogClosedError, LogOpenError
from localcloud.log.partition import LogSettings, PartitionLog
from localcloud_tests.support.kafka_requests import with_deltas


class Clock:
    def __init__(self) -> None:
        self.ms = 1_000_000

    def __call__(self) -> int:
        return self.ms


class Opener:
    """Opens the same folder again and again, as restarts would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock()
        self.executor = ThreadPoolExecutor(2)

    def __call__(self, **settings: int | bool) -> PartitionLog:
        return PartitionLog.open(self.folder, LogSettings(**settings), Commits(self.executor), self.clock)  # type: ignore[arg-type] # a mapping of settings by name


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opener]:
    opener = Opener(tmp_path / "0")
    yield opener
    opener.executor.shutdown()


def batch(*values: bytes, timestamp: int = 5) -> bytes:
    return build([(None, value) for value in values], timestamp)


def values_from(partition: PartitionLog, offset: int, max_bytes: int = 1 << 20) -> list[tuple[int, bytes | None]]:
    found = []
    while offset < partition.high_watermark:
        stored = partition.read(offset, max_bytes)
        for item in stored:
            found += [
                (item.base_offset + record.offset_delta, record.value)
                for record in records(item.data)
                if item.base_offset + record.offset_delta >= offset
            ]
        offset = stored[-1].last_offset + 1
    return found


async def test_a_batch_is_read_as_it_was_sent_at_its_offsets(opened: Opener) -> None:
    log = opened()
    first = await log.append(batch(b"a", b"b"))
    second = await log.append(batch(b"c"))
    assert (first.base_offset, first.last_offset, first.enqueued_ms) == (0, 1, 1_000_000)
    assert (second.base_offset, second.last_offset) == (2, 2)
    assert (log.start_offset, log.high_watermark, log.end_offset, log.last_enqueued_ms) == (0, 3, 3, 1_000_000)
    one, two = log.read(0, 1 << 20)
    assert one.data[16:] == batch(b"a", b"b")[16:]
    assert header_of(two.data).base_offset == 2
    assert [b.base_offset for b in log.read(1, 1)] == [0]
    assert log.read(3, 100) == []


async def test_appends_of_one_turn_share_one_sync_and_keep_their_order(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = opened()
    syncs = []
    sync = os.fdatasync

    def counted(fd: int) -> None:
        syncs.append(fd)
        sync(fd)

    monkeypatch.setattr(os, "fdatasync", counted)
    places = await asyncio.gather(*(log.submit(batch(b"%d" % n)) for n in range(100)))
    assert [place.base_offset for place in places] == list(range(100))
    assert len(syncs) == 1
    assert values_from(log, 0) == [(n, b"%d" % n) for n in range(100)]


async def test_nothing_is_visible_before_it_is_on_disk(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    log = opened()
    seen = []
    sync = os.fdatasync

    def watched(fd: int) -> None:
        seen.append((log.high_watermark, log.read(0, 99)))
        sync(fd)

    monkeypatch.setattr(os, "fdatasync", watched)
    await log.append(batch(b"a"))
    assert seen == [(0, [])]
    assert log.high_watermark == 1


@pytest.mark.parametrize(
    "damaged",
    [b"", b"x" * 60, batch(b"a") + b"x", batch(b"a")[:-1], batch(b"a")[:-1] + b"\xff", b"\0" * 61],
    ids=["nothing", "short", "followed", "cut", "flipped", "zeros"],
)
async def test_damaged_bytes_are_refused(opened: Opener, damaged: bytes) -> None:
    log = opened()
    with pytest.raises(InvalidBatchError):
        await log.append(damaged)
    assert log.end_offset == 0


async def test_offsets_outside_are_refused(opened: Opener) -> None:
    log = opened()
    await log.append(batch(b"a"))
    for offset in (-1, 2):
        with pytest.raises(InvalidOffsetError):
            log.read(offset, 1)


async def test_reading_crosses_segments_and_honours_max_bytes(opened: Opener) -> None:
    log = opened(segment_bytes=1000)
    for number in range(50):
        await log.append(batch(b"%04d" % number * 25))
    assert len(list(opened.folder.glob("*.log"))) > 5
    size = len(log.read(0, 1)[0].data)
    assert len(log.read(7, size * 12)) == 12
    assert len(log.read(7, size * 12 - 1)) == 11
    assert len(log.read(7, 0)) == 1
    assert [offset for offset, _ in values_from(log, 7, 500)] == list(range(7, 50))


async def test_a_read_stops_before_what_does_not_fit_and_never_passes_it_over(opened: Opener) -> None:
    log = opened(segment_bytes=2100)
    sizes = [1, 1, 1800, 1, 1, 1800, 900, 900, 1, 1]
    for number, size in enumerate(sizes):
        await log.append(batch(b"%d" % number * size))
    assert [number for number, segment in enumerate(log._segments) for _ in segment.read_all()] == [
        0, 0, 0, 1, 1, 1, 2, 2, 2, 3,
    ]  # fmt: skip
    # Two small batches fit, the large third one does not, and the small fourth one is in the next segment.
    small = len(log.read(0, 1)[0].data)
    assert small * 2 <= 140 < small * 3
    assert [found.base_offset for found in log.read(0, 140)] == [0, 1]
    for offset in range(len(sizes)):
        for max_bytes in range(0, log.size + 50, 7):
            found = log.read(offset, max_bytes)
            assert [item.base_offset for item in found] == list(range(offset, offset + len(found)))
            with_the_next = sum(len(item.data) for item in log.read(offset, log.size)[: len(found) + 1])
            assert with_the_next > max_bytes or found[-1].base_offset == len(sizes) - 1
    assert values_from(log, 0, 140) == [(number, b"%d" % number * size) for number, size in enumerate(sizes)]


async def test_a_clean_reopen_finds_everything(opened: Opener) -> None:
    log = opened(segment_bytes=1000)
    for number in range(40):
        opened.clock.ms += 10
        await log.append(batch(b"%03d" % number * 30))
    await log.close()
    with pytest.raises(LogClosedError):
        await log.append(batch(b"late"))
    for index in list(opened.folder.glob("*.index"))[:3]:
        index.write_bytes(b"rubbish")
    again = opened(segment_bytes=1000)
    assert (again.high_watermark, again.end_offset) == (40, 40)
    assert again.last_enqueued_ms == log.last_enqueued_ms
    assert values_from(again, 0) == [(n, b"%03d" % n * 30) for n in range(40)]


@pytest.mark.parametrize("keep_index", [True, False])
async def test_a_damaged_older_segment_is_refused_and_not_passed_over(opened: Opener, keep_index: bool) -> None:
    log = opened(segment_bytes=1000)
    for number in range(40):
        await log.append(batch(b"%03d" % number * 30))
    await log.close()
    oldest = min(opened.folder.glob("*.log"))
    data = bytearray(oldest.read_bytes())
    if keep_index:
        oldest.write_bytes(data[:-1])
    else:
        oldest.with_suffix(".index").unlink()
        second = 8 + len(log.read(0, 1)[0].data)
        oldest.write_bytes(data[:second] + bytes(40) + data[second + 40 :])
    with pytest.raises(LogOpenError, match=r"is damaged: its batches can be followed to byte \d+ .* of \d+. Restore"):
        opened(segment_bytes=1000)


async def test_a_torn_tail_is_cut_at_every_byte(opened: Opener, caplog: pytest.LogCaptureFixture) -> None:
    log = opened()
    for value in (b"one", b"two", b"three"):
        await log.append(batch(value))
    await log.close()
    (path,) = opened.folder.glob("*.log")
    whole = path.read_bytes()
    ends = [0]
    for item in log.read(0, 1 << 20):
        ends.append(ends[-1] + 8 + len(item.data))
    # As if nothing had been synced: else it is damage.
    (opened.folder / "synced").unlink()
    for size in range(len(whole) + 1):
        path.write_bytes(whole[:size])
        caplog.clear()
        again = opened()
        kept = sum(end <= size for end in ends) - 1
        assert again.high_watermark == kept
        assert path.stat().st_size == ends[kept]
        assert ("cut off" in caplog.text) == (size != ends[kept])


async def test_garbage_after_the_tail_is_cut_and_appending_goes_on(opened: Opener) -> None:
    log = opened()
    await log.append(batch(b"one"))
    (path,) = opened.folder.glob("*.log")
    with path.open("ab") as file:
        file.write(os.urandom(300))
    again = opened()
    await again.append(batch(b"two"))
    assert values_from(opened(), 0) == [(0, b"one"), (1, b"two")]


async def test_a_full_disk_fails_the_appends_and_leaves_no_hole(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = opened()
    await log.append(batch(b"kept"))
    write = os.pwrite

    def half_then_full(fd: int, data: memoryview, position: int) -> int:
        if position < 150:
            return write(fd, data[:20], position)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", half_then_full)
    doomed = [log.submit(batch(b"x" * 200)) for _ in range(3)]
    for append in doomed:
        with pytest.raises(AppendError) as failure:
            await append
        assert failure.value.disk_full
    monkeypatch.undo()
    assert (await log.append(batch(b"after"))).base_offset == 1
    assert values_from(opened(), 0) == [(0, b"kept"), (1, b"after")]


async def test_a_failed_sync_gives_back_what_lined_up_behind_it(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = opened()

    def fail(fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fail)
    first = log.submit(batch(b"1"))
    await asyncio.sleep(0)
    second = log.submit(batch(b"2"))
    for append in (first, second):
        with pytest.raises(AppendError):
            await append
    monkeypatch.undo()
    assert log.end_offset == 0
    assert (await log.append(batch(b"3"))).base_offset == 0


async def test_offsets_by_enqueued_time(opened: Opener) -> None:
    log = opened(segment_bytes=2000)
    for number in range(100):
        opened.clock.ms = 1000 + number // 2 * 10
        await log.append(batch(b"x" * 50))
    assert log.offset_at(0) == 0
    assert log.offset_at(1000) == 0
    assert log.offset_at(1000, inclusive=False) == 2
    for number in range(50):
        assert log.offset_at(1000 + number * 10) == number * 2
        assert log.offset_at(991 + number * 10) == number * 2
    assert log.offset_at(1490, inclusive=False) == log.high_watermark
    assert log.offset_at(9999) == log.high_watermark


async def test_records_by_their_own_time(opened: Opener) -> None:
    log = opened(segment_bytes=2000)
    stamps = [10, 50, 20, 60, 30] * 20
    for stamp in stamps:
        await log.append(batch(b"x" * 50, b"y", timestamp=stamp))
    assert log.record_at(0) == (0, 10)
    assert log.record_at(11) == (2, 50)
    assert log.record_at(60) == (6, 60)
    assert log.record_at(61) is None
    assert log.latest_record() == (6, 60)


async def test_what_a_sender_writes_into_a_record_is_no_offset_and_no_later_moment(opened: Opener) -> None:
    log = opened()
    await log.append(batch(b"0"))
    await log.append(with_deltas(batch(b"1", b"2", timestamp=2**63 - 1), [(2**40, 5), (-7, 2**62)]))
    await log.append(batch(b"3"))
    assert log.record_at(6) == (1, 2**63 - 1)
    assert log.latest_record() == (1, 2**63 - 1)


async def test_the_clock_going_back_does_not_turn_enqueued_times_around(opened: Opener) -> None:
    log = opened()
    await log.append(batch(b"a"))
    opened.clock.ms -= 500
    assert (await log.append(batch(b"b"))).enqueued_ms == 1_000_000


async def test_retention_drops_whole_old_segments_but_never_the_active_one(opened: Opener) -> None:
    log = opened(segment_bytes=1000, retention_ms=1000)
    for _ in range(60):
        opened.clock.ms += 100
        await log.append(batch(b"x" * 100))
    await log.maintain()
    assert 0 < log.start_offset <= 50
    assert log.read(log.start_offset, 1)[0].base_offset == log.start_offset
    with pytest.raises(InvalidOffsetError):
        log.read(log.start_offset - 1, 1)
    opened.clock.ms += 1_000_000
    await log.maintain()
    assert log.start_offset < log.high_watermark == 60
    assert opened(segment_bytes=1000).start_offset == log.start_offset


async def test_an_old_active_segment_is_rolled_so_that_it_can_expire(opened: Opener) -> None:
    log = opened(roll_ms=1000, retention_ms=5000)
    await log.append(batch(b"a"))
    opened.clock.ms += 1001
    await log.append(batch(b"b"))
    opened.clock.ms += 5000
    await log.maintain()
    assert log.start_offset == 1


async def test_waiters_and_subscribers_learn_of_new_events(opened: Opener) -> None:
    log = opened()
    moves = []

    def moved() -> None:
        moves.append(log.high_watermark)

    log.subscribe(moved)
    async with asyncio.timeout(60):
        waiting = asyncio.create_task(log.wait_for(1))
        await log.append(batch(b"a"))
        assert not waiting.done()
        await log.append(batch(b"b"))
        await waiting
        await log.wait_for(0)
    log.unsubscribe(moved)
    await log.append(batch(b"c"))
    assert moves == [1, 2]


async def test_a_waiter_that_goes_away_does_no_harm(opened: Opener) -> None:
    log = opened()
    waiting = asyncio.create_task(log.append(batch(b"a")))
    await asyncio.sleep(0)
    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting
    assert (await log.append(batch(b"b"))).base_offset == 1


@pytest.mark.parametrize("begun", [False, True])
async def test_with_append_time_records_carry_the_time_of_the_log_and_not_their_senders(
    opened: Opener, *, begun: bool
) -> None:
    partition = opened()
    if begun:
        await partition.append(batch(b"old", timestamp=7))
    await partition.close()
    partition = opened(append_time=True)
    for forged in (1, 2_000_000_000_000):
        opened.clock.ms += 1_000
        await partition.append(batch(b"a", b"b", timestamp=forged))
    for reader in (partition, opened(append_time=True)):
        stored = reader.read(begun, 1 << 20)
        assert [check(placed(item.data, 0)).max_timestamp for item in stored] == [1_001_000, 1_002_000]
        assert all(header_of(item.data).attributes & APPEND_TIME for item in stored)
        assert [(value, offset - begun) for offset, value in values_from(reader, begun)] == [
            (b"a", 0),
            (b"b", 1),
            (b"a", 2),
            (b"b", 3),
        ]
        assert reader.record_at(1_001_001) == (2 + begun, 1_002_000)
        assert reader.latest_record() == (2 + begun, 1_002_000)
        assert reader.record_at(7) == ((0, 7) if begun else (0, 1_001_000))
    await partition.close()
