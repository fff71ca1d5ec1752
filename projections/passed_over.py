"""Rate-limited warnings about skipped records."""

import logging
from collections.abc import Callable
from time import monotonic

EVERY_S = 10.0


class PassedOver:
    """Logs skipped records: the first at once, then at most one line in `every_s` seconds, with their number.

    `steady` returns monotonic seconds.
    """

    def __init__(
        self, logger: logging.Logger, every_s: float = EVERY_S, steady: Callable[[], float] = monotonic
    ) -> None:
        self._logger, self._every_s, self._steady = logger, every_s, steady
        self._next = float("-inf")
        self._silent = 0
        self.count = 0

    def report(self, what: str, why: object) -> None:
        """Record that `what` was skipped because of `why`."""
        self.count += 1
        now = self._steady()
        if now < self._next:
            self._silent += 1
            return
        self._next = now + self._every_s
        more = f" (and {self._silent} before it)" if self._silent else ""
        self._silent = 0
        self._logger.warning("passed over: %s: %s%s", what, why, more)
