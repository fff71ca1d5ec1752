"""A worker as a process: told by a signal when to stop, and by its settings whether it may start."""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

from songline.cloud.settings import SettingError
from songline.processors.runtime.partition_processor import FoldCrashedError

log = logging.getLogger(__name__)

CRASHED_IN_FOLD = 75
"""The exit code of a worker that ends because a fold or a write raised what nobody foresaw, or hung. What it was about
to fold is noted: whoever runs it may start it again at once, and need not count that."""

CRASHED_IN_FOLD = 75
"""The exit code of a worker that has noted which events it could not fold: the next one takes them apart. It is
EX_TEMPFAIL of sysexits.h."""


def run_worker(name: str, work: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """`work`, whose argument is set by SIGTERM or SIGINT. A SettingError ends the process with its message, a
    FoldCrashedError with CRASHED_IN_FOLD."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    # They tell every request, and every lost connection that they mend themselves.
    for chatty in ("azure", "aiokafka", "httpx"):
        logging.getLogger(chatty).setLevel(logging.ERROR)
    try:
        asyncio.run(_until_told(work))
    except SettingError as error:
        raise SystemExit(f"{name}: {error}") from None
    except FoldCrashedError as error:
        log.critical(
            "%s ends with code %d, nothing of it acknowledged: %s", name, CRASHED_IN_FOLD, error, exc_info=error
        )
        raise SystemExit(CRASHED_IN_FOLD) from None


async def run_unless(stop: asyncio.Event, job: Coroutine[Any, Any, None]) -> bool:
    """Whether `job` came to its end before `stop`, which cancels it; raises what it raises."""
    working, stopping = asyncio.create_task(job), asyncio.create_task(stop.wait())
    await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
    done = working.done()
    stopping.cancel()
    working.cancel()
    with suppress(asyncio.CancelledError):
        await working
    return done


async def _until_told(work: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await work(stop)
