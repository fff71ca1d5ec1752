"""How old what is known may be."""

from datetime import UTC, datetime, timedelta

import pytest

from songline.processors.runtime.recent import is_recent

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(("ago_s", "expected"), [(0, True), (4.999, True), (5, False), (3_600, False), (-0.001, False)])
def test_it_is_recent_for_less_than_so_long_and_not_before_its_time(ago_s: float, expected: bool) -> None:
    assert is_recent(NOON, NOON + timedelta(seconds=ago_s), timedelta(seconds=5)) is expected
