"""The rebuild of songs' days: each is written once it is over, and those that are not, at the end."""

import msgspec

from songline.processors.history.charts.chart_documents import RebuiltDocuments
from songline.processors.history.charts.rebuilding import ReplayRebuild
from songline.processors.history.charts.replay import ChartReplay
from songline.processors.history.rebuild.projection import RebuildParts, RebuiltProjection
from songline.processors.trending.cells.source_partition import first_counted_hour
from songline.processors.trending.containers import PLAYS_CONTAINER
from songline.processors.trending.plays.writer import shard_reached
from songline.processors.trending.spans import HOUR_MS
from songline.schemas.channels import PLAYS
from songline.schemas.plays import HOURS
from songline.schemas.policy import ChartPolicy

ALL_DAYS = 1 << 40


class PlaysRebuild(ReplayRebuild):
    """Writes all songs' days of a version."""

    def open_documents(self, parts: RebuildParts) -> RebuiltDocuments:
        """What writes the days."""
        return RebuiltDocuments(parts.container, "songId")

    def go_on(self, replay: ChartReplay, hour: int) -> None:
        """Count nothing of days that were over at an hour: they are written, and only a part of them is read again."""
        replay.advance(hour * HOUR_MS)

    async def write_hour(self, replay: ChartReplay, documents: RebuiltDocuments, hour: int) -> bool:
        """Write the days that are over at an hour; hours without events make nothing."""
        replay.flush(hour * HOUR_MS - 1)
        over = first_counted_hour(hour * HOUR_MS) // HOURS
        for shard in replay.shards:
            await documents.write(map(msgspec.to_builtins, shard.days.take_before(over)))
        replay.advance(hour * HOUR_MS)
        return False

    async def write_end(self, replay: ChartReplay, documents: RebuiltDocuments, second: int) -> None:
        """Write the days that are not over, and how far they go."""
        for shard in replay.shards:
            await documents.write(map(msgspec.to_builtins, shard.days.take_before(ALL_DAYS)))
            reached = shard_reached(shard.number, len(replay.shards), shard.watermark(second * 1_000))
            await documents.write([msgspec.to_builtins(reached)])


def plays_rebuilt(policy: ChartPolicy) -> RebuiltProjection:
    """How versions of songs' days are made, which are counted by a policy of the charts."""
    return RebuiltProjection(PLAYS, PLAYS_CONTAINER, "songId", PlaysRebuild(policy).rebuild)
