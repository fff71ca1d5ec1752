"""A worker as a process: told by a signal when to stop, and by its settings whether it may start."""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

from cloud.settings import BadSetting

CRASHED_IN_FOLD = 75
"""The exit code of a worker that has noted which events it could not fold: the next one takes them apart. It is
EX_TEMPFAIL of sysexits.h."""


def run(name: str, work: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """`work`, whose argument is set by SIGTERM or SIGINT. A BadSetting ends the process with its message."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    # They tell every request, and every lost connection that they mend themselves.
    for chatty in ("azure", "aiokafka"):
        logging.getLogger(chatty).setLevel(logging.ERROR)
    try:
        asyncio.run(_until_told(work))
    except BadSetting as error:
        raise SystemExit(f"{name}: {error}") from None


async def unless(stop: asyncio.Event, job: Coroutine[Any, Any, None]) -> bool:
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
