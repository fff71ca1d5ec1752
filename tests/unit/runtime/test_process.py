"""A job that runs until a worker is to stop."""

import asyncio

import pytest

from songline.processors.runtime.process import run_unless


class Job:
    """Waits until it is cancelled; its way out takes some turns of the loop, and may raise."""

    def __init__(self, failing: BaseException | None = None) -> None:
        self.has_begun = asyncio.Event()
        self.has_ended = False
        self._failing = failing

    async def run(self) -> None:
        try:
            self.has_begun.set()
            await asyncio.Event().wait()
        finally:
            for _ in range(5):
                await asyncio.sleep(0)
            self.has_ended = True
            if self._failing is not None:
                raise self._failing


async def test_a_job_that_comes_to_its_end_says_so_and_what_it_raises() -> None:
    async def fail() -> None:
        raise KeyError("its own")

    assert await run_unless(asyncio.Event(), asyncio.sleep(0))
    with pytest.raises(KeyError, match="its own"):
        await run_unless(asyncio.Event(), fail())


@pytest.mark.parametrize("failing", [None, KeyError("on the way out")])
async def test_a_job_that_is_stopped_has_ended(failing: BaseException | None) -> None:
    job, stop = Job(failing), asyncio.Event()
    running = asyncio.create_task(run_unless(stop, job.run()))
    await job.has_begun.wait()
    stop.set()
    if failing is None:
        assert not await running
    else:
        with pytest.raises(KeyError, match="on the way out"):
            await running
    assert job.has_ended


async def test_who_is_cancelled_leaves_no_job_behind() -> None:
    job = Job()
    running = asyncio.create_task(run_unless(asyncio.Event(), job.run()))
    await job.has_begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert job.has_ended
