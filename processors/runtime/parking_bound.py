"""The bound on parking: a bad deployment must not park the whole stream."""

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
    """Counts the records of one worker that crash the fold or are refused. `steady` gives seconds.

    The bound is reached by IN_A_ROW records of one partition that were parked with none applied between, or by more
    than IN_A_ROW records that are more than SHARE of the last minute's. Records that can't be decoded don't count.
    `reason` says why nothing more may be parked; it is empty before.
    """

    def __init__(self, steady: Callable[[], float] = time.monotonic) -> None:
        self._steady = steady
        self._rows: dict[str, int] = {}
        self._seconds: deque[_Second] = deque()
        self.reason = ""

    def begin(self, partition: str, parked_in_a_row: int) -> None:
        """Set the count of a partition to that of its last attempt, so that a restart does not reset it."""
        self._rows[partition] = parked_in_a_row

    def in_a_row(self, partition: str) -> int:
        """Records of the partition that were parked since the last one that was applied."""
        return self._rows.get(partition, 0)

    def applied(self, partition: str, count: int) -> None:
        """Count records that were folded and written."""
        self._rows[partition] = 0
        self._second().events += count

    def admits(self, partition: str, why: str) -> bool:
        """Whether one more record, which failed because of `why`, may be parked; count it if so.

        After the first False, nothing may be parked any more.
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
