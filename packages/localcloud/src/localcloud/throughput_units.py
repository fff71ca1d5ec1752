"""Throughput units: what a namespace of the tier Standard takes in and gives out.

Source: "Scaling with Event Hubs" (Microsoft Learn): one unit takes in 1 MB or 1,000 events a second, whichever comes
first, of all hubs together, and gives out 2 MB or 4,096 events. What is more to come in is refused for now. What is
more to go out is told to nobody, and comes later.
"""

from collections.abc import Callable
from typing import Final, NamedTuple


class UnitRates(NamedTuple):
    """What one unit lets through in a second, whichever comes first."""

    bytes_s: int
    events_s: int


INGRESS: Final = UnitRates(1_000_000, 1_000)
EGRESS: Final = UnitRates(2_000_000, 4_096)


class ThroughputUnits:
    """Counts what goes through against `units`; None counts nothing. `now_s` never goes back.

    A second's worth may come at once. What is more is a debt, in seconds: it is paid by waiting.
    """

    def __init__(self, units: int | None, now_s: Callable[[], float], rates: UnitRates = INGRESS) -> None:
        self._units = units
        self._rates = rates
        self._now_s = now_s
        self._paid_until_s = now_s() - 1.0

    def wait_s(self) -> float:
        """For how many seconds to wait before anything more goes through; 0 for not at all."""
        return 0.0 if self._units is None else max(0.0, self._paid_until_s - self._now_s())

    def take(self, size_bytes: int, events: int) -> None:
        """Count what went through."""
        if self._units is None:
            return
        cost_s = max(size_bytes / self._rates.bytes_s, events / self._rates.events_s) / self._units
        # A second that nobody used stays for the next burst, and no more than that.
        self._paid_until_s = max(self._paid_until_s, self._now_s() - 1.0) + cost_s
