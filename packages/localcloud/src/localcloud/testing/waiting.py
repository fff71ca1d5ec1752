"""Wait on a condition, with a deadline."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
SHORTEST_S = 0.02
LONGEST_S = 0.1


def wait_for(probe: Callable[[], T], what: str, deadline: float = 60.0) -> T:
    """The first truthy answer of `probe`; after `deadline` seconds it fails, with what was waited for."""
    begin = time.monotonic()
    while not (answer := probe()):
        waited = time.monotonic() - begin
        if waited > deadline:
            raise AssertionError(f"waited {deadline} s for {what}; the last answer was {answer!r}")
        time.sleep(pause_s(waited))
    return answer


async def wait_for_async(probe: Callable[[], Awaitable[T]], what: str, deadline: float = 60.0) -> T:
    """`wait_for` of an awaitable probe."""
    begin = time.monotonic()
    while not (answer := await probe()):
        waited = time.monotonic() - begin
        if waited > deadline:
            raise AssertionError(f"waited {deadline} s for {what}; the last answer was {answer!r}")
        await asyncio.sleep(pause_s(waited))
    return answer


def pause_s(waited_s: float) -> float:
    """Seconds until a probe is asked again: a fifth of those that it has been waited for, within bounds.

    A probe often is a request, which takes the time of the process that is waited for.
    """
    return min(max(SHORTEST_S, waited_s / 5), LONGEST_S)


async def listens(port: int) -> bool:
    """Whether a port of this machine can be connected to."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


def has_ended(pid: int) -> bool:
    """Whether a process of this machine has ended, also where its parent did not notice yet. Linux only."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    # The second is what a process says that ends between the opening of its file and the reading.
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rpartition(b")")[2].split()[0] == b"Z"
