"""The rebuild of the charts: every hour's snapshot over the whole history, the current charts, and the hand-over to the
trending worker."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial

from songline.cloud import cosmos
from songline.cloud.settings import read_eventhubs
from songline.processors.history.charts.chart_documents import ChartDocuments
from songline.processors.history.charts.checkpoints import CheckpointBlobs, open_checkpoints
from songline.processors.history.charts.rebuilding import ReplayRebuild
from songline.processors.history.charts.replay import ChartReplay
from songline.processors.history.charts.trending_state import open_hours, remove_charts_state
from songline.processors.history.rebuild.lease import RebuildRefusedError
from songline.processors.history.rebuild.projection import RebuildParts, RebuiltProjection
from songline.processors.runtime import live_version
from songline.processors.trending.cells.identity_key import IdentityKey
from songline.processors.trending.cells.identity_key_store import read_identity_key
from songline.processors.trending.containers import CHARTS_CONTAINER
from songline.processors.trending.handover import split_values, with_positions
from songline.processors.trending.prerequisites import partitions_by_hub
from songline.processors.trending.state_version import StateVersion
from songline.processors.trending.state_writer import open_state_writer
from songline.processors.trending.version_policy import policy_id, read_policy, write_policy
from songline.schemas.channels import (
    ATTEMPTS,
    CHARTS,
    DATABASE,
    PROJECTIONS,
    TRENDING_PARTIALS,
    TRENDING_SHARDS_CHANGELOG,
)
from songline.schemas.documents import GLOBAL, chart_key
from songline.schemas.policy import ChartPolicy
from songline.schemas.progress import Watermark

HandOver = Callable[[ChartReplay, Mapping[int, Watermark]], Awaitable[None]]
Remove = Callable[[], Awaitable[object]]


class ChartsWriter:
    """Writes all hourly snapshots of a version of the charts and the current charts into `documents`, and its worker's
    state by `hand_over`, which `remove` removes. `key` is that of the worker's sets."""

    def __init__(
        self,
        documents: ChartDocuments,
        key: IdentityKey,
        checkpoints: CheckpointBlobs,
        hand_over: HandOver,
        remove: Remove,
    ) -> None:
        self.documents = documents
        self.key = key
        self.checkpoints = checkpoints
        self._hand_over = hand_over
        self._remove = remove

    async def hand_over(self, replay: ChartReplay, sources: Mapping[int, Watermark]) -> None:
        """Write what the version's worker needs to go on after these watermarks."""
        await self._hand_over(replay, sources)

    async def remove_handed_over(self) -> None:
        """Remove the worker's state: what is handed over is added to it."""
        await self._remove()

    async def write_hour(self, replay: ChartReplay, hour: int) -> bool:
        """Hold the snapshot of an hour to be written; return whether it has any chart."""
        charts = replay.snapshot(hour)
        self.documents.hold_snapshots(charts)
        return bool(charts)

    async def write_end(self, replay: ChartReplay, second: int) -> None:
        """Write the current charts as of a second."""
        now_ms = second * 1_000
        replay.advance(now_ms)
        empty = replay.empty_chart(chart_key("top", "1h", GLOBAL), now_ms)
        await self.documents.write_current(replay.charts(now_ms), empty)


async def _write_policy(parts: RebuildParts, policy: ChartPolicy) -> None:
    """Store the policy of the version. Raises RebuildRefusedError where the version was begun with other rules."""
    projections = cosmos.container(parts.account, DATABASE, PROJECTIONS)
    number = parts.version.version
    if await live_version.read_document(projections, policy_id(number)) is None:
        await write_policy(projections, number, policy)
    elif (begun := await read_policy(projections, number)) != policy:
        raise RebuildRefusedError(
            f"version {number} of {CHARTS} was begun with other rules under the name {begun.label}: go on with "
            f"these, or drop it with `songline projection drop {CHARTS} {number}`"
        )


async def _hand_over(
    parts: RebuildParts, environ: Mapping[str, str], replay: ChartReplay, sources: Mapping[int, Watermark]
) -> None:
    """Write what the version's worker finds at its start. A hand-over that was cut off is done again as a whole."""
    settings = read_eventhubs(environ)
    hubs = await partitions_by_hub(settings)
    shards = min(hubs[TRENDING_PARTIALS], hubs[TRENDING_SHARDS_CHANGELOG])
    attempts = cosmos.container(parts.account, DATABASE, ATTEMPTS)
    version = StateVersion(parts.version.version)
    async with (
        open_hours(environ, parts.guard) as hours,
        open_state_writer(version, settings, hours, attempts, parts.guard) as writer,
    ):
        values, chunks = replay.take_handed_over()
        await writer.write_chunks(chunks)
        await writer.finish(split_values(with_positions(values, sources), shards), sources)


def charts_rebuilt(policy: ChartPolicy, environ: Mapping[str, str]) -> RebuiltProjection:
    """How versions of the charts are made under a policy. `environ` names the services."""

    @asynccontextmanager
    async def open_writer(parts: RebuildParts) -> AsyncIterator[ChartsWriter]:
        # Not only at the hand-over, hours later.
        await partitions_by_hub(read_eventhubs(environ))
        await _write_policy(parts, policy)
        key = await read_identity_key(cosmos.container(parts.account, DATABASE, ATTEMPTS))

        async def hand_over(replay: ChartReplay, sources: Mapping[int, Watermark]) -> None:
            await _hand_over(parts, environ, replay, sources)

        remove = partial(remove_charts_state, parts.version.version, parts.account, environ, parts.guard)
        async with open_checkpoints(environ, CHARTS, parts.version.version, parts.guard) as checkpoints:
            yield ChartsWriter(ChartDocuments(parts.container), key, checkpoints, hand_over, remove)

    return RebuiltProjection(CHARTS, CHARTS_CONTAINER, "chart", ReplayRebuild(policy, open_writer).rebuild)
