"""A shard as of an hour's first moment: counts of source partitions that are beyond it wait for those that are not."""

from collections.abc import Callable, Sequence

from songline.processors.trending.cells.wire import Partial
from songline.processors.trending.spans import HOUR_MS, MINUTE_MS

HOLD_MS = 10_000
"""Counts wait for so long: the charts of now are to be fresh."""
MOST_HELD = 1_000
"""Messages that wait at most, each of which has up to 500 KB."""


class HourAlignment:
    """Hands the messages of all source partitions to `apply`, one or some at once, and calls `complete` with an hour
    (since 1970) when exactly the counts are applied that the hub had taken before its first moment.

    Where a source doesn't come to the hour in time, what waits is applied, and `complete` is not called. Hours that
    begin less than a minute after `begin_ms` are not met: what was saved before may be beyond them.
    """

    def __init__(self, begin_ms: int, apply: Callable[..., None], complete: Callable[[int], None]) -> None:
        self._last = (begin_ms + MINUTE_MS) // HOUR_MS
        self._apply = apply
        self._complete = complete
        self._began_ms = 0
        self._hour: int | None = None
        self._beyond: set[int] = set()
        self._held: list[Partial] = []

    @property
    def waits(self) -> bool:
        """Whether any message waits."""
        return bool(self._held)

    def take(self, messages: Sequence[Partial], sources: int, now_ms: int) -> None:
        """Take the next messages, of each source partition no more than one; `sources` is how many the hub has."""
        self.advance(now_ms)
        ready: list[Partial] = []
        for partial in messages:
            if partial.partition in self._beyond:
                self._held.append(partial)
                continue
            ready.append(partial)
            if partial.hour is None or not self._is_due(partial.hour, now_ms):
                continue
            if self._hour is None:
                self._hour, self._began_ms = partial.hour, now_ms
            self._beyond.add(partial.partition)
        if ready:
            self._apply(*ready)
        if self._hour is not None and len(self._beyond) >= sources:
            self._complete(self._hour)
            self.give_up()
        elif len(self._held) > MOST_HELD:
            self.give_up()

    def give_up(self) -> None:
        """Apply what waits, and be done with the hour."""
        self._last = max(self._last, self._hour or 0)
        self._hour = None
        held, self._held = self._held, []
        self._beyond.clear()
        for partial in held:
            self._apply(partial)

    def advance(self, now_ms: int) -> None:
        """Give the hour up where its counts have waited for too long, or its first minute is over."""
        if self._hour is None:
            return
        # A clock that is set back does not make it longer.
        if abs(now_ms - self._began_ms) > HOLD_MS or now_ms >= self._hour * HOUR_MS + MINUTE_MS:
            self.give_up()

    def _is_due(self, hour: int, now_ms: int) -> bool:
        """Whether an hour is the one that is met now: the clocks of the hub and of this worker may differ a little."""
        if self._hour is not None:
            return hour == self._hour
        return hour > self._last and abs(now_ms - hour * HOUR_MS) < MINUTE_MS
