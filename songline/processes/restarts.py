"""The policy for restarts of a process that has ended. Pure; times are arguments."""

import signal

from songline.processors.runtime.process import CRASHED_IN_FOLD, VERSION_CHANGED

# One restart for each pause, in seconds. A process that lived for STEADY seconds starts over with the first pause.
PAUSES = (1.0, 2.0, 4.0, 8.0)
STEADY = 60.0

UNCOUNTED = frozenset((CRASHED_IN_FOLD, VERSION_CHANGED, -signal.SIGKILL))


class RestartPolicy:
    """The restarts of one process.

    A process that fails repeatedly is given up. One that was killed, or that recorded its crash, is restarted without
    being counted: it need not fail again, and one that lived for `steady_s` is restarted at once, since it won't do
    that in a loop. Neither is one counted that ended to begin as another version, which always starts at once.
    """

    def __init__(self, pauses: tuple[float, ...] = PAUSES, steady_s: float = STEADY) -> None:
        self._pauses = pauses
        self._steady_s = steady_s
        self._failures = 0

    def after(self, code: int, lived_s: float, ailing: bool = False) -> float | None:
        """Seconds until the next start; None if the process is given up.

        `code` is the exit code as in subprocess, negative for a signal. `lived_s` is its lifetime in seconds. `ailing`
        means that the supervisor ended it because it did not answer or made no progress.
        """
        if lived_s >= self._steady_s:
            self._failures = 0
        if code == VERSION_CHANGED and not ailing:
            return 0.0
        if ailing or code in UNCOUNTED:
            return 0.0 if lived_s >= self._steady_s else self._pauses[0]
        if self._failures == len(self._pauses):
            return None
        self._failures += 1
        return self._pauses[self._failures - 1]
