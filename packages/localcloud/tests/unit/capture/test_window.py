"""Windows follow each other, and no two start in the same second."""

from hypothesis import given
from hypothesis import strategies as st

from localcloud.capture.window import Window, start_after_size, window_of


def test_the_first_window_starts_with_the_first_event() -> None:
    assert window_of(90_999, None, 60) == Window(90, 150)


@given(st.integers(0, 10**6), st.integers(0, 10**9), st.integers(1, 900))
def test_an_event_is_in_its_window(start_s: int, moment_ms: int, interval_s: int) -> None:
    window = window_of(moment_ms, start_s, interval_s)
    assert window.end_s - window.start_s == interval_s
    assert (window.start_s - start_s) % interval_s == 0
    assert window.start_s == start_s or window.start_s * 1000 <= moment_ms < window.end_s * 1000
    if moment_ms < start_s * 1000:
        assert window.start_s == start_s


@given(st.lists(st.integers(0, 5_000), min_size=1, max_size=30), st.integers(1, 60))
def test_no_two_windows_start_in_the_same_second(steps: list[int], interval_s: int) -> None:
    """Each ended by its size, in whatever time that took."""
    moment_ms, start_s = 1_000_000, None
    starts = []
    for step in steps:
        window = window_of(moment_ms, start_s, interval_s)
        starts.append(window.start_s)
        start_s = start_after_size(window, moment_ms)
        moment_ms += step
    assert starts == sorted(set(starts))
