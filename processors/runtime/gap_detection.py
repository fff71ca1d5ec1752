"""Gap detection: whether an event is missing between those that a reader receives. Pure.

Sequence numbers of a hub that is not compacted have no gaps. When a connection is cut, the SDK reads again from the
last event that it gave out while it still holds later ones, so events may come twice.
"""

from collections.abc import Sequence

from msgspec import Struct


class FollowingEvents(Struct, frozen=True):
    """Which received events are to be processed: `fresh` are their indexes. `gap` is the position of the first event
    that does not follow; None where all follow or came before."""

    fresh: tuple[int, ...]
    gap: int | None


def following_events(expected: int, positions: Sequence[int]) -> FollowingEvents:
    """The indexes of `positions` that follow from `expected` on, each once and in order, up to the first gap."""
    fresh: list[int] = []
    for index, position in enumerate(positions):
        if position > expected:
            return FollowingEvents(tuple(fresh), position)
        if position == expected:
            fresh.append(index)
            expected += 1
    return FollowingEvents(tuple(fresh), None)
