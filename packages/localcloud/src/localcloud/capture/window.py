"""Windows of Capture: which one an event belongs to, and which one follows.

Windows follow each other by the interval from the first on. One that its size ends early is followed by one that starts
then. Starts are whole seconds, and no two windows of a partition start in the same one: they give files their names.
"""

from typing import NamedTuple


class Window(NamedTuple):
    """From `start_s` until before `end_s` (Unix seconds)."""

    start_s: int
    end_s: int


def window_of(moment_ms: int, start_s: int | None, interval_s: int) -> Window:
    """The window of a moment (Unix ms). `start_s` is where the next one may start: None for the first of all.

    A moment before that belongs to the next window all the same: the clock went back.
    """
    moment_s = moment_ms // 1000
    if start_s is None:
        start_s = moment_s
    elif moment_s > start_s:
        start_s += (moment_s - start_s) // interval_s * interval_s
    return Window(start_s, start_s + interval_s)


def start_after_size(window: Window, last_ms: int) -> int:
    """The start of the window after one that its size ended with an event of `last_ms` (Unix ms)."""
    return max(last_ms // 1000, window.start_s + 1)
