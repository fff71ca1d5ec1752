"""Which partitions are flushed together: what is sent of a group is in memory at once."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

FLUSH_EVENTS = 20_000
"""Partitions are flushed together while they have no more than this between them."""

BACKLOG_FLUSH_EVENTS = 60_000
"""So many are flushed together of a short backlog: each group waits twice until the hub has what it sent."""


def flush_groups(partitions: Iterable[T], events: Callable[[T], int], most: int) -> Iterator[list[T]]:
    """Groups of partitions, in their order: each has no more than `most` events between them, or is one partition.
    `events` returns how many a partition has to flush, asked when its group is made."""
    group, size = list[T](), 0
    for one in partitions:
        more = events(one)
        if group and size + more > most:
            yield group
            group, size = [], 0
        group.append(one)
        size += more
    if group:
        yield group
