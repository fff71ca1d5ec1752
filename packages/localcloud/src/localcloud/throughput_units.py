"""Throughput units: what a namespace of the Standard tier takes in.

Source: "Event Hubs quotas and limits" (Microsoft Learn): one unit takes 1 MB or 1,000 events a second, whichever comes
first, of all hubs together.
"""

from collections.abc import Callable
from typing import Final

BYTES_S: Final = 1_000_000
EVENTS_S: Final = 1_000


class ThroughputUnits:
    """Counts what comes in against `units`; None counts nothing. `now_s` never goes back.

    A second's worth may come at once. What is more is a debt, in seconds: it is paid by waiting.
    """

    def __init__(self, units: int | None, now_s: Callable[[], float]) -> None:
        self._units = units
        self._now_s = now_s
        self._paid_until_s = now_s() - 1.0

    def wait_s(self) -> float:
        """For how many seconds a sender has to wait before anything more is taken; 0 for not at all."""
        return 0.0 if self._units is None else max(0.0, self._paid_until_s - self._now_s())

    def take(self, size_bytes: int, events: int) -> None:
        """Count what was taken in."""
        if self._units is None:
            return
        cost_s = max(size_bytes / BYTES_S, events / EVENTS_S) / self._units
        # A second that nobody used stays for the next burst, and no more than that.
        self._paid_until_s = max(self._paid_until_s, self._now_s() - 1.0) + cost_s
