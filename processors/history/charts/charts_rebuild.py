"""The rebuild of the charts: every hour's snapshot over the whole history, the current charts, and the hand-over to the
trending worker."""

import uuid
from collections.abc import Mapping
from typing import cast

from songline.cloud import cosmos
from songline.cloud.settings import read_eventhubs
from songline.processors.history.charts.chart_documents import ChartDocuments, RebuiltDocuments
from songline.processors.history.charts.rebuilding import ReplayRebuild
from songline.processors.history.charts.replay import ChartReplay
from songline.processors.history.charts.trending_state import open_hours
from songline.processors.history.rebuild.lease import RebuildRefusedError
from songline.processors.history.rebuild.projection import RebuildParts, RebuiltProjection
from songline.processors.runtime import live_version
from songline.processors.trending.cells.identity_key import IdentityKey
from songline.processors.trending.cells.identity_key_store import read_identity_key
from songline.processors.trending.containers import CHARTS_CONTAINER
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


class ChartsRebuild(ReplayRebuild):
    """Writes all hourly snapshots of a version of the charts, the current charts, and trending's state. `environ` names
    the services."""

    def __init__(self, policy: ChartPolicy, environ: Mapping[str, str]) -> None:
        super().__init__(policy)
        self._environ = environ
        self._key: IdentityKey | None = None
        self._shards = 1

    async def prepare(self, parts: RebuildParts) -> None:
        """Store the policy of the version, and learn how its worker counts.

        Raises RebuildRefusedError where the version was begun with other rules.
        """
        projections = cosmos.container(parts.account, DATABASE, PROJECTIONS)
        number = parts.version.version
        if await live_version.read_document(projections, policy_id(number)) is None:
            await write_policy(projections, number, self.policy)
        elif (begun := await read_policy(projections, number)) != self.policy:
            raise RebuildRefusedError(
                f"version {number} of {CHARTS} was begun with other rules under the name {begun.label}: go on with "
                f"these, or drop it with `songline projection drop {CHARTS} {number}`"
            )
        self._key = await read_identity_key(cosmos.container(parts.account, DATABASE, ATTEMPTS))
        hubs = await partitions_by_hub(read_eventhubs(self._environ))
        self._shards = min(hubs[TRENDING_PARTIALS], hubs[TRENDING_SHARDS_CHANGELOG])

    def identity_key(self) -> IdentityKey:
        """The key of the worker's sets."""
        assert self._key is not None, "it is read before the first event"
        return self._key

    def shards(self) -> int:
        """As many as the worker has."""
        return self._shards

    def owner(self) -> str:
        """A name of this replay alone."""
        return f"rebuild-{uuid.uuid4().hex}"

    def open_documents(self, parts: RebuildParts) -> RebuiltDocuments:
        """What writes the charts."""
        return ChartDocuments(parts.container)

    async def write_hour(self, replay: ChartReplay, documents: RebuiltDocuments, hour: int) -> bool:
        """Write the snapshot of an hour, if later ones are not only compared with it; whether it has any chart."""
        charts = replay.snapshot(hour)
        if hour >= self.written_from:
            await cast(ChartDocuments, documents).write_snapshots(charts)
        return bool(charts)

    async def write_end(self, replay: ChartReplay, documents: RebuiltDocuments, second: int) -> None:
        """Write the current charts as of a second."""
        now_ms = second * 1_000
        empty = replay.empty_chart(chart_key("top", "1h", GLOBAL), now_ms)
        await cast(ChartDocuments, documents).write_current(replay.charts(now_ms), empty)

    async def hand_over(self, parts: RebuildParts, replay: ChartReplay, second: int) -> None:
        """Write what the version's worker finds at its start. A hand-over that was cut off is done again as a whole."""
        created_at = (await parts.hub.describe()).created_at
        sources = {}
        for number, lasting in replay.positions.items():
            generation, position = split_position(lasting)
            through = moment_at(second * 1_000)
            sources[number] = Watermark(
                position=position, generation=generation, through=through, created_at=created_at
            )
        attempts = cosmos.container(parts.account, DATABASE, ATTEMPTS)
        version, settings = StateVersion(parts.version.version), read_eventhubs(self._environ)
        async with open_hours(self._environ) as hours, open_state_writer(version, settings, hours, attempts) as writer:
            await writer.write_chunks(replay.take_chunks())
            await writer.finish(replay.shards, sources)


def charts_rebuilt(policy: ChartPolicy, environ: Mapping[str, str]) -> RebuiltProjection:
    """How versions of the charts are made under a policy."""
    return RebuiltProjection(CHARTS, CHARTS_CONTAINER, "chart", ChartsRebuild(policy, environ).rebuild)
