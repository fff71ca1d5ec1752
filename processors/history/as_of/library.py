"""A listener's library as of a moment: the fold of what they had done of all that the hub had taken by then."""

from collections.abc import Awaitable, Callable, Iterable
from contextlib import aclosing
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


FindEvents = Callable[[str, int], Awaitable[Iterable[EventOfListener]]]
"""Finds a listener's events by partition and position: those before the first that the hub took at a second or
later."""


async def library_as_of(history: ReadableHistory, find: FindEvents, user_id: str, second: int) -> PastLibrary:
    """The library of all that the hub had taken by the Unix second `second`.

    Raises NoHistoryError, MomentError, and what reading the history raises.
    """
    check_moment(second, await first_second(history, await read_spans(history)))
    events = await find(user_id, second + 1)
    actions: list[UserAction] = []
    for partition, found in groupby(events, attrgetter("partition")):
        records = (HubRecord(one.position, datetime.fromtimestamp(one.enqueued_s, UTC), one.body) for one in found)
        actions += [one for one in parse_actions(int(partition), records).actions if one.user_id == user_id]
    return PastLibrary(fold_actions(actions), await positions_at(history, second))


async def positions_at(history: ReadableHistory, second: int) -> dict[str, int]:
    """The position of the last event of each partition that the hub had taken by a second, -1 for none."""
    found = {}
    for partition in await history.partitions():
        last = -1
        for file in await history.spans(partition):
            if file.last_s > second:
                break
            last = max(last, file.last)
        async with aclosing(history.read(partition, last, second + 1)) as batches:
            async for batch in batches:
                last = batch.positions[-1]
        found[partition] = split_position(last)[1]
    return found
