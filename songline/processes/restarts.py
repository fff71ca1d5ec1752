"""When a process that has ended is started again: the rule. Clocks are arguments."""

import signal

from songline.processors.runtime.process import CRASHED_IN_FOLD

# A restart for each, with a pause in seconds before it; a process that lived for STEADY starts over with the first.
PAUSES = (1.0, 2.0, 4.0, 8.0)
STEADY = 60.0

UNCOUNTED = frozenset((CRASHED_IN_FOLD, -signal.SIGKILL))


class RestartPolicy:
    """Those of one process. A process that fails of itself again and again is given up; one that was killed, by whom
    ever, or that has noted its crash, is not: nothing says that it would fail again."""

    def __init__(self, pauses: tuple[float, ...] = PAUSES, steady_s: float = STEADY) -> None:
        self._pauses = pauses
        self._steady_s = steady_s
        self._failures = 0

    def after(self, code: int, lived_s: float, ailing: bool = False) -> float | None:
        """Seconds until the process is to be started again, None when it is given up. `code` is as subprocess has it,
        negative for a signal; `ailing`: it was ended because it did not answer or stood still."""
        if lived_s >= self._steady_s:
            self._failures = 0
        if ailing or code in UNCOUNTED:
            return self._pauses[0]
        if self._failures == len(self._pauses):
            return None
        self._failures += 1
        return self._pauses[self._failures - 1]
