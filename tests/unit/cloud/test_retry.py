"""The one retry loop, and how long its pauses are."""

import asyncio
from contextlib import suppress

import pytest
from azure.core.exceptions import AzureError, HttpResponseError
from hypothesis import given
from hypothesis import strategies as st

from songline.cloud.retry import FailedTry, RetryPolicy, retry

AT_ONCE = RetryPolicy(first_pause_s=0.0, longest_pause_s=0.0)


class Calls:
    """A call that raises `errors` in their order, and then returns what it was called before."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.count = 0

    async def __call__(self) -> int:
        self.count += 1
        if self.errors:
            raise self.errors.pop(0)
        return self.count


async def test_a_call_is_tried_until_it_returns() -> None:
    failures: list[FailedTry] = []
    first, second = AzureError("no route"), AzureError("busy")
    assert await retry(Calls(first, second), AT_ONCE, on_failure=failures.append) == 3
    assert failures == [FailedTry(1, first, 0.0), FailedTry(2, second, 0.0)]


async def test_a_function_that_returns_an_awaitable_is_tried_as_well() -> None:
    call = Calls(AzureError("busy"))
    assert await retry(lambda: call(), AT_ONCE) == 2


async def test_an_error_that_does_not_pass_ends_it() -> None:
    call = Calls(AzureError("busy"), ValueError("a bug"), AzureError("never seen"))
    with pytest.raises(ValueError, match="a bug"):
        await retry(call, AT_ONCE)
    assert call.count == 2


async def test_the_caller_says_which_errors_pass() -> None:
    assert await retry(Calls(OSError("disk full")), AT_ONCE, lambda error: isinstance(error, OSError)) == 2


async def test_the_failure_after_the_limit_is_the_last_one() -> None:
    now_s = 0.0

    async def call() -> None:
        nonlocal now_s
        now_s += 1.0
        raise AzureError(f"at {now_s:g}")

    with pytest.raises(AzureError, match="at 3"):
        await retry(call, RetryPolicy(0.0, 0.0, limit_s=3.0), steady=lambda: now_s)


async def test_the_caller_may_give_up() -> None:
    call = Calls(*[AzureError("away")] * 9)
    with pytest.raises(AzureError):
        await retry(call, AT_ONCE, gives_up=lambda: call.count == 4)
    assert call.count == 4


async def test_being_cancelled_ends_it() -> None:
    async def call() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await retry(call, AT_ONCE, lambda error: True)


@pytest.mark.parametrize(("asked", "pause_s"), [("60", 0.06), ("soon", 0.0), ("", 0.0)])
async def test_a_service_is_not_called_before_it_asked_to_be(asked: str, pause_s: float) -> None:
    error = HttpResponseError("slow down")
    error.status_code = 429
    error.headers = {"x-ms-retry-after-ms": asked}  # type: ignore[attr-defined]  # as Cosmos DB's SDK has them
    failures: list[FailedTry] = []
    began_s = asyncio.get_running_loop().time()
    await retry(Calls(error), AT_ONCE, on_failure=failures.append)
    assert failures[0].pause_s == pause_s
    assert asyncio.get_running_loop().time() - began_s >= pause_s


@given(st.integers(1, 10_000), st.floats(0, 1), st.floats(0, 10), st.floats(0, 100))
def test_a_pause_is_within_what_the_policy_says(tries: int, chance: float, first_s: float, longest_s: float) -> None:
    policy = RetryPolicy(first_s, longest_s)
    assert 0 <= policy.pause_s(tries, chance) <= policy.pause_s(tries, 1.0) <= longest_s
    assert policy.pause_s(tries, 1.0) <= policy.pause_s(tries + 1, 1.0)


def test_pauses_double_up_to_the_longest() -> None:
    policy = RetryPolicy(first_pause_s=0.2, longest_pause_s=1.0)
    assert [policy.pause_s(tries, 1.0) for tries in range(1, 6)] == [0.2, 0.4, 0.8, 1.0, 1.0]


@pytest.mark.parametrize("fails", [True, False])
async def test_a_cancellation_that_a_call_loses_ends_it(fails: bool) -> None:
    begun = asyncio.Event()
    calls = 0

    async def call() -> int:
        nonlocal calls
        calls += 1
        begun.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        if fails:
            raise AzureError("no route")
        return calls

    trying = asyncio.create_task(retry(call, AT_ONCE))
    await begun.wait()
    trying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trying
    assert calls == 1


@pytest.mark.parametrize("turns", range(6))
async def test_a_cancellation_in_the_moment_of_a_failure_is_not_lost(turns: int) -> None:
    """`asyncio.wait_for` of Python 3.11 raises the failure in some of these turns of the loop."""
    failing = asyncio.get_running_loop().create_future()
    begun = asyncio.Event()

    async def call() -> None:
        if not begun.is_set():
            begun.set()
            await asyncio.wait_for(failing, 60)

    trying = asyncio.create_task(retry(call, AT_ONCE))
    await begun.wait()
    failing.set_exception(AzureError("no route"))
    for _ in range(turns):
        await asyncio.sleep(0)
    if trying.done():
        assert turns > 1
        return
    trying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trying


async def test_a_failed_group_of_tasks_is_tried_again() -> None:
    """A TaskGroup of Python 3.11 leaves its task counted as cancelled."""
    calls = 0

    async def fail() -> None:
        raise AzureError("busy")

    async def call() -> int:
        nonlocal calls
        calls += 1
        if calls < 3:
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(fail())
            except ExceptionGroup as errors:
                raise errors.exceptions[0] from None
        return calls

    assert await retry(call, AT_ONCE) == 3


async def test_a_task_that_is_ending_tries_as_often_as_any() -> None:
    call = Calls(AzureError("busy"))
    begun = asyncio.Event()

    async def end_well() -> int:
        try:
            begun.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return await retry(call, AT_ONCE)
        return 0

    ending = asyncio.create_task(end_well())
    await begun.wait()
    ending.cancel()
    assert await ending == 2
