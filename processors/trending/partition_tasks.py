"""What comes of several partitions is taken beside one another, and of each in its order."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager


class PartitionTasks:
    """A task for each partition of which something is taken; they are of `group`."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._tasks: dict[int, asyncio.Task[None]] = {}

    async def begin(self, partition: int, work: Callable[[], Awaitable[None]]) -> None:
        """Begin `work` on the partition once what was begun of it before is done."""
        before = self._tasks.get(partition)
        if before is not None and not before.done():
            await asyncio.wait([before])
        self._tasks[partition] = self._group.create_task(_done(work))


@asynccontextmanager
async def partition_tasks() -> AsyncIterator[PartitionTasks]:
    """Tasks that are done at the end of the block; an error of one ends the block and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            yield PartitionTasks(group)
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None


async def _done(work: Callable[[], Awaitable[None]]) -> None:
    await work()
