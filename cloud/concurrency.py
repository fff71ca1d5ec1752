"""Work that is done concurrently, and ends together."""

import asyncio
from collections.abc import Awaitable, Coroutine, Iterable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


async def gather_or_cancel(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Run coroutines concurrently; return their results in order.

    When one fails, the others are cancelled, and once all have ended that first error is raised, in no group. What the
    others raise on their way out is dropped. `asyncio.gather` raises it at once and leaves the others running, on
    connections that the caller is about to close. A cancellation of the caller ends all of them, and is raised however
    they end: a TaskGroup drops it where one of them fails in the same moment.
    """
    tasks: list[asyncio.Task[T]] = []
    # In the order in which they failed.
    failed: list[asyncio.Task[T]] = []

    def note(task: asyncio.Task[T]) -> None:
        if not task.cancelled() and task.exception() is not None:
            failed.append(task)

    try:
        for one in work:
            tasks.append(asyncio.create_task(one))
            tasks[-1].add_done_callback(note)
        if tasks:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        await _end_all(tasks)
    if failed:
        # Raised here, the error keeps its own cause and context.
        failed[0].result()
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


async def _end_all(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancel tasks, once each, and wait for their end. A cancellation of the caller meanwhile is raised when all have
    ended."""
    running = {task for task in tasks if not task.done()}
    for task in running:
        task.cancel()
    cancelled: asyncio.CancelledError | None = None
    while running:
        try:
            _, running = await asyncio.wait(running)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
