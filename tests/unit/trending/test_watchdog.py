"""Who has something to count and doesn't move is found; who is at the end, or moves, is left alone."""

from faust.types import TP

from processors.trending.health import Watchdog

ONE, TWO = TP("music-events", 1), TP("music-events", 2)


def test_a_partition_that_has_events_and_stands_still_is_stalled() -> None:
    watchdog = Watchdog(stall=60)
    assert watchdog.stalled({ONE: (5, 9), TWO: (5, 9)}, now=0) == []
    assert watchdog.stalled({ONE: (5, 9), TWO: (6, 9)}, now=59) == []
    assert watchdog.stalled({ONE: (5, 9), TWO: (6, 9)}, now=60) == [ONE]
    assert watchdog.stalled({ONE: (6, 9), TWO: (6, 9)}, now=61) == []


def test_at_the_end_of_its_partition_nobody_is_stalled_and_the_time_there_does_not_count() -> None:
    watchdog = Watchdog(stall=60)
    assert watchdog.stalled({ONE: (9, 9)}, now=0) == []
    assert watchdog.stalled({ONE: (9, 9)}, now=100) == []
    assert watchdog.stalled({ONE: (9, 12)}, now=101) == []
    assert watchdog.stalled({ONE: (9, 12)}, now=160) == [ONE]


def test_a_partition_that_went_to_another_worker_is_forgotten() -> None:
    watchdog = Watchdog(stall=60)
    watchdog.stalled({ONE: (5, 9)}, now=0)
    assert watchdog.stalled({}, now=30) == []
    assert watchdog.stalled({ONE: (5, 9)}, now=60) == []
