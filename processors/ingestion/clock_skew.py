"""The skew of this machine's clock, which decides whether the worker can hold locks.

The SDK of Service Bus compares a lock's end, which is in the broker's time, with the local clock. If the local clock is
ahead by more than the lock's duration, the SDK counts each lock as lost and settles no message.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime

from msgspec import Struct

logger = logging.getLogger("ingestion.clock")

MEASURED_EVERY_S = 10.0
LOOKED_EVERY_S = 0.5
# A clock that is slewed drifts by less from one measurement to the next.
JUMP_S = 2.0


def skew_limit_s(lock_s: float) -> float:
    """The most seconds that the clock may be ahead with locks of `lock_s` seconds: enough is left to renew them."""
    return lock_s - max(2.0, lock_s / 6)


class _MeasuredSkew(Struct, frozen=True):
    skew_s: float
    wall: datetime
    steady_s: float


class ClockSkew:
    """Measures by how much the local clock is ahead of the services'.

    Between two measurements the local clock is compared with the monotonic one, so that a jump is seen at once.
    `measure` returns the skew in seconds, `steady` returns monotonic seconds.
    """

    def __init__(
        self, measure: Callable[[], Awaitable[float]], now: Callable[[], datetime], steady: Callable[[], float]
    ) -> None:
        self._measure = measure
        self._now = now
        self._steady = steady
        self._last = _MeasuredSkew(0.0, now(), steady())

    @property
    def seconds(self) -> float:
        """The skew in seconds, negative if the clock is behind; 0 until the first measurement succeeds."""
        return self._last.skew_s + self._drift_s()

    async def refresh(self) -> None:
        """Measure the skew. If the service doesn't answer, the last measurement stays."""
        try:
            skew_s = await self._measure()
        except (OSError, ValueError) as error:
            logger.debug("the services' time could not be read: %s", error)
            return
        self._last = _MeasuredSkew(skew_s, self._now(), self._steady())

    async def run(self, stop: asyncio.Event) -> None:
        """Measure every ten seconds, and at once when the clock has jumped, until `stop`."""
        while not stop.is_set():
            if abs(self._drift_s()) > JUMP_S or self._steady() - self._last.steady_s > MEASURED_EVERY_S:
                await self.refresh()
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), LOOKED_EVERY_S)

    def _drift_s(self) -> float:
        passed_s = self._steady() - self._last.steady_s
        return (self._now() - self._last.wall).total_seconds() - passed_s
