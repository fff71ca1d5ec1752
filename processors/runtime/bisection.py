"""Bisection: finding the records that fail with few folds."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


async def bisect(
    records: Sequence[T],
    fold: Callable[[Sequence[T]], Awaitable[None]],
    failed: Callable[[T, Exception], Awaitable[None]],
) -> None:
    """Fold all of `records` but those that fail alone; call `failed` with each of these and its error, in order.

    `fold` may be called with records that it was called with before, or a part of them. A record's predecessors are
    always folded, or given to `failed`, before it is folded without them. An error of `failed` ends the bisection.
    """
    if not records:
        return
    try:
        await fold(records)
    except Exception as error:  # noqa: BLE001  # `failed` decides about it, record by record
        if len(records) == 1:
            await failed(records[0], error)
            return
    else:
        return
    half = len(records) // 2
    await bisect(records[:half], fold, failed)
    await bisect(records[half:], fold, failed)
