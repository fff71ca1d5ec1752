"""How long a hub may take to answer. One that hangs fails nothing, and the SDK waits for it without end."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from azure.eventhub.exceptions import OperationTimeoutError

ANSWER_S = 60.0
"""How long an answer may take at most: the SDK's own time-out of an operation, by which it does not end one."""
LEAST_S = 5.0
"""How long an answer may take however little patience is left: a link may have to be opened for it."""

T = TypeVar("T")


def answer_limit_s(left_s: float) -> float:
    """For how many seconds an answer is waited for, where patience is left for `left_s`."""
    return min(ANSWER_S, max(LEAST_S, left_s))


async def answered(call: Awaitable[T], within_s: float) -> T:
    """What `call` returns or raises. Raises OperationTimeoutError where that takes longer than `within_s` seconds."""
    try:
        async with asyncio.timeout(within_s):
            return await call
    except TimeoutError:
        raise OperationTimeoutError(f"no answer within {within_s:.0f} s") from None
