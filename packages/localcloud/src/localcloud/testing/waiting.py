"""Wait on a condition, with a deadline."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
STEP = 0.02


def wait_for(probe: Callable[[], T], what: str, deadline: float = 60.0) -> T:
    """The first truthy answer of `probe`; after `deadline` seconds it fails, with what was waited for."""
    end = time.monotonic() + deadline
    while not (answer := probe()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {deadline} s for {what}; the last answer was {answer!r}")
        time.sleep(STEP)
    return answer


async def wait_for_async(probe: Callable[[], Awaitable[T]], what: str, deadline: float = 60.0) -> T:
    """`wait_for` of an awaitable probe."""
    end = time.monotonic() + deadline
    while not (answer := await probe()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {deadline} s for {what}; the last answer was {answer!r}")
        await asyncio.sleep(STEP)
    return answer


async def listens(port: int) -> bool:
    """Whether a port of this machine can be connected to."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True
