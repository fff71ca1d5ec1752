"""Bisection, the bound on parking, refusals of items, and the watchdog."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.processors.runtime.bisection import bisect
from songline.processors.runtime.parking_bound import IN_A_ROW, ParkingBound
from songline.processors.runtime.watchdog import HangMeter, watchdog
from tests.support.waiting import wait_for


@given(st.integers(0, 300), st.sets(st.integers(0, 299)))
def test_bisection_finds_what_fails_and_folds_the_rest_in_order(length: int, bad: set[int]) -> None:
    folded: list[int] = []
    failed: list[int] = []

    async def fold(records: Sequence[int]) -> None:
        if found := bad.intersection(records):
            raise ValueError(min(found))
        folded.extend(records)

    async def fail(record: int, error: Exception) -> None:
        assert str(error) == str(record)
        failed.append(record)

    asyncio.run(bisect(range(length), fold, fail))
    assert failed == sorted(bad & set(range(length)))
    assert folded == sorted(set(range(length)) - bad)


async def test_what_a_failure_raises_ends_the_bisection() -> None:
    async def fold(records: Sequence[int]) -> None:
        raise ValueError

    async def fail(record: int, error: Exception) -> None:
        raise LookupError(record)

    with pytest.raises(LookupError, match="0"):
        await bisect(range(8), fold, fail)


def test_ten_in_a_row_and_then_nothing_more() -> None:
    bound = ParkingBound(lambda: 0.0)
    assert [bound.admits("2", "crashes-the-fold") for _ in range(12)] == [True] * IN_A_ROW + [False] * 2
    assert "10 records in a row" in bound.reason
    assert not bound.admits("1", "crashes-the-fold")


def test_one_that_is_applied_ends_the_row_and_a_start_does_not() -> None:
    bound = ParkingBound(lambda: 0.0)
    bound.begin("2", IN_A_ROW)
    assert not bound.admits("2", "x")
    other = ParkingBound(lambda: 0.0)
    for _ in range(IN_A_ROW):
        other.admits("2", "x")
    other.applied("2", 1)
    assert other.in_a_row("2") == 0


@pytest.mark.parametrize(("events", "most"), [(0, 10), (900, 10), (2_000, 20)])
def test_a_hundredth_of_a_minutes_events_but_ten_at_least(events: int, most: int) -> None:
    now = 0.0
    bound = ParkingBound(lambda: now)
    bound.applied("0", events)
    parked = 0
    while bound.admits("0", "x"):
        bound.applied("0", 0)
        parked += 1
    assert parked == most
    later = ParkingBound(lambda: now)
    for _ in range(50):
        now += 61
        assert later.admits("0", "x")
        later.applied("0", 0)


def test_a_loop_hangs_when_it_has_no_turn_though_the_watcher_has() -> None:
    meter = HangMeter(30.0)
    assert not meter.is_hung(1, 0.0, 1.0)
    assert not any(meter.is_hung(1, float(second), 1.0) for second in range(1, 30))
    assert meter.is_hung(1, 30.0, 1.0)
    # The whole process stood still for an hour: that is one look.
    meter = HangMeter(30.0)
    meter.is_hung(1, 0.0, 1.0)
    assert not meter.is_hung(1, 3_600.0, 1.0)
    assert not meter.is_hung(2, 3_601.0, 1.0)


async def test_the_watchdog_ends_a_process_that_hangs() -> None:
    codes: list[int] = []
    async with watchdog(1.0, 75, codes.append, beat_s=0.1):
        await asyncio.sleep(0.3)
        assert codes == []
        # A fold that hangs: nothing of the loop runs meanwhile.
        wait_for(lambda: codes, "the process to be ended")
    assert codes == [75]
