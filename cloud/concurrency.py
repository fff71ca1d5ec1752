"""Work that is done concurrently, and ends together."""

import asyncio
from collections.abc import Awaitable, Coroutine, Iterable
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


async def gather_or_cancel(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Run coroutines concurrently; return their results in order.

    When one fails, the others are cancelled, and once all have ended that first error is raised, in no group. What the
    others raise on their way out is dropped. `asyncio.gather` raises it at once and leaves the others running, on
    connections that the caller is about to close.
    """
    first: BaseException | None = None
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in work]
    except BaseExceptionGroup as errors:
        # In the order in which they came.
        first = errors.exceptions[0]
    if first is not None:
        # Raised here, it keeps its own cause and context.
        raise first
    return [task.result() for task in tasks]


async def run_or_cancel(work: Awaitable[T]) -> T:
    """What `work` returns or raises. A cancellation of the caller ends it, and is raised however it ends.

    `asyncio.wait_for` of Python 3.11, by which SDKs wait, drops a cancellation that comes in the moment in which what
    it waits for fails: who awaits the SDK would go on. So `work` is a task of its own.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait((task,))
    except asyncio.CancelledError:
        with suppress(Exception):
            await end_task(task)
        raise
    return task.result()


async def end_task(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait for its end; raise what it raised, but for its cancellation.

    A cancellation of the caller is raised here too: to suppress CancelledError around `await task` would swallow it.
    """
    task.cancel()
    await asyncio.wait((task,))
    if not task.cancelled():
        task.result()
