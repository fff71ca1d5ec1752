"""Pieces of a file, spread over the time that it has."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.capture.pace import paced, spread_s
from localcloud.capture.state_file import PlannedFile


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9), st.integers(0, 9)), max_size=8), st.integers(0, 150))
async def test_each_piece_comes_when_the_file_before_it_says(steps: list[tuple[int, int, int]], span_s: int) -> None:
    """Each piece is some part of the file, and takes some time to be made and some to be used, as the clock has it."""
    whole = sum(size for size, _, _ in steps)
    now, read = 100.0, 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal now, read
        for number, (size, made_s, _) in enumerate(steps):
            now += made_s
            read += size
            yield b"%d" % number

    async def pause(seconds: float) -> None:
        nonlocal now
        assert seconds > 0
        now += seconds

    def clock() -> float:
        return now

    kept: list[bytes] = []
    expected = 100.0
    async for piece in paced(pieces(), lambda: read / whole, span_s, clock, pause):
        sent = sum(size for size, _, _ in steps[: len(kept)])
        _, made_s, used_s = steps[len(kept)]
        expected = max(expected + made_s, 100 + span_s * sent / whole)
        assert abs(now - expected) < 1e-6
        kept.append(piece)
        now += used_s
        expected += used_s
    assert kept == [b"%d" % number for number in range(len(steps))]


@pytest.mark.parametrize(
    ("early", "late_s", "span"),
    [(False, 0, 7.5), (False, 60, 7.5), (False, 61, 0), (True, 0, 0)],
)
def test_partitions_share_half_a_window_unless_capture_is_behind(early: bool, late_s: int, span: float) -> None:
    plan = PlannedFile("archive", "0.avro", 0, 9, 10**9, "null", start_s=940, end_s=1_000, early=early)
    assert spread_s(plan, 60, 4, (1_000 + late_s) * 1_000) == span
