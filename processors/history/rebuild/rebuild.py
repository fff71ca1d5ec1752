"""A rebuild: a projection's next version is begun or gone on with, beside the live one, and folded to the hub's end."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from datetime import UTC, datetime

from azure.core.exceptions import AzureError
from azure.cosmos.aio import CosmosClient
from msgspec import Struct, structs

from songline.cloud import cosmos
from songline.cloud.http_transport import Guard
from songline.processors.history.archive.errors import Hole
from songline.processors.history.archive.history import HubHistory
from songline.processors.history.erasure.erasure_store import ErasureStore
from songline.processors.history.erasure.names_to_come import ForgottenMeanwhileError, NamesToCome
from songline.processors.history.rebuild.lease import RebuildLease, RebuildRefusedError, own_name
from songline.processors.history.rebuild.missing import MissingEvents
from songline.processors.history.rebuild.progress import RebuildCount, events_between
from songline.processors.history.rebuild.projection import RebuildParts, RebuiltProjection
from songline.processors.history.versions.version_store import StoredVersion, VersionOvertakenError, VersionStore
from songline.processors.runtime.hub_metadata import HubMetadata
from songline.processors.runtime.match_watch import read_matches
from songline.schemas.channels import DATABASE, ERASURES
from songline.schemas.progress import Watermark, lasting_position
from songline.schemas.projections import VersionDocument, container_of, version_id

RECORD_S = 2.0
"""How often the version's document says how far the rebuild is."""

RELEASE_S = 5.0


class RebuildOptions(Struct, frozen=True):
    """What is folded: all, or only what the hub had taken in the second of `until` or before; under which `policy`."""

    until: datetime | None = None
    policy: str = ""


class RebuildServices(Struct, frozen=True):
    """Where a rebuild reads and writes. `open_account` opens a client of the account that asks a guard before each
    request. `now` gives the time of day."""

    open_account: Callable[[Guard], AbstractAsyncContextManager[CosmosClient]]
    store: VersionStore
    history: HubHistory
    hub: HubMetadata
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


async def run_rebuild(
    projection: RebuiltProjection,
    services: RebuildServices,
    options: RebuildOptions,
    show: Callable[[VersionDocument, RebuildCount, float], None],
    watermarks: Callable[[VersionDocument], Awaitable[Mapping[str, Watermark]]],
) -> VersionDocument:
    """Build the next version until it is at the hub's end, or has all from before `until`; return its document.

    `show` is called every RECORD_S seconds with the version, the count and the seconds that have passed. `watermarks`
    reads how far a version is. Raises RebuildRefusedError, VersionOvertakenError, FoldFailedError, and what the
    services and the history raise.
    """
    stored = await _begin(projection, services, options)
    lease = RebuildLease(services.store, stored, own_name(), services.now)
    await lease.take()
    try:
        async with services.open_account(lease.check) as account:
            name = container_of(projection.name, stored.document.version)
            await cosmos.ensure(account, DATABASE, (structs.replace(projection.container, name=name),))
            while True:
                # What was folded before somebody was forgotten is folded again, under their names.
                with suppress(ForgottenMeanwhileError):
                    return await _build(projection, services, account, lease, show, watermarks)
    finally:
        # What another process reads; where this one is killed, the lease runs out.
        with suppress(AzureError, VersionOvertakenError, TimeoutError):
            async with asyncio.timeout(RELEASE_S):
                await lease.record(structs.replace(lease.document, worker=""))


