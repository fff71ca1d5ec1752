"""The sparse index of a segment: whole, and thinned as it is kept of segments to which nothing is added any more."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from localcloud.log.batch import build
from localcloud.log.commits import Commits
from localcloud.log.frame import ENQUEUED
from localcloud.log.index import COARSE_BYTES, SegmentIndex
from localcloud.log.partition import LogSettings, PartitionLog
from localcloud_tests.unit.log.machine import Inline

FRAMES = st.lists(
    st.tuples(st.sampled_from([61, 500, 4_095, 4_096, 9_000, 70_000]), st.integers(0, 2), st.integers(-1, 40)),
    min_size=1,
    max_size=60,
)
"""Of each frame its bytes, how long after the one before it was enqueued, and its greatest timestamp."""
COUNT = 700


class Placed(NamedTuple):
    position: int
    offset: int
    enqueued_ms: int
    timestamp: int


def indexed(frames: list[tuple[int, int, int]]) -> tuple[SegmentIndex, list[Placed]]:
    index, placed, now = SegmentIndex(), list[Placed](), 1_000
    for number, (size, later_ms, timestamp) in enumerate(frames):
        now += later_ms
        placed.append(Placed(index.size, number * 3, now, timestamp))
        index.add(number * 3, number * 3 + 2, now, timestamp, size)
    return index, placed


@given(FRAMES)
def test_a_thinned_index_finds_a_place_that_is_not_much_earlier(frames: list[tuple[int, int, int]]) -> None:
    index, placed = indexed(frames)
    thin = index.thinned()
    starts = {one.position for one in placed}
    for attribute in ("size", "last_offset", "first_enqueued_ms", "last_enqueued_ms", "max_timestamp"):
        assert getattr(thin, attribute) == getattr(index, attribute)
    assert len(thin) <= 1 + index.size / COARSE_BYTES
    for one in (index, thin):
        for frame in placed:
            for offset in range(frame.offset, frame.offset + 3):
                found = one.position_of(offset)
                assert found in starts
                assert 0 <= frame.position - found < one.slack_bytes
        by: list[tuple[Callable[[int], int], Callable[[Placed], int]]] = [
            (one.position_at, lambda frame: frame.enqueued_ms),
            (one.position_of_timestamp, lambda frame: frame.timestamp),
        ]
        for find, told in by:
            for wanted in {told(frame) + by_ms for frame in placed for by_ms in (-1, 0, 1)}:
                first = next((frame.position for frame in placed if told(frame) >= wanted), index.size)
                found = find(wanted)
                assert found in starts
                assert found <= first


def written(folder: Path, settings: LogSettings) -> PartitionLog:
    """A log of COUNT batches of 1 KB, with their numbers for timestamps."""
    chance = random.Random(4)

    async def write() -> PartitionLog:
        log = PartitionLog.open(folder, settings, Commits(Inline()), lambda: 1_000)
        for number in range(COUNT):
            await log.append(build([(b"key-%d" % number, chance.randbytes(1_000))], number))
        await log.maintain()
        return log

    return asyncio.run(write())


def test_of_sealed_segments_a_part_is_kept_in_memory_and_all_in_a_file(tmp_path: Path) -> None:
    settings = LogSettings(segment_bytes=150_000)
    log = written(tmp_path, settings)
    again = PartitionLog.open(tmp_path, settings, Commits(Inline()), lambda: 1_000)
    for opened in (log, again):
        *sealed, _ = opened._segments
        assert len(sealed) > 3
        for segment in sealed:
            assert len(segment.index) <= 1 + segment.size / COARSE_BYTES
            whole = SegmentIndex.load(segment.path.with_suffix(".index"), segment.size)
            assert whole is not None
            assert len(whole) > 20
        for offset in range(COUNT):
            assert opened.read(offset, 1)[0].base_offset == offset
            assert opened.record_at(offset) == (offset, offset)
            stored = sum(ENQUEUED.size + len(batch.data) for batch in opened.read(offset, 1 << 20))
            assert stored - 40 * 1_024 < opened.bytes_from(offset) <= stored


def test_compacted_segments_keep_a_part_of_their_index_too(tmp_path: Path) -> None:
    log = written(tmp_path, LogSettings(segment_bytes=150_000, compacted=True))
    *sealed, _ = log._segments
    assert sum(segment.size for segment in sealed) > 10 * COARSE_BYTES
    for segment in sealed:
        assert len(segment.index) <= 1 + segment.size / COARSE_BYTES
