"""One flipped bit, anywhere in the files of a partition: it is named, or it changes nothing that is read."""

import asyncio
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.log.batch import build
from localcloud.log.commits import Commits
from localcloud.log.errors import DamagedLogError, LogError
from localcloud.log.frame import ENQUEUED
from localcloud.log.partition import LogSettings, PartitionLog
from localcloud_tests.unit.log.machine import Inline, places, temporary_folder

SETTINGS = [LogSettings(segment_bytes=2_000), LogSettings(segment_bytes=1_000, compacted=True), LogSettings()]


def open_log(folder: Path, settings: LogSettings) -> PartitionLog:
    return PartitionLog.open(folder, settings, Commits(Inline()), lambda: 1_000)


def written(folder: Path, settings: LogSettings, chance: random.Random) -> PartitionLog:
    """A log with groups of batches of several records, in several segments where they are small."""

    async def write() -> PartitionLog:
        log = open_log(folder, settings)
        for _ in range(chance.randrange(1, 12)):
            group = [
                build(
                    [(bytes([chance.randrange(4)]), chance.randbytes(chance.choice([0, 9, 300]))) for _ in range(2)], 7
                )
                for _ in range(chance.randrange(1, 4))
            ]
            await asyncio.gather(*(log.append(batch) for batch in group))
        if chance.random() < 0.5:
            await log.maintain()
        await log.close()
        return log

    return asyncio.run(write())


def all_of(log: PartitionLog) -> object:
    """Everything that readers are told, found in every way that there is."""
    offsets = range(log.start_offset, log.high_watermark)
    return (
        log.start_offset,
        log.high_watermark,
        [(places(found), [batch.enqueued_ms for batch in found]) for found in (log.read(at, 600) for at in offsets)],
        [header.record_count for header in log.recent_headers()],
        [log.offset_at(ms) for ms in (0, 1_000, 1_001)],
        [log.record_at(ms) for ms in (0, 7, 8)],
    )


@given(seed=st.integers(0, 2**32), settings=st.sampled_from(SETTINGS))
def test_a_flipped_bit_is_named_or_changes_nothing(seed: int, settings: LogSettings) -> None:
    chance = random.Random(seed)
    with temporary_folder() as folder:
        before = all_of(written(folder, settings, chance))
        files = sorted(path for path in folder.iterdir() if path.stat().st_size)
        file = chance.choice(files)
        sizes = {path.name: path.stat().st_size for path in files}
        at = chance.randrange(8 * sizes[file.name])
        content = bytearray(file.read_bytes())
        content[at // 8] ^= 1 << at % 8
        file.write_bytes(content)
        if file.suffix == ".log":
            with pytest.raises(LogError) as caught:
                all_of(open_log(folder, settings))
            assert str(file) in str(caught.value)
            # Nothing is cut off: the rest can still be had.
            assert {path.name: path.stat().st_size for path in files} == sizes
        else:
            # The others can be made anew.
            assert all_of(open_log(folder, settings)) == before


def test_what_lies_before_and_behind_the_damage_is_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def three() -> None:
        log = open_log(tmp_path, LogSettings(segment_bytes=1))
        for number in range(4):
            await log.append(build([(None, bytes([number]) * 50)], 7))
        await log.close()

    asyncio.run(three())
    file = tmp_path / f"{1:020d}.log"
    content = bytearray(file.read_bytes())
    content[-10] ^= 1
    file.write_bytes(content)
    log = open_log(tmp_path, LogSettings())
    assert [batch.base_offset for batch in log.read(0, 1_000)] == [0]
    for _ in range(3):
        with pytest.raises(DamagedLogError, match="offset 1"):
            log.read(1, 1_000)
    assert [batch.base_offset for batch in log.read(2, 1_000)] == [2, 3]
    assert caplog.text.count("is damaged at byte 0 (offset 1)") == 1


def test_what_begins_4_kb_behind_the_damage_is_read(tmp_path: Path) -> None:
    async def write() -> PartitionLog:
        log = open_log(tmp_path, LogSettings(segment_bytes=60_000))
        for number in range(80):
            await log.append(build([(None, random.Random(number).randbytes(1_000))], number))
        return log

    log = asyncio.run(write())
    sizes = [len(batch.data) + ENQUEUED.size for batch in log.read(0, 1 << 20)]
    file = tmp_path / f"{0:020d}.log"
    content = bytearray(file.read_bytes())
    damaged = 3
    content[sum(sizes[:damaged]) + 500] ^= 1
    file.write_bytes(content)
    # In memory the index of a sealed segment is coarse: what is damaged before a batch must not hide it.
    for opened in (log, open_log(tmp_path, LogSettings())):
        with pytest.raises(DamagedLogError):
            opened.read(damaged, 1)
        behind = [number for number in range(80) if sum(sizes[damaged:number]) >= 4_096]
        assert behind[0] < 10
        for number in behind:
            assert opened.read(number, 1)[0].base_offset == number
            assert opened.record_at(number) is not None


def test_the_newest_segment_is_not_cut_where_it_was_synced(tmp_path: Path) -> None:
    chance = random.Random(1)
    written(tmp_path, LogSettings(), chance)
    (file,) = tmp_path.glob("*.log")
    size = file.stat().st_size
    content = bytearray(file.read_bytes())
    content[100] ^= 4
    file.write_bytes(content)
    for _ in range(2):
        with pytest.raises(DamagedLogError, match="synced"):
            open_log(tmp_path, LogSettings())
        assert file.stat().st_size == size


def test_a_segment_that_is_gone_is_missed(tmp_path: Path) -> None:
    chance = random.Random(3)
    written(tmp_path, LogSettings(segment_bytes=100), chance)
    newest = max(tmp_path.glob("*.log"))
    newest.unlink()
    with pytest.raises(DamagedLogError, match="is not there"):
        open_log(tmp_path, LogSettings())


def test_frames_of_earlier_versions_have_no_checksum_and_are_read(tmp_path: Path) -> None:
    log = written(tmp_path, LogSettings(), random.Random(5))
    before = all_of(log)
    (file,) = tmp_path.glob("*.log")
    content, at = bytearray(file.read_bytes()), 0
    for batch in log.read(0, 1 << 20):
        content[at + 20 : at + 24] = bytes(4)
        at += ENQUEUED.size + len(batch.data)
    assert content != file.read_bytes()
    file.write_bytes(content)
    (tmp_path / "synced").unlink()
    assert all_of(open_log(tmp_path, LogSettings())) == before


def test_compaction_drops_nothing_of_a_damaged_segment(tmp_path: Path) -> None:
    async def append() -> PartitionLog:
        log = open_log(tmp_path, LogSettings(segment_bytes=700, compacted=True))
        for number in range(12):
            await log.append(build([(b"%d" % number, bytes([number]) * 150)], 7))
        return log

    log = asyncio.run(append())
    oldest = min(tmp_path.glob("*.log"))
    content = bytearray(oldest.read_bytes())
    content[-10] ^= 1
    oldest.write_bytes(content)
    before = {file.name: file.read_bytes() for file in tmp_path.glob("*.log")}
    assert len(before) > 2
    with pytest.raises(DamagedLogError):
        asyncio.run(log.maintain())
    assert {file.name: file.read_bytes() for file in tmp_path.glob("*.log*")} == before
