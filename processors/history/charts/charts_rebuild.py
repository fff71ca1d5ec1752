"""The rebuild of the charts: every hour's snapshot over the whole history, the current charts, and the hand-over to the
trending worker."""

import uuid
from collections.abc import Awaitable, Callable, Mapping

from songline.cloud import cosmos
from songline.cloud.settings import read_eventhubs
from songline.processors.history.charts.chart_documents import ChartDocuments
from songline.processors.history.charts.rebuilding import ReplayRebuild
from songline.processors.history.charts.replay import ChartReplay
from songline.processors.history.charts.trending_state import open_hours
from songline.processors.history.rebuild.lease import RebuildRefusedError
from songline.processors.history.rebuild.projection import RebuildParts, RebuiltProjection
from songline.processors.runtime import live_version
from songline.processors.trending.cells.identity_key import IdentityKey
from songline.processors.trending.cells.identity_key_store import read_identity_key
from songline.processors.trending.containers import CHARTS_CONTAINER
from songline.processors.trending.handover import shard_values, split_values
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
from songline.schemas.moments import moment_at
from songline.schemas.policy import ChartPolicy
from songline.schemas.progress import Watermark, split_position

HandOver = Callable[[ChartReplay, int], Awaitable[None]]


class ChartsWriter:
    """Writes all hourly snapshots of a version of the charts and the current charts into `documents`, and its worker's
    state by `hand_over`. `key` is that of the worker's sets."""

    def __init__(self, documents: ChartDocuments, key: IdentityKey, hand_over: HandOver) -> None:
        self.documents = documents
        self.key = key
        self._hand_over = hand_over
        # A name of this replay alone.
        self.owner = f"rebuild-{uuid.uuid4().hex}"
        self._written_from = 0

    async def hand_over(self, replay: ChartReplay, second: int) -> None:
        """Write what the version's worker needs to go on after a second."""
        await self._hand_over(replay, second)

    def go_on(self, replay: ChartReplay, hour: int) -> None:
        """Write the snapshots of this hour and later ones; the one before is only compared with."""
        self._written_from = hour

    async def write_hour(self, replay: ChartReplay, hour: int) -> bool:
        """Write the snapshot of an hour; return whether it has any chart."""
        charts = replay.snapshot(hour)
        if hour >= self._written_from:
            await self.documents.write_snapshots(charts)
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


async def _hand_over(parts: RebuildParts, environ: Mapping[str, str], replay: ChartReplay, second: int) -> None:
    """Write what the version's worker finds at its start. A hand-over that was cut off is done again as a whole."""
    settings = read_eventhubs(environ)
    created_at = (await parts.hub.describe()).created_at
    sources = {}
    for number, lasting in replay.positions.items():
        generation, position = split_position(lasting)
        through = moment_at(second * 1_000)
        sources[number] = Watermark(position=position, generation=generation, through=through, created_at=created_at)
    hubs = await partitions_by_hub(settings)
    shards = min(hubs[TRENDING_PARTIALS], hubs[TRENDING_SHARDS_CHANGELOG])
    attempts = cosmos.container(parts.account, DATABASE, ATTEMPTS)
    version = StateVersion(parts.version.version)
    async with open_hours(environ) as hours, open_state_writer(version, settings, hours, attempts) as writer:
        await writer.write_chunks(replay.take_chunks())
        await writer.finish(split_values(shard_values(replay.shard, sources), shards), sources)


def charts_rebuilt(policy: ChartPolicy, environ: Mapping[str, str]) -> RebuiltProjection:
    """How versions of the charts are made under a policy. `environ` names the services."""

    async def open_writer(parts: RebuildParts) -> ChartsWriter:
        await _write_policy(parts, policy)
        key = await read_identity_key(cosmos.container(parts.account, DATABASE, ATTEMPTS))

        async def hand_over(replay: ChartReplay, second: int) -> None:
            await _hand_over(parts, environ, replay, second)

        return ChartsWriter(ChartDocuments(parts.container), key, hand_over)

    return RebuiltProjection(CHARTS, CHARTS_CONTAINER, "chart", ReplayRebuild(policy, open_writer).rebuild)
