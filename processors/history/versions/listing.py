"""The versions of a projection as they are listed: their documents, with their lag and size."""

import re
from datetime import datetime

from azure.cosmos.aio import CosmosClient
from azure.cosmos.exceptions import CosmosResourceNotFoundError
from msgspec import Struct, structs

from songline.cloud import cosmos
from songline.cloud.concurrency import gather_or_cancel
from songline.processors.history.rebuild.lease import is_built
from songline.processors.history.rebuild.rebuild import lasting
from songline.processors.history.versions.lag import LagMeter
from songline.processors.history.versions.projections import VersionedProjection
from songline.processors.history.versions.version_store import VersionStore
from songline.schemas.channels import DATABASE
from songline.schemas.projections import PositionRange, VersionDocument, VersionState, container_of
from songline.schemas.types import Moment

_USAGE = "x-ms-resource-usage"
_SIZE = re.compile(r"(?:^|;)documentsSize=([0-9]+)")


class ListedVersion(Struct, frozen=True, kw_only=True, rename="camel"):
    """A version. `since`: when it came into its state, `started_at`: when it was begun; both null for a first version
    of which nothing was recorded. `events_behind` and `age_seconds`: what it has not applied, null where it has no
    container. `gone`: why it can't go on. `size_kb`: of its documents."""

    projection: str
    version: int
    state: VersionState
    container: str
    policy: str = ""
    until: Moment | None = None
    since: Moment | None = None
    started_at: Moment | None = None
    events: int = 0
    unreadable: int = 0
    missing: int = 0
    missing_at: dict[str, list[PositionRange]] = {}
    positions: dict[str, int] = {}
    events_behind: int | None = None
    age_seconds: float | None = None
    gone: str = ""
    size_kb: int | None = None
    is_being_built: bool = False


async def list_versions(
    projection: VersionedProjection, account: CosmosClient, store: VersionStore, lag: LagMeter
) -> list[ListedVersion]:
    """All versions of the projection, by number. Raises DamagedVersionError, AzureError and EventHubError."""
    live = await store.live(projection.name)
    documents = await store.settle(projection.name)
    if live.version not in [one.version for one in documents]:
        # Nothing was ever rebuilt.
        first = ListedVersion(
            projection=projection.name,
            version=live.version,
            state="live",
            container=container_of(projection.name, live.version),
        )
        others = await _listed(projection, account, lag, documents, store.now())
        return [await _measured(projection, account, lag, first), *others]
    return await _listed(projection, account, lag, documents, store.now())


async def _listed(
    projection: VersionedProjection,
    account: CosmosClient,
    lag: LagMeter,
    documents: list[VersionDocument],
    now: datetime,
) -> list[ListedVersion]:
    return await gather_or_cancel(_measured(projection, account, lag, _of(one, now)) for one in documents)


def _of(document: VersionDocument, now: datetime) -> ListedVersion:
    return ListedVersion(
        projection=document.projection,
        version=document.version,
        state=document.state,
        container=container_of(document.projection, document.version),
        policy=document.policy,
        until=document.until,
        since=document.since,
        started_at=document.started_at,
        events=document.events,
        unreadable=document.unreadable,
        missing=document.missing,
        missing_at=document.missing_at,
        positions=document.positions,
        is_being_built=is_built(document, now),
    )


async def _measured(
    projection: VersionedProjection, account: CosmosClient, lag: LagMeter, version: ListedVersion
) -> ListedVersion:
    """The version with its lag and size."""
    container = cosmos.container(account, DATABASE, version.container)
    try:
        found = await container.read(populate_quota_info=True)
    except CosmosResourceNotFoundError:
        return version
    usage = _SIZE.search(found.get_response_headers().get(_USAGE, ""))
    watermarks = await projection.watermarks(account, version.version)
    measured = await lag.measure(watermarks)
    return structs.replace(
        version,
        positions=lasting(watermarks),
        events_behind=measured.events,
        age_seconds=None if measured.age_s == float("inf") else round(measured.age_s, 1),
        gone=measured.gone,
        size_kb=None if usage is None else int(usage[1]),
    )
