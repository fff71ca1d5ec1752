"""Random histories of a hub, as an archive has them: events with the second at which the hub took each."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import timedelta
from random import Random

from msgspec import Struct

from songline.schemas.envelope import Event, encode
from songline.schemas.events import Payload
from songline.schemas.moments import moment_at


class HistoryEvent(Struct, frozen=True):
    """An event at a position of a partition, and the second at which the hub took it."""

    partition: int
    position: int
    second: int
    event: Event


class HistoryBatch(Struct, frozen=True):
    """Events of a partition in columns, as ArchivedBatch has them."""

    positions: list[int]
    enqueued_s: list[int]
    bodies: list[bytes]


def random_history(
    random: Random, begin_s: int, count: int, act: Callable[[Random], tuple[int, Payload]]
) -> list[HistoryEvent]:
    """Events in the order in which the hub took them: some at once, some after hours or days of nothing; most of what
    just happened, some late, some of the hour to come. `act` returns a partition and what happened there."""
    second = begin_s
    found = []
    for position in range(count):
        second += random.choice([0, 0, 0, 1, 7, 60, 600, 3_600, random.randint(0, 7_200)])
        if random.random() < 0.01:
            second += random.choice([86_400, 7 * 86_400, 9 * 86_400])
        age_s = random.choice([0, 0, 1, random.randint(-3_500, 60), 3_600, 86_400, 7 * 86_400, 9 * 86_400])
        partition, data = act(random)
        time = moment_at(second * 1_000) - timedelta(seconds=age_s)
        event = Event(id=f"e{position}", source="/tests", time=time, data=data)
        found.append(HistoryEvent(partition, position, second, event))
        if random.random() < 0.05 and found:
            # A copy, as a sender makes it that heard nothing of the first one.
            found[-1] = HistoryEvent(partition, position, second, random.choice(found).event)
            copied = found[-1].event
            found[-1] = HistoryEvent(partition_of(found, copied), position, second, copied)
    return [one for one in found if one.event.time <= moment_at(one.second * 1_000) + timedelta(hours=1)]


def partition_of(found: Sequence[HistoryEvent], event: Event) -> int:
    """The partition in which an event is."""
    return next(one.partition for one in found if one.event is event)


async def batches(random: Random, events: Iterable[HistoryEvent], partition: int) -> AsyncIterator[HistoryBatch]:
    """The events of one partition, in batches of any size."""
    left = [one for one in events if one.partition == partition]
    while left:
        size = random.randint(1, 9)
        some, left = left[:size], left[size:]
        yield HistoryBatch(
            [one.position for one in some], [one.second for one in some], [encode(one.event) for one in some]
        )
