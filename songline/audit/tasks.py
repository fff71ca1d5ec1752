"""Tasks and waits of an audit."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeAlias

Work: TypeAlias = Coroutine[Any, Any, None]

LOOK_S = 0.2
ASK_S = 0.5


def begun(work: Work) -> asyncio.Task[None]:
    return asyncio.create_task(work)


async def until(condition: Callable[[], bool], deadline_s: float) -> bool:
    """Wait for the condition, so long at most; return whether it holds."""
    end_s = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end_s:
            return False
        await asyncio.sleep(LOOK_S)
    return True


async def until_answered(question: Callable[[], Awaitable[bool]]) -> None:
    """Ask another process again and again until it says yes."""
    while not await question():  # noqa: ASYNC110 - a question to another process
        await asyncio.sleep(ASK_S)


async def wait_for_first(timeout_s: float, *tasks: asyncio.Task[None]) -> None:
    """Wait so long; raise at once what a task raises."""
    running = [task for task in tasks if not task.done()]
    if not running:
        await asyncio.sleep(timeout_s)
    else:
        await asyncio.wait(running, timeout=timeout_s, return_when=asyncio.FIRST_EXCEPTION)
    for task in tasks:
        if task.done():
            task.result()