async def _begin(projection: RebuiltProjection, services: RebuildServices, options: RebuildOptions) -> StoredVersion:
    """The version that is built: the one that was begun and is not live, else a new one."""
    live = await services.store.live(projection.name)
    if projection.shelves(1) and not live.shelves:
        raise RebuildRefusedError(
            f"there is no live version of {projection.name} yet: let its worker run, which makes the first one"
        )
    await services.store.ensure(live)
    versions = await services.store.settle(projection.name)
    for one in versions:
        if one.state not in ("building", "ready"):
            continue
        if (one.until, one.policy) != (options.until, options.policy):
            raise RebuildRefusedError(
                f"version {one.version} of {projection.name} was begun {_begun_with(one)}: go on with the same, or "
                f"drop it with `songline projection drop {projection.name} {one.version}`"
            )
        found = await services.store.read(projection.name, one.version)
        if found is not None:
            return found
    number = max([live.version, *(one.version for one in versions)]) + 1
    now = services.now()
    return await services.store.create(
        VersionDocument(
            id=version_id(projection.name, number),
            projection=projection.name,
            version=number,
            state="building",
            since=now,
            started_at=now,
            shelves=projection.shelves(len((await services.hub.describe()).partitions)),
            policy=options.policy,
            until=options.until,
        )
    )


async def _build(
    projection: RebuiltProjection,
    services: RebuildServices,
    account: CosmosClient,
    lease: RebuildLease,
    show: Callable[[VersionDocument, RebuildCount, float], None],
    watermarks: Callable[[VersionDocument], Awaitable[Mapping[str, Watermark]]],
) -> VersionDocument:
    before = _recovered(lease.document, lasting(await watermarks(lease.document)))
    count = RebuildCount()
    # What names mean is taken as of the rebuild's own moment: one that goes on takes the same.
    known_at = before.until or before.started_at
    matches = (await read_matches(account)).as_of(int(known_at.timestamp()))
    erasures = ErasureStore(cosmos.container(account, DATABASE, ERASURES))

    async def read_names() -> NamesToCome:
        return NamesToCome(await erasures.keyed())

    names = await read_names()
    parts = RebuildParts(
        version=before,
        account=account,
        container=cosmos.container(account, DATABASE, container_of(projection.name, before.version)),
        history=services.history.with_names(matches, names),
        hub=services.hub,
        count=count,
        until_s=None if before.until is None else int(before.until.timestamp()) + 1,
        names=names,
        read_names=read_names,
        guard=lease.check,
    )
    began_s = time.monotonic()
    folding = asyncio.ensure_future(projection.rebuild(parts))
    try:
        while not (await asyncio.wait((folding,), timeout=RECORD_S))[0]:
            await lease.record(_counted(lease.document, before, count, services.history.skipped.holes))
            show(lease.document, count, time.monotonic() - began_s)
    finally:
        folding.cancel()
        await asyncio.wait((folding,))
    folding.result()
    done = _counted(lease.document, before, count, services.history.skipped.holes)
    positions = lasting(await watermarks(done))
    await lease.record(structs.replace(done, state="ready", since=services.now(), positions=positions, worker=""))
    show(lease.document, count, time.monotonic() - began_s)
    return lease.document


def lasting(watermarks: Mapping[str, Watermark]) -> dict[str, int]:
    """The lasting positions of watermarks, by partition."""
    return {partition: lasting_position(one.generation, one.position) for partition, one in sorted(watermarks.items())}


def _recovered(document: VersionDocument, positions: Mapping[str, int]) -> VersionDocument:
    """The document with the events that an earlier rebuild folded after it had recorded its count the last time."""
    more = sum(events_between(document.positions.get(partition, -1), at) for partition, at in positions.items())
    return structs.replace(document, events=document.events + more, positions=dict(positions))


def _counted(
    document: VersionDocument, before: VersionDocument, count: RebuildCount, holes: Sequence[Hole]
) -> VersionDocument:
    positions = {partition: one.position for partition, one in count.partitions.items()}
    missing = MissingEvents(before.missing, before.missing_at).with_holes(holes)
    events, unreadable = count.before or (before.events, before.unreadable)
    return structs.replace(
        document,
        events=events + count.events,
        unreadable=unreadable + count.unreadable,
        missing=missing.count,
        missing_at=missing.ranges,
        positions={**before.positions, **positions},
    )


def _begun_with(version: VersionDocument) -> str:
    until = "without --until" if version.until is None else f"with --until {version.until.isoformat()}"
    return f"{until}, under the policy {version.policy}" if version.policy else until
