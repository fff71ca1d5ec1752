"""Compaction keeps each key's last record where it was, through merges, restarts and crashes half-way."""

import asyncio
import contextlib
import gzip
import os
import shutil
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from struct import pack

import pytest
from crc32c import crc32c

from localcloud.log.batch import HEADER, HEADER_SIZE, build, header_of, records
from localcloud.log.commits import Commits
from localcloud.log.compaction import compact, replace_files
from localcloud.log.index import SegmentIndex
from localcloud.log.partition import LogSettings, PartitionLog

Pairs = list[tuple[bytes | None, bytes | None]]


class Clock:
    ms = 1_000_000

    def __call__(self) -> int:
        return self.ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


def open_log(folder: Path, clock: Clock, tombstone_ms: int = 10_000) -> PartitionLog:
    settings = LogSettings(segment_bytes=600, compacted=True, tombstone_ms=tombstone_ms)
    return PartitionLog.open(folder, settings, Commits(ThreadPoolExecutor(1)), clock)


def everything(log: PartitionLog) -> list[tuple[int, bytes | None, bytes | None]]:
    found = []
    offset = log.start_offset
    while offset < log.high_watermark:
        batches = log.read(offset, 1000)
        for batch in batches:
            found += [(batch.base_offset + r.offset_delta, r.key, r.value) for r in records(batch.data)]
        if not batches:
            break
        offset = batches[-1].last_offset + 1
    return found


def expected(
    written: list[tuple[int, bytes | None, bytes | None]], sealed_before: int
) -> list[tuple[int, bytes | None, bytes | None]]:
    """Of the records before `sealed_before` the last of each key; all of those after."""
    last = {key: offset for offset, key, _ in written if offset < sealed_before}
    return [
        (offset, key, value)
        for offset, key, value in written
        if offset >= sealed_before or key is None or last[key] == offset
    ]


def gzipped(batch: bytes) -> bytes:
    """The same batch as a client would send it that compresses."""
    body = gzip.compress(batch[HEADER_SIZE:])
    header = header_of(batch)._replace(batch_length=HEADER_SIZE - 12 + len(body), attributes=1, crc=0)
    data = bytearray(HEADER.pack(*header) + body)
    data[17:21] = pack(">I", crc32c(bytes(data[21:])))
    return bytes(data)


async def fill(
    log: PartitionLog, clock: Clock, batches: int, keys: int
) -> list[tuple[int, bytes | None, bytes | None]]:
    written: list[tuple[int, bytes | None, bytes | None]] = []
    for number in range(batches):
        clock.ms += 10
        pairs: Pairs = [(b"k%d" % ((number * 7 + n) % keys), b"v%d.%d" % (number, n)) for n in range(3)]
        if number % 5 == 0:
            pairs.append((None, b"keyless"))
        batch = build(pairs, clock.ms)
        place = await log.append(gzipped(batch) if number % 2 else batch)
        written += [(place.base_offset + n, key, value) for n, (key, value) in enumerate(pairs)]
    return written


class CrashError(Exception):
    pass


