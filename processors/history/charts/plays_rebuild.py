"""The rebuild of songs' days: each is written once it is over, and those that are not, at the end."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import msgspec

from songline.cloud import cosmos
from songline.processors.history.charts.chart_documents import RebuiltDocuments
from songline.processors.history.charts.checkpoints import CheckpointBlobs, open_checkpoints
from songline.processors.history.charts.rebuilding import ReplayRebuild
from songline.processors.history.charts.replay import ChartReplay
from songline.processors.history.rebuild.projection import RebuildParts, RebuiltProjection
from songline.processors.trending.cells.identity_key import IdentityKey
from songline.processors.trending.cells.identity_key_store import read_identity_key
from songline.processors.trending.containers import PLAYS_CONTAINER
from songline.processors.trending.plays.writer import shard_reached
from songline.processors.trending.spans import HOUR_MS, first_counted_hour
from songline.schemas.channels import ATTEMPTS, DATABASE, PLAYS
from songline.schemas.plays import HOURS, ShardProgressDocument
from songline.schemas.policy import ChartPolicy
from songline.schemas.progress import Watermark

ALL_DAYS = 1 << 40


class DaysWriter:
    """Writes all songs' days of a version into `documents`. Nothing is handed over."""

    def __init__(self, documents: RebuiltDocuments, key: IdentityKey, checkpoints: CheckpointBlobs) -> None:
        self.documents = documents
        self.key = key
        self.checkpoints = checkpoints

    async def remove_handed_over(self) -> None:
        """There is nothing."""

    async def write_hour(self, replay: ChartReplay, hour: int) -> bool:
        """Write the days that are over at an hour; hours without events make nothing."""
        await self._advance(replay, hour * HOUR_MS)
        return False

    async def write_end(self, replay: ChartReplay, second: int) -> None:
        """Write the days that are not over, and how far they go."""
        await self._advance(replay, second * 1_000)
        await self._write_before(replay, ALL_DAYS)
        shard = replay.shard
        await self.documents.write([msgspec.to_builtins(shard_reached(0, 1, shard.watermark(second * 1_000), {}))])

    async def hand_over(self, replay: ChartReplay, sources: Mapping[int, Watermark]) -> None:
        """The worker that writes songs' days has all of it. Noted is of which hub the positions are."""
        partitions = {str(number): one for number, one in sorted(sources.items())}
        reached = ShardProgressDocument(id="0", shards=1, partitions=partitions)
        await self.documents.write([msgspec.to_builtins(reached)])

    async def _advance(self, replay: ChartReplay, now_ms: int) -> None:
        """Have the windows end at a moment, and write the days that are over with it: their hours are dropped then."""
        replay.flush(now_ms - 1)
        await self._write_before(replay, first_counted_hour(now_ms) // HOURS)
        replay.advance(now_ms)

    async def _write_before(self, replay: ChartReplay, day: int) -> None:
        await self.documents.write(map(msgspec.to_builtins, replay.shard.days.take_before(day)))


def plays_rebuilt(policy: ChartPolicy, environ: Mapping[str, str]) -> RebuiltProjection:
    """How versions of songs' days are made, which are counted by a policy of the charts. `environ` names the
    services."""

    @asynccontextmanager
    async def open_writer(parts: RebuildParts) -> AsyncIterator[DaysWriter]:
        key = await read_identity_key(cosmos.container(parts.account, DATABASE, ATTEMPTS))
        async with open_checkpoints(environ, PLAYS, parts.version.version, parts.guard) as checkpoints:
            yield DaysWriter(RebuiltDocuments(parts.container, "songId"), key, checkpoints)

    return RebuiltProjection(PLAYS, PLAYS_CONTAINER, "songId", ReplayRebuild(policy, open_writer).rebuild)
