"""A wait asks less often the longer it takes."""

import pytest

from localcloud.testing.waiting import pause_s


@pytest.mark.parametrize(("waited_s", "expected_s"), [(0, 0.02), (0.1, 0.02), (0.3, 0.06), (0.5, 0.1), (60, 0.1)])
def test_a_pause_grows_with_the_wait_within_bounds(waited_s: float, expected_s: float) -> None:
    assert pause_s(waited_s) == pytest.approx(expected_s)
