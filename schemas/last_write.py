"""Last write wins: which of several statements about one thing holds.

Within a partition the hub gives an order, so the statement of the highest position holds. Between partitions there is
none: the later event time holds, then the higher partition. A statement that was parked and is sent again comes behind
statements that were made after it, so it replaces none of these.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


def last_write(statements: Iterable[tuple[int, T]], time: Callable[[T], Any]) -> T | None:
    """The statement that holds, of one for each partition (its number first); None where there is none. `time` gives
    the event time of a statement."""
    found = max(statements, key=lambda statement: (time(statement[1]), statement[0]), default=None)
    return None if found is None else found[1]


def is_outdated(resubmitted: Any, known: Any | None) -> bool:
    """Whether a statement that is sent again, of the event time `resubmitted`, is no later than its partition's last
    statement, of the event time `known`; False where there is none yet."""
    return known is not None and bool(known >= resubmitted)
