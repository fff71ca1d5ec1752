"""What is done by the clock: woken when there is work, and no sooner than a least pause that may change meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from types import SimpleNamespace
from typing import Any, cast

from songline.processors.trending.faust.batched_app import BatchedApp
from songline.processors.trending.faust.lifecycle import current_recovery, repeat


class Clocked:
    """The part of an app that `repeat` uses."""

    def __init__(self) -> None:
        self.should_stop = False
        self.tasks: list[Callable[[], Coroutine[Any, Any, None]]] = []

    def task(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.tasks.append(work)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def wait(self, waiting: Awaitable[Any], timeout: float) -> None:  # noqa: ASYNC109 - the signature is Faust's
        try:
            await asyncio.wait_for(waiting, timeout)
        except TimeoutError:
            return


async def done_times(times: int, pause_s: float, least_s: Callable[[], float], wake: asyncio.Event) -> None:
    """Return when the work was done so often. It is woken all the time."""
    app = Clocked()
    done = 0

    async def work() -> None:
        nonlocal done
        done += 1
        wake.set()
        app.should_stop = done == times

    async def guard(one: Callable[[], Awaitable[None]]) -> None:
        await one()

    repeat(cast(BatchedApp, app), pause_s, work, guard, wake=wake, least_s=least_s)
    await asyncio.wait_for(app.tasks[0](), 300)
    assert done == times


def test_a_least_pause_that_becomes_shorter_is_not_waited_for() -> None:
    asked = 0

    def least_s() -> float:
        nonlocal asked
        asked += 1
        return 3_600.0 if asked == 2 else 0.0

    asyncio.run(done_times(3, 3_600.0, least_s, asyncio.Event()))
    assert asked >= 3


def test_what_is_not_woken_is_done_after_its_pause() -> None:
    asyncio.run(done_times(2, 0.01, lambda: 0.0, asyncio.Event()))


def test_what_was_recovered_is_not_held_once_partitions_are_shared_out_anew() -> None:
    recovery = SimpleNamespace(_generation_id=7)
    app: Any = SimpleNamespace(tables=SimpleNamespace(recovery=recovery), consumer_generation_id=7)
    is_current = current_recovery(app)
    assert is_current()
    app.consumer_generation_id = 8
    assert not is_current()
    assert not current_recovery(app)(), "that of the new generation has not begun"
    recovery._generation_id = 8
    assert not is_current()
    assert current_recovery(app)()
