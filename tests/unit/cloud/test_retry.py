"""The one retry loop, and how long its pauses are."""

import asyncio

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
