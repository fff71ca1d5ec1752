"""The priority of a process: work that nobody waits for stands behind requests that somebody does."""

import os
from contextlib import suppress
from pathlib import Path

LOWEST = 19
_SESSION = Path("/proc/self/autogroup")


def stand_back(steps: int) -> None:
    """Raise the niceness of this process, and of those that it starts, by `steps`, 0 to LOWEST.

    Linux may share the processors out among sessions first, and then among the processes of each (sched(7), "The
    autogroup feature"). A process that leads a session raises the niceness of that as well: others of it have the
    same work.
    """
    niceness = os.nice(steps)
    if steps and os.getsid(0) == os.getpid():
        # There is no such file elsewhere, and in a kernel without autogroups.
        with suppress(OSError):
            _SESSION.write_text(str(niceness))
