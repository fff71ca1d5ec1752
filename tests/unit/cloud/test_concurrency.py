"""Concurrent work: its results in order, and its end before an error is raised."""

import asyncio
import gc
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest

from songline.cloud.concurrency import end_task, gather_or_cancel

NEVER = 60.0


class Work:
    """Coroutines that note how they ended."""

    def __init__(self) -> None:
        self.ended: list[str] = []
        self.all_wait = asyncio.Event()

    async def wait(self, name: str, *, failing: BaseException | None = None) -> None:
        """Wait until cancelled; the way out takes some turns of the loop, and may raise."""
        try:
            self.all_wait.set()
            await asyncio.Event().wait()
        finally:
            for _ in range(5):
                await asyncio.sleep(0)
            self.ended.append(name)
            if failing is not None:
                raise failing

    async def fail(self, error: BaseException) -> None:
        await self.all_wait.wait()
        raise error


async def fetch(answer: asyncio.Future[int]) -> int:
    return await answer


async def value(number: int, turns: int) -> int:
    for _ in range(turns):
        await asyncio.sleep(0)
    return number


async def test_results_are_in_the_order_of_the_work() -> None:
    assert await gather_or_cancel(value(number, turns=5 - number) for number in range(5)) == [0, 1, 2, 3, 4]
    assert await gather_or_cancel(value(number, turns=0) for number in range(0)) == []


async def test_it_runs_concurrently() -> None:
    barrier = asyncio.Barrier(3)
    async with asyncio.timeout(NEVER):
        assert sorted(await gather_or_cancel(barrier.wait() for _ in range(3))) == [0, 1, 2]


async def test_the_first_error_is_raised_itself_when_all_others_have_ended() -> None:
    work, error = Work(), KeyError("first")
    with pytest.raises(KeyError) as raised:
        await gather_or_cancel([work.wait("one"), work.fail(error), work.wait("other")])
    assert raised.value is error
    assert sorted(work.ended) == ["one", "other"]


async def test_an_error_on_the_way_out_does_not_hide_the_first_one() -> None:
    work, error = Work(), KeyError("first")
    with pytest.raises(KeyError) as raised:
        await gather_or_cancel([work.wait("one", failing=ValueError("second")), work.fail(error)])
    assert raised.value is error


async def test_an_error_keeps_its_cause_and_its_context() -> None:
    async def caused() -> None:
        try:
            raise OSError("the cause")
        except OSError as error:
            raise ValueError("the answer") from error

    async def inside() -> None:
        try:
            raise OSError("the context")
        except OSError:
            raise KeyError("the answer")  # noqa: B904 - it is what is tested

    with pytest.raises(ValueError, match="the answer") as raised:
        await gather_or_cancel([caused()])
    assert isinstance(raised.value.__cause__, OSError)
    with pytest.raises(KeyError) as other:
        await gather_or_cancel([inside()])
    assert isinstance(other.value.__context__, OSError)
    assert not other.value.__suppress_context__


async def test_a_group_that_one_raises_stays_a_group() -> None:
    async def group() -> None:
        raise ExceptionGroup("several", [KeyError("a"), ValueError("b")])

    with pytest.raises(ExceptionGroup, match="several") as raised:
        await gather_or_cancel([group()])
    assert [type(one) for one in raised.value.exceptions] == [KeyError, ValueError]


async def test_who_is_cancelled_cancels_all_and_waits_for_their_end() -> None:
    work = Work()
    waiting = asyncio.create_task(gather_or_cancel([work.wait("one"), work.wait("other")]))
    await work.all_wait.wait()
    waiting.cancel()
    await asyncio.sleep(0)
    # Whoever has no patience cancels twice.
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert sorted(work.ended) == ["one", "other"]


@pytest.mark.parametrize("fails", [True, False])
@pytest.mark.parametrize("turns", range(12))
async def test_a_cancellation_in_the_moment_of_the_end_is_not_lost(turns: int, *, fails: bool) -> None:
    """In some of these turns of the loop the work has ended, and who waits for it does not know that yet."""
    answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    work = Work()
    beside: Coroutine[Any, Any, int | None] = work.wait("other") if fails else fetch(answer)
    waiting = asyncio.create_task(gather_or_cancel([fetch(answer), beside]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    if fails:
        answer.set_exception(ConnectionError("away"))
    else:
        answer.set_result(1)
    for _ in range(turns):
        await asyncio.sleep(0)
    if waiting.done():
        # Nobody can cancel what is over.
        assert turns > 2
        return
    assert waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert work.ended == ["other"] * fails


async def test_who_fails_is_not_counted_as_cancelled() -> None:
    """After a TaskGroup of Python 3.11 that fails its task is."""
    work = Work()
    with pytest.raises(KeyError):
        await gather_or_cancel([work.wait("one"), work.fail(KeyError("first"))])
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_what_makes_the_work_may_fail() -> None:
    """What it has made by then does not go on."""
    work = Work()

    def several() -> Iterator[Coroutine[None, None, None]]:
        yield work.wait("one")
        raise KeyError("no other")

    with pytest.raises(KeyError, match="no other"):
        await gather_or_cancel(several())
    assert len(asyncio.all_tasks()) == 1


async def test_a_time_limit_ends_all() -> None:
    work = Work()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await gather_or_cancel([work.wait("one"), work.wait("other")])


async def test_work_that_is_cancelled_before_it_began_leaves_no_coroutine() -> None:
    """Warnings are errors: a coroutine that was never awaited would be one."""

    async def fail() -> int:
        raise KeyError("at once")

    with pytest.raises(KeyError):
        await gather_or_cancel([fail(), *(value(number, turns=1) for number in range(3))])
    gc.collect()


async def test_the_end_of_a_task_is_waited_for_and_its_error_raised() -> None:
    work = Work()
    waiting = asyncio.create_task(work.wait("one"))
    await work.all_wait.wait()
    await end_task(waiting)
    assert work.ended == ["one"]
    await end_task(waiting)

    failing = asyncio.create_task(work.wait("other", failing=KeyError("on the way out")))
    await asyncio.sleep(0)
    with pytest.raises(KeyError, match="on the way out"):
        await end_task(failing)


async def test_who_is_cancelled_while_a_task_ends_is_told() -> None:
    work = Work()
    waiting = asyncio.create_task(work.wait("one"))
    await work.all_wait.wait()
    ending = asyncio.create_task(end_task(waiting))
    await asyncio.sleep(0)
    ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ending
    await asyncio.wait((waiting,))
    assert work.ended == ["one"]
