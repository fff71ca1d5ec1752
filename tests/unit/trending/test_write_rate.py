"""How many documents may be written goes by the time that has passed, and never by more than a second of it."""

import pytest

from songline.processors.trending.merge.write_rate import RoundRate, WriteRate


def test_documents_are_allowed_by_the_time_that_has_passed() -> None:
    now = [100.0]
    rate = WriteRate(30, lambda: now[0])
    found = []
    for passed_s in (0, 0.5, 0.25, 10, 0.001):
        now[0] += passed_s
        found.append(rate())
    assert found == [30, 15, 8, 30, 1]


@pytest.mark.parametrize(("waiting", "allowed"), [(0, 10), (300, 10), (450, 15), (900, 30), (9_000, 30)])
def test_all_that_wait_are_written_in_a_round_and_few_sooner(waiting: int, allowed: int) -> None:
    now = [100.0]
    rate = RoundRate(30, 1 / 3, 900, lambda: now[0])
    assert rate.of(waiting) == allowed
    now[0] += 0.5
    assert rate.of(waiting) == round(allowed / 2)
