"""The rebuild of a version by a replay: where it begins, its passes, and how far it is.

What was folded is in memory. What was written is saved, with the hour up to which it is whole. A rebuild that was
killed reads again what the hub took in the eight days before that hour, and writes from there on.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from songline.processors.history.charts.beginning import SpannedHistory, begin_replay, events_after
from songline.processors.history.charts.hub_hours import HOUR_S, HubHours
from songline.processors.history.charts.replay import ChartReplay
from songline.processors.history.charts.replay_writer import OpenWriter, ReplayWriter
from songline.processors.history.charts.song_events import SongEventStore
from songline.processors.history.rebuild.passes import repeat_passes
from songline.processors.history.rebuild.progress import PartitionFoldCount
from songline.processors.history.rebuild.projection import RebuildParts
from songline.processors.trending.spans import WEEK_HOURS
from songline.schemas.plays import HOURS
from songline.schemas.policy import ChartPolicy
from songline.schemas.progress import lasting_position, split_position

HOURS_READ = WEEK_HOURS + HOURS + 1
"""Hours before the one at which a rebuild goes on: a day of which any hour is in a week, and one hour by which events
are ahead."""

SETTLED_S = 2
"""What the hub takes in a second may be read so long after it."""
SAVE_S = 10.0
COUNT_S = 0.5


class ReplayRebuild:
    """The rebuild of a version by a replay under `policy`, written by what `open_writer` opens. `now_s` is the time of
    day in Unix seconds. What is written is saved every `save_s` seconds.

    `rebuild` may be called again: what was folded before is still there.
    """

    def __init__(
        self,
        policy: ChartPolicy,
        open_writer: OpenWriter,
        now_s: Callable[[], float] = time.time,
        save_s: float = SAVE_S,
    ) -> None:
        self._policy = policy
        self._open_writer = open_writer
        self._save_s = save_s
        self._now_s = now_s
        self._next_hour = 0
        self._goes_on = False
        self._saved_s = 0.0
        self._counted = 0
        self._begun: tuple[ReplayWriter, ChartReplay] | None = None

    async def rebuild(self, parts: RebuildParts) -> None:
        """Fold the history behind what the version has, to the hub's end or to `until_s`, and write what comes of it.

        Raises NoHistoryError, ItemRefusedError, what opening the writer raises, and what reading the history raises.
        """
        history = SpannedHistory(parts.history)
        if self._begun is None:
            self._begun = await self._begin(history, await self._open_writer(parts))
        writer, replay = self._begun
        until_s = 0

        async def fold() -> None:
            nonlocal until_s
            until_s = int(self._now_s()) - SETTLED_S if parts.until_s is None else parts.until_s - 1
            await self._fold(history, replay, writer, until_s)

        async with self._counting(parts, replay, writer):
            await repeat_passes(partial(self._ask_ends, parts, replay), fold, once=parts.until_s is not None)
        await writer.hand_over(replay, until_s)

    async def _begin(self, history: SpannedHistory, writer: ReplayWriter) -> tuple[ReplayWriter, ChartReplay]:
        hour = await writer.documents.read_hour()
        begin_s = 0 if hour is None else (hour - HOURS_READ) * HOUR_S
        begun = await begin_replay(history, SongEventStore(None), begin_s, self._policy, writer.key, writer.owner)
        if hour is not None:
            # The hour before is not written again: what it is compared with is not read.
            self._next_hour = hour - 1
            writer.go_on(begun.replay, hour)
        self._counted = begun.replay.events
        return writer, begun.replay

    async def _fold(self, history: SpannedHistory, replay: ChartReplay, writer: ReplayWriter, until_s: int) -> None:
        hours = HubHours(replay, events_after(history, replay.positions, until_s), until_s, self._next_hour)
        while (hour := await hours.next_hour(pass_over_quiet=not self._goes_on)) is not None:
            self._goes_on = await writer.write_hour(replay, hour)
            if time.monotonic() - self._saved_s >= self._save_s:
                await writer.documents.save_hour(hour)
                self._saved_s = time.monotonic()
        await hours.apply_rest()
        await writer.write_end(replay, until_s)
        self._next_hour = until_s // HOUR_S + 1
        # Also if nothing more comes in before it: what was folded makes its snapshot.
        self._goes_on = True
        await writer.documents.save_hour(until_s // HOUR_S)

    @asynccontextmanager
    async def _counting(self, parts: RebuildParts, replay: ChartReplay, writer: ReplayWriter) -> AsyncIterator[None]:
        """Say how far the replay is, while it goes on and at its end."""
        retries = writer.documents.retries

        def count() -> None:
            parts.count.events += replay.events - self._counted
            self._counted = replay.events
            parts.count.unreadable = replay.unapplied
            parts.count.trouble = retries.trouble if retries.failing_for_s() else ""
            for number, position in replay.positions.items():
                parts.count.partitions.setdefault(str(number), PartitionFoldCount(position)).position = position

        async def keep_counting() -> None:
            while True:
                count()
                await asyncio.sleep(COUNT_S)

        task = asyncio.create_task(keep_counting())
        try:
            yield
        finally:
            task.cancel()
            count()

    async def _ask_ends(self, parts: RebuildParts, replay: ChartReplay) -> None:
        described = await parts.hub.describe()
        for number, position in replay.positions.items():
            end = position
            if str(number) in described.partitions:
                _, last = await parts.hub.read_ends(str(number))
                end = max(position, lasting_position(split_position(position)[0], last))
            parts.count.partitions[str(number)] = PartitionFoldCount(position, end)
