"""A worker as a process: its logs, its exit codes, and the signals that stop it."""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from songline.cloud.concurrency import end_task
from songline.cloud.logs import log_to_stderr
from songline.cloud.settings import SettingError
from songline.processors.runtime.live_version import VersionChangedError
from songline.processors.runtime.partition_processor import FoldCrashedError

log = logging.getLogger(__name__)

CRASHED_IN_FOLD = 75
"""The exit code (EX_TEMPFAIL of sysexits.h) of a worker whose fold or write raised an error that is not foreseen, or
hung. It has written which records it was about to fold, and the next worker takes them apart: a supervisor may start
that at once, without counting the exit as a failure."""

VERSION_CHANGED = 76
"""The exit code of a worker that ended well because another version of its projection is live: a supervisor starts it
again at once, and it begins as that version."""

CHATTY_LOGGERS = ("azure", "aiokafka")
"""Libraries that log every request, and every lost connection that they mend themselves."""


def configure_logging() -> None:
    """Log to standard error, of CHATTY_LOGGERS errors only."""
    log_to_stderr(logging.INFO)
    for name in CHATTY_LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)


def run_worker(name: str, work: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run `work`, whose argument is set by SIGTERM or SIGINT.

    A SettingError ends the process with its message, a FoldCrashedError with CRASHED_IN_FOLD, a VersionChangedError
    with VERSION_CHANGED.
    """
    configure_logging()
    try:
        asyncio.run(_run_until_signal(work))
    except SettingError as error:
        raise SystemExit(f"{name}: {error}") from None
    except FoldCrashedError as error:
        message = "%s ends with code %d, nothing of it acknowledged: %s"
        log.critical(message, name, CRASHED_IN_FOLD, error, exc_info=error)
        raise SystemExit(CRASHED_IN_FOLD) from None
    except VersionChangedError as change:
        log.warning("%s ends with code %d, to be started again: %s", name, VERSION_CHANGED, change)
        raise SystemExit(VERSION_CHANGED) from None


async def run_unless(stop: asyncio.Event, job: Coroutine[Any, Any, None]) -> bool:
    """Run `job` unless `stop` is set, which cancels it; return whether it came to its end. Raises what it raises."""
    working, stopping = asyncio.create_task(job), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        return working.done()
    finally:
        stopping.cancel()
        await end_task(working)


async def _run_until_signal(work: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await work(stop)
