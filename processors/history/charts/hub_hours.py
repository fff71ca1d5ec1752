"""A history in the order of the hub's hours: of all partitions what came before an hour, then its snapshot."""

import asyncio
from bisect import bisect_left
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from itertools import accumulate

from msgspec import Struct

from songline.cloud.concurrency import gather_or_cancel
from songline.processors.history.archive.readable import EventsRead
from songline.processors.history.charts.replay import ChartReplay
from songline.schemas.documents import Chart

HOUR_S = 3_600


class PartitionEvents:
    """The events of one partition, in order, as far as they are taken.

    A clock of the hub that goes back moves no event into an hour that is over: an event is of the latest second that
    the partition has had.
    """

    def __init__(self, batches: AsyncIterator[EventsRead]) -> None:
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

    async def apply_before(
        self, second: int, partition: int, replay: ChartReplay, applied: Callable[[], Awaitable[None]]
    ) -> None:
        """Apply all events of seconds before this one. `applied` is called after each batch."""
        while (first := await self.next_s()) is not None and first < second:
            end = bisect_left(self._enqueued_s, second, self._at)
            part = slice(self._at, end)
            replay.apply(partition, self._positions[part], self._enqueued_s[part], self._bodies[part])
            self._at = end
            await applied()
            # The loop has others to serve, also where no event has to be waited for.
            await asyncio.sleep(0)


class HourSnapshot(Struct, frozen=True):
    """The charts at the first moment of an hour (UTC hours since 1970)."""

    hour: int
    charts: dict[str, Chart]


async def _nothing(hour: int) -> None:
    """Nothing is saved on the way."""


class HubHours:
    """All partitions in the order of the hub's hours, from `first_hour` on, up to the second `until_s`.

    `applied` is called after each batch, with the hour before which it came."""

    def __init__(
        self,
        replay: ChartReplay,
        partitions: Mapping[int, PartitionEvents],
        until_s: int,
        first_hour: int,
        applied: Callable[[int], Awaitable[None]] = _nothing,
    ) -> None:
        self._replay = replay
        self._partitions = partitions
        self._until_s = until_s
        self._hour = first_hour
        self._applied = applied

    async def next_hour(self, *, pass_over_quiet: bool) -> int | None:
        """Apply all events before the next hour, and return it; None where that is not over by the last second.

        `pass_over_quiet`: hours before which nothing comes in are passed over.
        """
        await self._open()
        if pass_over_quiet:
            events = self._partitions.values()
            starts = [start for one in events if (start := await one.next_s()) is not None]
            if not starts:
                return None
            self._hour = max(self._hour, min(starts) // HOUR_S + 1)
        if self._hour * HOUR_S > self._until_s:
            return None
        await self._apply_before(self._hour * HOUR_S)
        self._hour += 1
        return self._hour - 1

    async def apply_rest(self) -> None:
        """Apply what is left up to the last second."""
        await self._open()
        await self._apply_before(self._until_s + 1)

    async def _apply_before(self, second: int) -> None:
        for number, one in self._partitions.items():
            await one.apply_before(second, number, self._replay, partial(self._applied, self._hour))

    async def _open(self) -> None:
        """Have all partitions wait at once for what they read next."""
        await gather_or_cancel(one.next_s() for one in self._partitions.values())


async def replay_hours(
    replay: ChartReplay, partitions: Mapping[int, PartitionEvents], until_s: int, first_hour: int = 0
) -> AsyncIterator[HourSnapshot]:
    """Apply all events of seconds up to `until_s`, and yield the snapshot of each hour on the way from `first_hour` on.

    Hours in which no chart has an entry have none. Once it ends, the windows end in the second `until_s`.
    """
    hours = HubHours(replay, partitions, until_s, first_hour)
    charts: dict[str, Chart] = {}
    while (hour := await hours.next_hour(pass_over_quiet=not charts)) is not None:
        charts = replay.snapshot(hour)
        if charts:
            yield HourSnapshot(hour, charts)
    await hours.apply_rest()
    replay.advance(until_s * 1_000)
