"""Random histories of a hub, as an archive has them: events with the second at which the hub took each."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from datetime import timedelta
from random import Random

from msgspec import Struct

from songline.processors.history.archive.errors import ArchiveHoleError, Hole
from songline.processors.history.archive.readable import FileSpan, FirstEvent
from songline.schemas.envelope import Event, encode
from songline.schemas.events import Payload
from songline.schemas.moments import moment_at

HOUR_S, DAY_S, WEEK_HOURS = 3_600, 86_400, 7 * 24


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


def in_time(history: Iterable[HistoryEvent], until_s: int) -> list[tuple[int, int, Event]]:
    """The events that the hub had taken in the second `until_s` or before, and before the last hour of their day left
    the window of a week: the hours of a day count while any of them is in it."""
    found = []
    for one in history:
        day = int(one.event.time.timestamp()) // DAY_S
        if one.second <= until_s and one.second // HOUR_S < (day + 1) * DAY_S // HOUR_S - 1 + WEEK_HOURS:
            found.append((one.partition, one.position, one.event))
    return found


async def batches(random: Random, events: Iterable[HistoryEvent], partition: int) -> AsyncIterator[HistoryBatch]:
    """The events of one partition, in batches of any size."""
    left = [one for one in events if one.partition == partition]
    while left:
        size = random.randint(1, 9)
        some, left = left[:size], left[size:]
        yield HistoryBatch(
            [one.position for one in some], [one.second for one in some], [encode(one.event) for one in some]
        )


class HistoryInFiles:
    """A History over events in memory: files of any size, and a tail that is in none, as are the first `late` events of
    each partition. The first `gone` ones are nowhere. `reads` counts what was read."""

    def __init__(
        self, random: Random, events: Sequence[HistoryEvent], partitions: int, late: int = 0, gone: int = 0
    ) -> None:
        self._random = random
        self._late = late
        self._gone = gone
        self._events = {str(number): [one for one in events if one.partition == number] for number in range(partitions)}
        self._spans = {partition: self._cut(found) for partition, found in self._events.items()}
        self.reads = 0

    async def partitions(self) -> list[str]:
        return list(self._events)

    async def spans(self, partition: str) -> Sequence[FileSpan]:
        return self._spans[partition]

    async def first_event(self, partition: str) -> FirstEvent | None:
        there = self._events[partition][self._gone :]
        return FirstEvent(there[0].position, there[0].second) if there else None

    async def read(
        self, partition: str, after: int = -1, until_s: int | None = None
    ) -> AsyncGenerator[HistoryBatch, None]:
        gone = self._events[partition][: self._gone]
        if gone and gone[-1].position > after:
            raise ArchiveHoleError(Hole(partition, 0, after + 1, gone[-1].position))
        following = [one for one in self._events[partition] if one.position > after]
        until = next((at for at, one in enumerate(following) if until_s is not None and one.second >= until_s), None)
        async for batch in batches(self._random, following[:until], int(partition)):
            self.reads += len(batch.bodies)
            yield batch

    def _cut(self, events: Sequence[HistoryEvent]) -> list[FileSpan]:
        end = len(events) - self._random.choice([0, 0, 1, 5, len(events)])
        spans, at = [], max(self._late, self._gone)
        while at < end:
            some = events[at : min(end, at + self._random.randint(1, 6))]
            path = f"{some[0].partition}/{at}"
            spans.append(FileSpan(path, "1", some[0].position, some[-1].position, some[0].second, some[-1].second))
            at += len(some)
        return spans
