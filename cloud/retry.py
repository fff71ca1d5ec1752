"""How a call is tried again: by tenacity, with growing, random pauses while the error may pass."""

import random
import time
from collections.abc import Awaitable, Callable
from math import inf
from typing import TypeVar

from msgspec import Struct
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from songline.cloud.concurrency import run_or_cancel
from songline.cloud.service_fault import is_transient, requested_pause_s

T = TypeVar("T")

_MOST_DOUBLINGS = 60


class RetryPolicy(Struct, frozen=True):
    """How long the pauses are, and when to end.

    The pause after a failure is drawn evenly between 0 and `first_pause_s`, which doubles with each further failure up
    to `longest_pause_s` ("full jitter"): clients that failed together do not come back together. A failure that comes
    `limit_s` seconds after the first try began, or later, is the last.
    """

    first_pause_s: float = 0.2
    longest_pause_s: float = 5.0
    limit_s: float = inf

    def pause_s(self, tries: int, chance: float) -> float:
        """The pause after so many `tries`, 1 or more; `chance` is from 0 to 1."""
        return chance * min(self.longest_pause_s, self.first_pause_s * 2.0 ** min(tries - 1, _MOST_DOUBLINGS))


class FailedTry(Struct, frozen=True):
    """A try that failed and is followed by another one: its number from 1 on, its error, and the pause after it."""

    number: int
    error: Exception
    pause_s: float


async def retry(
    call: Callable[[], Awaitable[T]],
    policy: RetryPolicy,
    retries: Callable[[Exception], bool] = is_transient,
    on_failure: Callable[[FailedTry], None] | None = None,
    *,
    gives_up: Callable[[], bool] = bool,
    chance: Callable[[], float] = random.random,
    steady: Callable[[], float] = time.monotonic,
) -> T:
    """What `call` returns, called again while it raises an error that `retries` takes.

    A service that says how long to stay away is not called before that. Raises the last error once `policy` ends or
    `gives_up` is true. `on_failure` is called with each failure that is followed by another try. `chance` gives numbers
    from 0 to 1, `steady` seconds.

    A cancellation ends it at once, also where `call` loses it.
    """
    begun_s = steady()

    def pause_s(state: RetryCallState) -> float:
        return max(policy.pause_s(state.attempt_number, chance()), requested_pause_s(_error(state)))

    def report(state: RetryCallState) -> None:
        if on_failure is not None:
            on_failure(FailedTry(state.attempt_number, _error(state), state.upcoming_sleep))

    # tenacity awaits coroutine functions only: it would return the coroutine that a lambda has made.
    async def attempt() -> T:
        return await run_or_cancel(call())

    retrying = AsyncRetrying(
        retry=retry_if_exception(lambda error: isinstance(error, Exception) and retries(error)),
        stop=lambda _: steady() - begun_s >= policy.limit_s or gives_up(),
        wait=pause_s,
        before_sleep=report,
        reraise=True,
    )
    return await retrying(attempt)


def _error(state: RetryCallState) -> Exception:
    error = None if state.outcome is None else state.outcome.exception()
    assert isinstance(error, Exception)
    return error
