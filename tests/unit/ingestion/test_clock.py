"""By how much the clock is ahead, measured and followed, and how much a lock bears."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.processors.ingestion.clock_skew import JUMP_S, ClockSkew, skew_limit_s

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)


class Machine:
    """A machine whose clock was set by `ahead_s`, so many seconds of the steady clock after its start."""

    def __init__(self) -> None:
        self.steady_s = 0.0
        self.ahead_s = 0.0
        self.away = False
        self.measured = 0

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.steady_s + self.ahead_s)

    async def measure(self) -> float:
        self.measured += 1
        if self.away:
            raise OSError("no route")
        return self.ahead_s

    def clock(self) -> ClockSkew:
        return ClockSkew(self.measure, self.now, lambda: self.steady_s)


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(-1000, 1000), st.booleans(), st.booleans()), max_size=8))
def test_a_jump_is_seen_at_once_whether_or_not_the_services_answer(
    steps: list[tuple[float, float, bool, bool]],
) -> None:
    machine = Machine()
    clock = machine.clock()
    asyncio.run(clock.refresh())
    for passed_s, set_by_s, machine.away, asked in steps:
        machine.steady_s += passed_s
        machine.ahead_s += set_by_s
        assert clock.seconds == pytest.approx(machine.ahead_s, abs=1e-3)
        if asked:
            asyncio.run(clock.refresh())
            assert clock.seconds == pytest.approx(machine.ahead_s, abs=1e-3)


def test_a_clock_that_was_wrong_from_the_start_is_told_by_the_services() -> None:
    machine = Machine()
    machine.ahead_s = 61.0
    clock = machine.clock()
    assert clock.seconds == 0
    asyncio.run(clock.refresh())
    assert clock.seconds == 61.0


def test_a_lock_leaves_time_to_renew_it_at_the_limit() -> None:
    assert skew_limit_s(60) == 50
    for lock_s in (5.0, 30.0, 60.0, 300.0):
        assert 0 < skew_limit_s(lock_s) <= lock_s - JUMP_S
