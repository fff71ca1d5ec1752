"""What comes of several partitions waits beside one another, and of each in its order."""

import asyncio
from functools import partial

import pytest

from songline.processors.trending.partition_tasks import partition_tasks
from tests.support.waiting import wait_for_async


async def test_partitions_wait_beside_one_another_and_each_keeps_its_order() -> None:
    taken: list[tuple[int, int]] = []
    waiting = {number: asyncio.Event() for number in range(3)}

    async def take(partition: int, number: int) -> None:
        await waiting[partition].wait()
        taken.append((partition, number))

    async def consume() -> None:
        async with partition_tasks() as tasks:
            for partition, number in ((0, 1), (1, 1), (2, 1), (1, 2), (0, 2)):
                await tasks.begin(partition, partial(take, partition, number))

    consuming = asyncio.create_task(consume())
    waiting[2].set()
    waiting[1].set()

    async def are_taken() -> bool:
        await asyncio.sleep(0)
        return len(taken) == 3

    await wait_for_async(are_taken, "all that waits for nothing")
    assert taken == [(1, 1), (2, 1), (1, 2)]
    waiting[0].set()
    await consuming
    assert taken[3:] == [(0, 1), (0, 2)]


async def test_an_error_ends_what_waits_and_is_raised_as_it_is() -> None:
    async def fail() -> None:
        raise ConnectionError("away")

    with pytest.raises(ConnectionError, match="away"):
        async with partition_tasks() as tasks:
            await tasks.begin(0, asyncio.Event().wait)  # type: ignore[arg-type]
            await tasks.begin(1, fail)
            await asyncio.Event().wait()
