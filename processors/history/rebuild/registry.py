"""Which projections can be rebuilt, and how. A rebuild of another one is added here."""

from collections.abc import Mapping

from azure.cosmos.aio import CosmosClient
from msgspec import Struct

from songline.cloud import cosmos
from songline.processors.history.charts.charts_rebuild import charts_rebuilt
from songline.processors.history.charts.plays_rebuild import plays_rebuilt
from songline.processors.history.rebuild.folded import CATALOG_SONGS, LIBRARIES
from songline.processors.history.rebuild.lease import RebuildRefusedError
from songline.processors.history.rebuild.projection import RebuiltProjection
from songline.processors.runtime import live_version
from songline.processors.trending.version_policy import read_policy
from songline.schemas.channels import CHARTS, DATABASE, PLAYS, PROJECTIONS
from songline.schemas.policy import ChartPolicy

REBUILT: Mapping[str, RebuiltProjection] = {one.name: one for one in (LIBRARIES, CATALOG_SONGS)}
"""The projections that no policy decides."""


class ChosenRebuild(Struct, frozen=True):
    """A rebuild that was asked for, and the name of the policy that decides it, empty for none."""

    projection: RebuiltProjection
    policy: str = ""


async def choose_rebuild(
    account: CosmosClient, environ: Mapping[str, str], projection: str, policy: ChartPolicy | None
) -> ChosenRebuild:
    """The rebuild of a projection: of charts under `policy`, or under that of the live charts.

    Raises RebuildRefusedError, DamagedVersionError and AzureError.
    """
    if projection in REBUILT:
        return ChosenRebuild(REBUILT[projection])
    projections = cosmos.container(account, DATABASE, PROJECTIONS)
    live = await read_policy(projections, (await live_version.read(projections, CHARTS)).version)
    if policy is not None and policy.label == live.label and policy != live:
        raise RebuildRefusedError(
            f"the live charts are of {live.label}, which has other rules than this file: give it another version"
        )
    chosen = policy or live
    if projection == PLAYS:
        return ChosenRebuild(plays_rebuilt(chosen, environ), chosen.label)
    return ChosenRebuild(charts_rebuilt(chosen, environ), chosen.label)
