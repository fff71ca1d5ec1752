"""The watchdog: a thread that ends the process when its event loop hangs in one fold."""

import asyncio
import faulthandler
import logging
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from msgspec import Struct

log = logging.getLogger(__name__)

BEAT_S = 0.5
"""How often the loop counts a turn."""


class HangMeter(Struct):
    """Measures for how long an event loop has had no turn. Time in which the watching thread did not run either (the
    process was stopped, the machine slept) counts as two intervals at most."""

    limit_s: float
    beats: int = -1
    looked_s: float = 0.0
    stuck_s: float = 0.0

    def is_hung(self, beats: int, now_s: float, interval_s: float) -> bool:
        """Whether `beats`, the loop's turns so far, has not changed for `limit_s` seconds; called once an interval."""
        if beats != self.beats:
            self.beats, self.stuck_s = beats, 0.0
        else:
            self.stuck_s += min(now_s - self.looked_s, 2 * interval_s)
        self.looked_s = now_s
        return self.stuck_s >= self.limit_s


@asynccontextmanager
async def watchdog(
    limit_s: float, code: int, end: Callable[[int], None] = os._exit, beat_s: float = BEAT_S
) -> AsyncIterator[None]:
    """End the process with exit `code` once the running loop has had no turn for `limit_s` seconds; standard error says
    where it hangs. A thread does that, since a loop that hangs can't end itself."""
    beats = 0
    over = threading.Event()

    async def beat() -> None:
        nonlocal beats
        while True:
            beats += 1
            await asyncio.sleep(beat_s)

    def watch() -> None:
        meter = HangMeter(limit_s)
        while not over.wait(beat_s):
            if meter.is_hung(beats, time.monotonic(), beat_s):
                log.critical("nothing has moved for %.0f s: the process ends with code %d", limit_s, code)
                faulthandler.dump_traceback(file=sys.__stderr__ or sys.stderr, all_threads=True)
                end(code)
                return

    beating = asyncio.create_task(beat())
    watching = threading.Thread(target=watch, name="watchdog", daemon=True)
    watching.start()
    try:
        yield
    finally:
        over.set()
        beating.cancel()
