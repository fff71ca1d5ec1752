"""What partitions have to read until they are at their ends for the first time: little after a kill, much where a
worker was away."""

from collections.abc import Callable, Hashable, Iterable
from typing import Any, NamedTuple

SHORT_BACKLOG = 200_000
"""So many events are what comes within forty seconds, at 5,000 a second: 90 MB, as listeners send them."""


class UnreadRange(NamedTuple):
    """What is to be done of a partition: from the offset `next` up to `end`, which is after the hub's last record."""

    partition: Hashable
    next: int
    end: int


class FirstBacklog:
    """The backlog of the partitions of one assignment, each until it is at its end for the first time."""

    def __init__(self) -> None:
        self._begins: dict[Hashable, int] = {}
        self._done: set[Hashable] = set()
        self._is_long = False

    def is_short(self, partitions: Iterable[UnreadRange]) -> bool:
        """Whether something of it is left, and it is no more than SHORT_BACKLOG events with what was done of it.
        `partitions` are those of which the end is known."""
        left = events = 0
        for one in partitions:
            # An operator may set a position back.
            begin = self._begins[one.partition] = min(self._begins.get(one.partition, one.next), one.next)
            if one.next >= one.end:
                self._done.add(one.partition)
            if one.partition not in self._done:
                left += one.end - one.next
                events += one.end - begin
        self._is_long = self._is_long or events > SHORT_BACKLOG
        return left > 0 and not self._is_long


class BacklogFlush:
    """Whether the short backlog of an assignment is folded, and flushed."""

    def __init__(self) -> None:
        self._backlog = FirstBacklog()
        self._was_left = False
        self._ends: dict[Hashable, int] = {}
        """Up to where each partition was folded when all of it was."""

    def is_left(self, folded: Iterable[UnreadRange]) -> bool:
        """Whether something of it is not folded."""
        return self._backlog.is_short(folded)

    def advance(self, folded: list[UnreadRange]) -> bool:
        """Take in that a batch was folded; return whether all of the backlog is by that."""
        was_left, self._was_left = self._was_left, self.is_left(folded)
        if self._was_left or not was_left:
            return False
        self._ends = {one.partition: one.next for one in folded}
        return True

    def is_unflushed(self, folded: list[UnreadRange], flushed: Callable[[Any], int]) -> bool:
        """Whether something of it is not flushed; `flushed` returns the last position of a partition that is."""
        # The offsets of a hub that was made anew begin again before the end.
        ends = [(one.partition, end) for one in folded if (end := self._ends.get(one.partition, 0)) <= one.next]
        return self.is_left(folded) or any(flushed(partition) + 1 < end for partition, end in ends)
