"""Bisection: which of some records fail, found with few folds."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


async def bisect(
    records: Sequence[T],
    fold: Callable[[Sequence[T]], Awaitable[None]],
    failed: Callable[[T, Exception], Awaitable[None]],
) -> None:
    """Fold all of `records` but those that fail alone, each of which is given to `failed` with its error, in order.

    `fold` may be given what it was given before, or a part of it; a record's predecessors are always folded, or given
    to `failed`, before it is folded without them. What `failed` raises ends it.
    """
    if not records:
        return
    try:
        await fold(records)
    except Exception as error:  # noqa: BLE001  # whatever it is, it is told with the record that it is of
        if len(records) == 1:
            await failed(records[0], error)
            return
    else:
        return
    half = len(records) // 2
    await bisect(records[:half], fold, failed)
    await bisect(records[half:], fold, failed)
