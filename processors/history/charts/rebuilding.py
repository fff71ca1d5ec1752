"""What the rebuilds of charts and of songs' days share: where they begin, their passes, and how far they are.

What was folded is in memory. What was written is saved, with the hour up to which it is whole. A rebuild that was
killed reads again what the hub took in the eight days before that hour, and writes from there on.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from songline.processors.history.charts.beginning import SpannedHistory, begin_replay, events_after
from songline.processors.history.charts.chart_documents import RebuiltDocuments
from songline.processors.history.charts.hub_hours import HOUR_S, HubHours
from songline.processors.history.charts.replay import ChartReplay
from songline.processors.history.charts.song_events import SongEventStore
from songline.processors.history.rebuild.progress import PartitionFoldCount
from songline.processors.history.rebuild.projection import RebuildParts
from songline.processors.trending.cells.identity_key import KEY_BYTES, IdentityKey
from songline.processors.trending.spans import WEEK_HOURS
from songline.schemas.plays import HOURS
from songline.schemas.policy import ChartPolicy
from songline.schemas.progress import lasting_position, split_position

HOURS_READ = WEEK_HOURS + HOURS + 1
"""Hours before the one at which a rebuild goes on: a day of which any hour is in a week, and one hour by which events
are ahead."""

SETTLED_S = 2
"""What the hub takes in a second may be read so long after it."""
NEAR_S = 5.0
"""A pass that took no longer has reached the hub's end, as far as that can be reached."""
SAVE_S = 5.0
COUNT_S = 0.5


class ReplayRebuild:
    """The rebuild of a version by a replay under `policy`. `now_s` is the time of day in Unix seconds. The hour up to
    which all is written is saved every `save_s` seconds.

    `rebuild` may be called again: what was folded before is still there.
    """

    def __init__(self, policy: ChartPolicy, now_s: Callable[[], float] = time.time, save_s: float = SAVE_S) -> None:
        self.policy = policy
        self._save_s = save_s
        self._now_s = now_s
        self._next_hour = 0
        self.written_from = 0
        self._goes_on = False
        self._saved_s = 0.0
        self._counted = 0
        self.replay: ChartReplay | None = None

    async def rebuild(self, parts: RebuildParts) -> None:
        """Fold the history behind what the version has, to the hub's end or to `until_s`, and write what comes of it.

        Raises NoHistoryError, ItemRefusedError, and what reading the history raises.
        """
        history = SpannedHistory(parts.history)
        documents = self.open_documents(parts)
        if self.replay is None:
            await self.prepare(parts)
            self.replay = await self._begin(history, documents)
        async with self._counting(parts, self.replay, documents):
            while True:
                await self._ask_ends(parts, self.replay)
                began_s = time.monotonic()
                until_s = int(self._now_s()) - SETTLED_S if parts.until_s is None else parts.until_s - 1
                await self._fold(history, self.replay, documents, until_s)
                if parts.until_s is not None or time.monotonic() - began_s <= NEAR_S:
                    break
        await self.hand_over(parts, self.replay, until_s)

    async def prepare(self, parts: RebuildParts) -> None:
        """What comes before the first event."""

    def open_documents(self, parts: RebuildParts) -> RebuiltDocuments:
        """What writes the version's documents."""
        raise NotImplementedError

    async def write_hour(self, replay: ChartReplay, documents: RebuiltDocuments, hour: int) -> bool:
        """Write what an hour makes, all before which is applied; return whether hours without events make anything."""
        raise NotImplementedError

    async def write_end(self, replay: ChartReplay, documents: RebuiltDocuments, second: int) -> None:
        """Write how it is in a second, in which the windows end."""
        raise NotImplementedError

    async def hand_over(self, parts: RebuildParts, replay: ChartReplay, second: int) -> None:
        """Give a live worker what it needs to go on after a second."""

    def go_on(self, replay: ChartReplay, hour: int) -> None:
        """Go on at an hour up to which all is written."""

    def identity_key(self) -> IdentityKey:
        """The key of the sets: any, where none of them is handed over."""
        return IdentityKey(os.urandom(KEY_BYTES))

    def shards(self) -> int:
        """How many shards there are."""
        return 1

    def owner(self) -> str:
        """As which what is handed over is known; empty where nothing is."""
        return ""

    async def _begin(self, history: SpannedHistory, documents: RebuiltDocuments) -> ChartReplay:
        hour = await documents.read_hour()
        begin_s = 0 if hour is None else (hour - HOURS_READ) * HOUR_S
        key, shards, owner = self.identity_key(), self.shards(), self.owner()
        begun = await begin_replay(history, SongEventStore(None), begin_s, self.policy, key, shards, owner)
        if hour is not None:
            # The hour before is not written again: what it is compared with is not read.
            self._next_hour, self.written_from = hour - 1, hour
            self.go_on(begun.replay, hour)
        self._counted = begun.replay.events
        return begun.replay

    async def _fold(
        self, history: SpannedHistory, replay: ChartReplay, documents: RebuiltDocuments, until_s: int
    ) -> None:
        hours = HubHours(replay, events_after(history, replay.positions, until_s), until_s, self._next_hour)
        while (hour := await hours.next_hour(pass_over_quiet=not self._goes_on)) is not None:
            self._goes_on = await self.write_hour(replay, documents, hour)
            if time.monotonic() - self._saved_s >= self._save_s:
                await documents.write_hour(hour)
                self._saved_s = time.monotonic()
        await hours.finish()
        await self.write_end(replay, documents, until_s)
        self._next_hour = until_s // HOUR_S + 1
        # Also if nothing more comes in before it: what was folded makes its snapshot.
        self._goes_on = True
        await documents.write_hour(until_s // HOUR_S)

    @asynccontextmanager
    async def _counting(
        self, parts: RebuildParts, replay: ChartReplay, documents: RebuiltDocuments
    ) -> AsyncIterator[None]:
        """Say how far the replay is, while it goes on and at its end."""

        def count() -> None:
            parts.count.events += replay.events - self._counted
            self._counted = replay.events
            parts.count.unreadable = replay.unapplied
            parts.count.trouble = documents.retries.trouble if documents.retries.failing_for_s() else ""
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
