"""`python -m songline.processes.reaper`: ends process groups when the supervisor that started it is gone.

A supervisor that is killed can't end its children. It holds the write end of this process's standard input and writes
a line for each group: `+PGID` when it starts and `-PGID` when it has ended. End of file means that the supervisor is
gone.
"""

import os
import signal
import sys
import time
from collections.abc import Iterable

GRACE = 5.0
STEP = 0.05


def end(groups: Iterable[int], grace: float = GRACE) -> None:
    """Send SIGTERM to each process group, and SIGKILL to those that are left after `grace` seconds."""
    left = [group for group in groups if _signal(group, signal.SIGTERM)]
    deadline = time.monotonic() + grace
    while left and time.monotonic() < deadline:
        time.sleep(STEP)
        left = [group for group in left if _signal(group, 0)]
    for group in left:
        _signal(group, signal.SIGKILL)


def _signal(group: int, number: int) -> bool:
    """Send the signal; return whether the group exists."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        if line[0] == "+":
            groups.add(group)
        else:
            groups.discard(group)
    end(groups)


if __name__ == "__main__":
    main()
