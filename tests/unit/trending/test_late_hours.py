"""Which hours leave a partition's memory, and when."""

import pytest

from songline.processors.trending.cells.late_hours import (
    HELD_MS,
    HELD_ROWS,
    IDLE_MS,
    LATE_IDLE_MS,
    OPEN_MS,
    hours_to_unload,
    is_over,
)
from songline.processors.trending.cells.partition_cells import CellUse
from songline.processors.trending.spans import HOUR_MS

HOUR = 500_000
END_MS = (HOUR + 1) * HOUR_MS
LONG_OVER_MS = END_MS + 30 * HOUR_MS


@pytest.mark.parametrize(
    ("now_ms", "first_ms", "last_ms", "leaves"),
    [
        (END_MS, 0, 0, False),
        (END_MS + OPEN_MS - 1, 0, 0, False),
        (END_MS + OPEN_MS, 0, 0, True),
        (END_MS + OPEN_MS, 0, END_MS + OPEN_MS - IDLE_MS + 1, False),
        (END_MS + HOUR_MS - 1, 0, END_MS + HOUR_MS - 2, False),
        (END_MS + HOUR_MS, 0, END_MS + HOUR_MS - 1, True),
        (LONG_OVER_MS, LONG_OVER_MS - HELD_MS + 1, LONG_OVER_MS - 1, False),
        (LONG_OVER_MS, LONG_OVER_MS - HELD_MS, LONG_OVER_MS - 1, True),
        (LONG_OVER_MS, LONG_OVER_MS - LATE_IDLE_MS, LONG_OVER_MS - LATE_IDLE_MS + 1, False),
        (LONG_OVER_MS, LONG_OVER_MS - LATE_IDLE_MS, LONG_OVER_MS - LATE_IDLE_MS, True),
        # The clock was set back.
        (END_MS + OPEN_MS, END_MS, END_MS + HOUR_MS, True),
        (LONG_OVER_MS, LONG_OVER_MS + HOUR_MS, LONG_OVER_MS, True),
    ],
)
def test_an_hour_stays_while_it_is_open_or_used_or_for_a_while(
    now_ms: int, first_ms: int, last_ms: int, leaves: bool
) -> None:
    assert hours_to_unload({HOUR: CellUse(first_ms, last_ms, 1)}, now_ms) == ([HOUR] if leaves else [])


def test_late_hours_with_too_many_actions_leave_by_their_age() -> None:
    now_ms = LONG_OVER_MS
    uses = {HOUR - one: CellUse(now_ms - (one + 1) * IDLE_MS, now_ms, HELD_ROWS // 2) for one in range(5)}
    assert hours_to_unload(uses, now_ms) == [HOUR - 4, HOUR - 3, HOUR - 2]
    young = {hour: CellUse(now_ms - 1, now_ms, HELD_ROWS) for hour in uses}
    assert hours_to_unload(young, now_ms) == [], "each is loaded once a minute at most"


def test_after_a_start_hours_wait_as_if_they_had_been_used_then() -> None:
    now_ms = END_MS + OPEN_MS
    assert is_over(HOUR, None, now_ms, now_ms - IDLE_MS)
    assert not is_over(HOUR, None, now_ms, now_ms - IDLE_MS + 1)
    assert is_over(HOUR, None, now_ms, now_ms + 1), "the clock was set back since"


def test_the_open_hour_takes_no_room_of_late_ones() -> None:
    now_ms = LONG_OVER_MS
    uses = {now_ms // HOUR_MS: CellUse(0, now_ms, 10 * HELD_ROWS), HOUR: CellUse(now_ms - IDLE_MS, now_ms, 1)}
    assert hours_to_unload(uses, now_ms) == []
