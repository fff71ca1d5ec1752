"""That no event is missing between those that a reader receives. Pure.

Sequence numbers of a hub that is not compacted have no gaps. The SDK reads again from the last event that it gave out
when a connection was cut, while it still holds later ones: so events may come twice.
"""

from collections.abc import Sequence

from msgspec import Struct


class FollowingEvents(Struct, frozen=True):
    """Which of the events that came are to be folded: `fresh` are their indexes. `gap`: the position of the first that
    does not follow, None where all do or came before."""

    fresh: tuple[int, ...]
    gap: int | None


def following_events(expected: int, positions: Sequence[int]) -> FollowingEvents:
    """The indexes of `positions` that follow on `expected`, each once and in order, up to the first gap."""
    fresh: list[int] = []
    for index, position in enumerate(positions):
        if position > expected:
            return FollowingEvents(tuple(fresh), position)
        if position == expected:
            fresh.append(index)
            expected += 1
    return FollowingEvents(tuple(fresh), None)
