"""A listener's library as of a moment: the fold of what they had done of all that the hub had taken by then."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from itertools import groupby
from operator import attrgetter
from typing import Protocol

from songline.processors.history.archive.readable import ReadableHistory
from songline.processors.history.archive.spans import check_moment, first_second, read_spans
from songline.processors.history.as_of.answers import PastLibrary
from songline.processors.library.actions import parse_actions
from songline.processors.runtime.hub_record import HubRecord
from songline.schemas.library.action import UserAction
from songline.schemas.library.fold import fold_actions
from songline.schemas.name_matches import NameMatches
from songline.schemas.progress import split_position


class EventOfListener(Protocol):
    """An event as the index of the archive has it: see ListenerEvent."""

    @property
    def partition(self) -> str: ...
    @property
    def position(self) -> int: ...
    @property
    def enqueued_s(self) -> int: ...
    @property
    def body(self) -> bytes: ...


class HistoryOfListener(Protocol):
    """A listener's events by partition and position, and the last lasting position of each partition: see
    ListenerHistory."""

    @property
    def events(self) -> Iterable[EventOfListener]: ...
    @property
    def positions(self) -> Mapping[str, int]: ...


FindHistory = Callable[[str, int], Awaitable[HistoryOfListener]]
"""Finds a listener's history: what is before the first event that the hub took at a second or later."""


async def library_as_of(
    history: ReadableHistory, find: FindHistory, matches: NameMatches, user_id: str, second: int
) -> PastLibrary:
    """The library of all that the hub had taken by the Unix second `second`, by what names meant then.

    Raises NoHistoryError, MomentError, and what reading the history raises.
    """
    check_moment(second, await first_second(history, await read_spans(history)))
    found = await find(user_id, second + 1)
    actions: list[UserAction] = []
    for partition, events in groupby(found.events, attrgetter("partition")):
        some = list(events)
        bodies = matches.matched([one.body for one in some], [one.enqueued_s for one in some])
        records = (
            HubRecord(one.position, datetime.fromtimestamp(one.enqueued_s, UTC), body)
            for one, body in zip(some, bodies, strict=True)
        )
        actions += [one for one in parse_actions(int(partition), records).actions if one.user_id == user_id]
    positions = {partition: split_position(last)[1] for partition, last in found.positions.items()}
    return PastLibrary(fold_actions(actions), positions)
