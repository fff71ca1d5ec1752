"""What is passed over is said, and not a thousand times a second."""

import logging
from collections.abc import Callable
from time import monotonic

EVERY_S = 10.0


class PassedOver:
    """Says what was passed over: the first at once, then at most a line in `every_s` seconds, with how many there were.

    `steady` gives seconds.
    """

    def __init__(
        self, logger: logging.Logger, every_s: float = EVERY_S, steady: Callable[[], float] = monotonic
    ) -> None:
        self._logger, self._every_s, self._steady = logger, every_s, steady
        self._next = float("-inf")
        self._silent = 0
        self.count = 0

    def report(self, what: str, why: object) -> None:
        """`what` was passed over, for `why`."""
        self.count += 1
        now = self._steady()
        if now < self._next:
            self._silent += 1
            return
        self._next = now + self._every_s
        more = f" (and {self._silent} before it)" if self._silent else ""
        self._silent = 0
        self._logger.warning("passed over: %s: %s%s", what, why, more)
