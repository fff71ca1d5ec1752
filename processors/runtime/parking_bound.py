"""The bound on parking: a bad deploy must not park the stream."""

import time
from collections import deque
from collections.abc import Callable

from msgspec import Struct

IN_A_ROW = 10
SPAN_S = 60.0
SHARE = 0.01


class _Second(Struct):
    at_s: float
    events: int = 0
    parked: int = 0


class ParkingBound:
    """Counts records that crash the fold or are refused, for one worker. `steady` gives seconds.

    The bound is reached with IN_A_ROW parked and none applied between, in one partition, or with more than IN_A_ROW and
    more than SHARE of the events of the last minute. Records that can't be decoded don't count.
    """

    def __init__(self, steady: Callable[[], float] = time.monotonic) -> None:
        self._steady = steady
        self._rows: dict[str, int] = {}
        self._seconds: deque[_Second] = deque()
        self.reason = ""

    def begin(self, partition: str, parked_in_a_row: int) -> None:
        """Go on with what the partition's last attempt says: a reader that starts anew parks nothing more until it has
        applied a record."""
        self._rows[partition] = parked_in_a_row

    def in_a_row(self, partition: str) -> int:
        """Records of the partition that were parked since the last one that was applied."""
        return self._rows.get(partition, 0)

    def applied(self, partition: str, count: int) -> None:
        """So many records were folded and written."""
        self._rows[partition] = 0
        self._second().events += count

    def admits(self, partition: str, why: str) -> bool:
        """Whether one more record, which failed because of `why`, may be parked; counts it if so.

        Once it may not, nothing may any more, and `reason` says so.
        """
        if self.reason:
            return False
        row = self.in_a_row(partition)
        now = self._second()
        events = sum(one.events for one in self._seconds) + 1
        parked = sum(one.parked for one in self._seconds) + 1
        if row >= IN_A_ROW:
            self.reason = f"partition {partition}: {row} records in a row were parked, the last as {why}"
        elif parked > IN_A_ROW and parked > SHARE * events:
            self.reason = f"{parked - 1} of {events - 1} records of the last minute were parked, the last as {why}"
        if self.reason:
            return False
        self._rows[partition] = row + 1
        now.parked += 1
        now.events += 1
        return True

    def _second(self) -> _Second:
        now_s = self._steady()
        while self._seconds and self._seconds[0].at_s <= now_s - SPAN_S:
            self._seconds.popleft()
        if not self._seconds or self._seconds[-1].at_s <= now_s - 1:
            self._seconds.append(_Second(now_s))
        return self._seconds[-1]
