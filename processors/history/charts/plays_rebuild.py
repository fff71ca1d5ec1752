"""The rebuild of songs' days: each is written once it is over, and those that are not, at the end."""

import os

import msgspec

from songline.processors.history.charts.chart_documents import RebuiltDocuments
from songline.processors.history.charts.rebuilding import ReplayRebuild
from songline.processors.history.charts.replay import ChartReplay
from songline.processors.history.rebuild.projection import RebuildParts, RebuiltProjection
from songline.processors.trending.cells.identity_key import KEY_BYTES, IdentityKey
from songline.processors.trending.cells.source_partition import first_counted_hour
from songline.processors.trending.containers import PLAYS_CONTAINER
from songline.processors.trending.plays.writer import shard_reached
from songline.processors.trending.spans import HOUR_MS
from songline.schemas.channels import PLAYS
from songline.schemas.plays import HOURS
from songline.schemas.policy import ChartPolicy

ALL_DAYS = 1 << 40


class DaysWriter:
    """Writes all songs' days of a version into `documents`. Nothing is handed over."""

    owner = ""

    def __init__(self, documents: RebuiltDocuments) -> None:
        self.documents = documents
        # None of the sets is kept, so any key will do.
        self.key = IdentityKey(os.urandom(KEY_BYTES))

    def go_on(self, replay: ChartReplay, hour: int) -> None:
        """Count nothing of days that were over at an hour: they are written, and only a part of them is read again."""
        replay.advance(hour * HOUR_MS)

    async def write_hour(self, replay: ChartReplay, hour: int) -> bool:
        """Write the days that are over at an hour; hours without events make nothing."""
        await self._advance(replay, hour * HOUR_MS)
        return False

    async def write_end(self, replay: ChartReplay, second: int) -> None:
        """Write the days that are not over, and how far they go."""
        await self._advance(replay, second * 1_000)
        await self._write_before(replay, ALL_DAYS)
        shard = replay.shard
        await self.documents.write([msgspec.to_builtins(shard_reached(0, 1, shard.watermark(second * 1_000)))])

    async def hand_over(self, replay: ChartReplay, second: int) -> None:
        """The worker that writes songs' days has all of it."""

    async def _advance(self, replay: ChartReplay, now_ms: int) -> None:
        """Have the windows end at a moment, and write the days that are over with it: their hours are dropped then."""
        replay.flush(now_ms - 1)
        await self._write_before(replay, first_counted_hour(now_ms) // HOURS)
        replay.advance(now_ms)

    async def _write_before(self, replay: ChartReplay, day: int) -> None:
        await self.documents.write(map(msgspec.to_builtins, replay.shard.days.take_before(day)))


def plays_rebuilt(policy: ChartPolicy) -> RebuiltProjection:
    """How versions of songs' days are made, which are counted by a policy of the charts."""

    async def open_writer(parts: RebuildParts) -> DaysWriter:
        return DaysWriter(RebuiltDocuments(parts.container, "songId"))

    return RebuiltProjection(PLAYS, PLAYS_CONTAINER, "songId", ReplayRebuild(policy, open_writer).rebuild)
