"""A history in the order of the hub's hours: of all partitions what came before an hour, then its snapshot."""

from bisect import bisect_left
from collections.abc import AsyncIterator, Mapping
from itertools import accumulate
from typing import Protocol

from msgspec import Struct

from songline.processors.history.charts.replay import ChartReplay
from songline.schemas.documents import Chart

HOUR_S = 3_600


class EventBatch(Protocol):
    """What is read of a batch of a history: see ArchivedBatch."""

    @property
    def positions(self) -> list[int]: ...
    @property
    def enqueued_s(self) -> list[int]: ...
    @property
    def bodies(self) -> list[bytes]: ...


class PartitionEvents:
    """The events of one partition, in order, as far as they are taken.

    A clock of the hub that goes back moves no event into an hour that is over: an event is of the latest second that
    the partition has had.
    """

    def __init__(self, batches: AsyncIterator[EventBatch]) -> None:
        self._batches = batches
        self._positions: list[int] = []
        self._enqueued_s: list[int] = []
        self._bodies: list[bytes] = []
        self._at = 0
        self._latest_s = 0

    async def next_s(self) -> int | None:
        """The second of the next event; None at the end."""
        while self._at >= len(self._positions):
            batch = await anext(self._batches, None)
            if batch is None:
                return None
            self._positions, self._bodies, self._at = batch.positions, batch.bodies, 0
            self._enqueued_s = list(accumulate(batch.enqueued_s, max, initial=self._latest_s))[1:]
            self._latest_s = self._enqueued_s[-1] if self._enqueued_s else self._latest_s
        return self._enqueued_s[self._at]

    async def apply_before(self, second: int, partition: int, replay: ChartReplay) -> None:
        """Apply all events of seconds before this one."""
        while (first := await self.next_s()) is not None and first < second:
            end = bisect_left(self._enqueued_s, second, self._at)
            part = slice(self._at, end)
            replay.apply(partition, self._positions[part], self._enqueued_s[part], self._bodies[part])
            self._at = end


class HourSnapshot(Struct, frozen=True):
    """The charts at the first moment of an hour (UTC hours since 1970)."""

    hour: int
    charts: dict[str, Chart]


async def replay_hours(
    replay: ChartReplay, partitions: Mapping[int, PartitionEvents], until_s: int, first_hour: int = 0
) -> AsyncIterator[HourSnapshot]:
    """Apply all events of seconds up to `until_s`, and yield the snapshot of each hour on the way from `first_hour` on.

    Hours in which no chart has an entry have none. Once it ends, the windows end in the second `until_s`.
    """
    shown = False
    hour = first_hour
    while True:
        if not shown:
            starts = [start for events in partitions.values() if (start := await events.next_s()) is not None]
            if not starts:
                break
            hour = max(hour, min(starts) // HOUR_S + 1)
        if hour * HOUR_S > until_s:
            break
        for number, events in partitions.items():
            await events.apply_before(hour * HOUR_S, number, replay)
        charts = replay.snapshot(hour)
        shown = bool(charts)
        if shown:
            yield HourSnapshot(hour, charts)
        hour += 1
    for number, events in partitions.items():
        await events.apply_before(until_s + 1, number, replay)
    replay.advance(until_s * 1_000)
