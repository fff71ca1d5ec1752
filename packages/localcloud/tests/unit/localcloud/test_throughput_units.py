"""Throughput units: what comes in over any time stays within what the units take in, and a second's worth at once."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.throughput_units import EGRESS, INGRESS, ThroughputUnits, UnitRates

BATCHES = st.lists(
    st.tuples(st.integers(1, 1_048_576), st.integers(1, 5_000), st.floats(0, 3)), min_size=1, max_size=60
)


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@given(st.integers(1, 40), st.sampled_from([INGRESS, EGRESS]), BATCHES)
def test_who_waits_stays_within_the_units(units: int, rates: UnitRates, batches: list[tuple[int, int, float]]) -> None:
    clock = Clock()
    held = ThroughputUnits(units, clock, rates)
    taken = [0, 0]
    for size, events, pause_s in batches:
        clock.now_s += pause_s
        clock.now_s += held.wait_s()
        # What was taken before fits into the time, and into the second that may come at once.
        seconds = clock.now_s - 100.0 + 1.0
        assert taken[0] <= units * rates.bytes_s * seconds * (1 + 1e-9) + 1
        assert taken[1] <= units * rates.events_s * seconds * (1 + 1e-9) + 1
        held.take(size, events)
        taken[0] += size
        taken[1] += events


@pytest.mark.parametrize(("size", "events", "wait_s"), [(2_000_000, 1, 1.0), (1, 2_000, 1.0), (1_000_000, 1_000, 0.0)])
def test_bytes_and_events_are_counted_whichever_is_more(size: int, events: int, wait_s: float) -> None:
    clock = Clock()
    held = ThroughputUnits(1, clock)
    clock.now_s += 60
    held.take(size, events)
    assert held.wait_s() == pytest.approx(wait_s)
    clock.now_s += wait_s
    assert held.wait_s() == pytest.approx(0.0, abs=1e-9)


def test_without_units_nothing_waits() -> None:
    clock: Callable[[], float] = Clock()
    held = ThroughputUnits(None, clock)
    held.take(10**12, 10**9)
    assert held.wait_s() == 0