def crash_after(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let that many files be removed or renamed, and none after."""
    fail_after(steps, monkeypatch, CrashError())


def fail_after(steps: int, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    left = steps

    def failing(name: str) -> None:
        real = getattr(Path, name)

        def step(self: Path, *args: object, **kwargs: object) -> object:
            nonlocal left
            if left == 0:
                raise error
            left -= 1
            return real(self, *args, **kwargs)

        monkeypatch.setattr(Path, name, step)

    failing("unlink")
    failing("replace")


async def test_the_last_record_of_each_key_stays_at_its_offset(tmp_path: Path, clock: Clock) -> None:
    log = open_log(tmp_path / "0", clock)
    written = await fill(log, clock, 60, 5)
    before = log.size
    await log.maintain()
    active = int(max((tmp_path / "0").glob("*.log")).stem)
    assert everything(log) == expected(written, active)
    assert log.size < before / 2
    assert (log.start_offset, log.high_watermark) == (0, len(written))
    again = open_log(tmp_path / "0", clock)
    assert everything(again) == expected(written, active)
    written += await fill(again, clock, 60, 5)
    written_offsets = [offset for offset, *_ in written]
    assert sorted(written_offsets[-150:]) == sorted({*written_offsets[-150:]})


async def test_a_batch_that_keeps_a_record_keeps_its_range_and_times(tmp_path: Path, clock: Clock) -> None:
    log = open_log(tmp_path / "0", clock)
    await log.append(build([(b"a", b"1"), (b"b", b"1"), (b"c", b"1")], 77))
    await log.append(build([(b"a", b"2"), (b"c", b"2")], 88))
    await log.append(build([(b"pad", b"x" * 600)], 99))
    await log.append(build([(b"pad", b"y")], 99))
    await log.maintain()
    first = log.read(0, 1)[0]
    header = header_of(first.data)
    assert (first.base_offset, first.last_offset, header.record_count) == (0, 2, 1)
    assert (header.base_timestamp, header.max_timestamp) == (77, 77)
    assert crc32c(first.data[21:]) == header.crc
    assert [record.key for record in records(first.data)] == [b"b"]
    assert log.read(1, 1)[0].base_offset == 0


async def test_tombstones_go_after_their_grace_and_take_the_key_along(tmp_path: Path, clock: Clock) -> None:
    log = open_log(tmp_path / "0", clock)
    await log.append(build([(b"gone", b"1")], 1))
    await log.append(build([(b"gone", None)], 1))
    await log.append(build([(b"pad", b"x" * 600)], 1))
    await log.append(build([(b"pad", b"y")], 1))
    await log.maintain()
    assert next((key, value) for _, key, value in everything(log)) == (b"gone", None)
    clock.ms += 10_001
    again = open_log(tmp_path / "0", clock)
    await again.maintain()
    assert b"gone" not in {key for _, key, _ in everything(again)}


async def test_readers_reach_the_end_though_it_is_an_expired_tombstone(tmp_path: Path, clock: Clock) -> None:
    log = open_log(tmp_path / "0", clock)
    await log.append(build([(b"gone", b"1"), (b"gone", None)], 1))
    await log.close()
    # As a crash leaves it that comes between the creation of a segment and its first write.
    (tmp_path / "0" / f"{log.end_offset:020d}.log").touch()
    clock.ms += 10_001
    again = open_log(tmp_path / "0", clock)
    await again.maintain()
    assert (again.start_offset, again.high_watermark) == (0, 2)
    assert everything(again) == [(1, b"gone", None)]
    # It goes when it is the end no longer.
    await again.append(build([(b"pad", b"x" * 600)], 1))
    await again.append(build([(b"pad", b"y")], 1))
    await again.maintain()
    assert {key for _, key, _ in everything(again)} == {b"pad"}


@pytest.mark.parametrize("steps", range(8))
async def test_a_crash_while_files_are_replaced_loses_nothing(
    tmp_path: Path, clock: Clock, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log(tmp_path / "0", clock)
    written = await fill(log, clock, 60, 5)
    await log.close()
    active = int(max((tmp_path / "0").glob("*.log")).stem)
    result = compact(log._segments[:-1], 0, 600)
    crash_after(steps, monkeypatch)
    with pytest.raises(CrashError):
        replace_files(log._segments[:-1], result)
    monkeypatch.undo()
    shutil.copytree(tmp_path / "0", tmp_path / "copy")
    again = open_log(tmp_path / "0", clock)
    found = everything(again)
    offsets = [offset for offset, *_ in found]
    assert offsets == sorted(set(offsets))
    # What a finished compaction keeps must be there; beside it there may be older records that it would have dropped.
    assert set(expected(written, active)) <= set(found) <= set(written)


@pytest.mark.parametrize("steps", range(16))
async def test_a_crash_while_files_are_replaced_brings_no_deleted_key_back(
    tmp_path: Path, clock: Clock, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log(tmp_path / "0", clock)
    for pairs in (
        [(b"a", b"1" * 500)],
        [(b"gone", b"1" * 350)],  # is merged with the one before, and nothing of it is left
        [(b"gone", None), (b"b", b"1" * 700)],  # the tombstone goes as well, in the next file
        [(b"c", b"1" * 500)],
    ):
        await log.append(build([*pairs], 1))
    await log.close()
    sealed = log._segments[:-1]
    result = compact(sealed, clock.ms + 1, 1200)
    assert (len(sealed), len(result.outputs)) == (3, 2)
    crash_after(steps, monkeypatch)
    with contextlib.suppress(CrashError):
        replace_files(sealed, result)
    monkeypatch.undo()
    values = {key: value for _, key, value in everything(open_log(tmp_path / "0", clock))}
    assert values.pop(b"gone", None) is None
    assert set(values) == {b"a", b"b", b"c"}


async def test_a_disk_too_full_for_an_index_does_not_confuse_readers(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log(tmp_path / "0", clock)
    written = await fill(log, clock, 60, 5)
    active = int(max((tmp_path / "0").glob("*.log")).stem)

    def full(self: SegmentIndex, path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(SegmentIndex, "save", full)
    await log.maintain()
    monkeypatch.undo()
    assert everything(log) == expected(written, active)
    assert everything(open_log(tmp_path / "0", clock)) == expected(written, active)


async def test_what_a_failed_compaction_left_is_no_part_of_the_next(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log(tmp_path / "0", clock)
    written = await fill(log, clock, 60, 5)
    active = int(max((tmp_path / "0").glob("*.log")).stem)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            await log.maintain()
        assert not list((tmp_path / "0").glob("*-new"))
        patch.setattr(Path, "unlink", full)
        with pytest.raises(OSError, match="No space left"):
            await log.maintain()
    assert list((tmp_path / "0").glob("*-new"))
    assert everything(log) == written
    await log.maintain()
    assert everything(log) == expected(written, active)


@pytest.mark.parametrize("step", range(8))
async def test_a_failure_while_files_are_replaced_leaves_a_log_that_is_read_right(
    tmp_path: Path, clock: Clock, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log(tmp_path / "0", clock)
    written = await fill(log, clock, 60, 5)
    active = int(max((tmp_path / "0").glob("*.log")).stem)
    with monkeypatch.context() as patch:
        fail_after(step, patch, OSError(5, "Input/output error"))
        with pytest.raises(OSError, match="Input/output"):
            await log.maintain()
    assert set(expected(written, active)) <= set(everything(log)) <= set(written)
    await log.maintain()
    assert everything(log) == everything(open_log(tmp_path / "0", clock))
    assert set(expected(written, active)) <= set(everything(log))


def test_what_is_no_gzip_is_named(tmp_path: Path) -> None:
    batch = bytearray(build([(b"k", b"v")], 1))
    batch[22] = 1
    with pytest.raises(Exception, match="says gzip"):
        list(records(bytes(batch)))


async def test_a_part_of_a_segment_is_in_memory_at_a_time(tmp_path: Path, clock: Clock) -> None:
    settings = LogSettings(segment_bytes=4 << 20, compacted=True)
    log = PartitionLog.open(tmp_path / "0", settings, Commits(ThreadPoolExecutor(1)), clock)
    for group in range(10):
        keys = (b"%d" % number for number in range(100 * group, 100 * group + 100))
        await asyncio.gather(*(log.append(build([(key, os.urandom(10_000))], 1)) for key in keys))
    sealed = log._segments[:-1]
    assert len(sealed) == 2
    tracemalloc.start()
    try:
        result = compact(sealed, 0, 4 << 20)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sum(index.size for _, _, index in result.outputs) == sum(segment.size for segment in sealed)
    assert peak_bytes < 2 << 20
