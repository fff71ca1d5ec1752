"""The trending worker as a process: its settings read, its services opened, its parts put together."""

import asyncio
import gc
import logging
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from azure.storage.blob.aio import ContainerClient

from songline.cloud import blobs, cosmos, eventhubs
from songline.cloud.settings import BLOB_CONNECTION, BLOB_ENDPOINT, CloudSettings, EventHubsSettings, read_blobs
from songline.processors.runtime.health import serve_health
from songline.processors.runtime.owner_file import OwnerFile, hold_owner_file, running_machine
from songline.processors.runtime.partition_processor import FoldCrashedError
from songline.processors.runtime.process import CRASHED_IN_FOLD, run_unless, run_worker
from songline.processors.runtime.projection_config import DATA, OWNERS
from songline.processors.runtime.readiness import Readiness
from songline.processors.runtime.watchdog import watchdog
from songline.processors.trending.app import TrendingApp, TrendingServices, build_app
from songline.processors.trending.cells.identity_key import IdentityKey
from songline.processors.trending.cells.identity_key_store import read_identity_key
from songline.processors.trending.config import TrendingConfig
from songline.processors.trending.faust.group_members import remove_members
from songline.processors.trending.faust.lifecycle import run_until
from songline.processors.trending.prerequisites import partitions_by_hub
from songline.processors.trending.spans import READER
from songline.schemas.channels import (
    ATTEMPTS,
    CHARTS,
    DATABASE,
    MUSIC_EVENTS,
    PARKED,
    PLAYS,
    TRENDING_BLOBS,
    TRENDING_GROUP,
)
from songline.schemas.policy import V1
from songline.schemas.progress_report import ProgressReport

log = logging.getLogger(__name__)

GC_THRESHOLD = 200_000
"""Batches of thousands of short-lived events make the collector run for nothing at its usual 700."""

CONNECT_S = 5
"""How long Blob Storage may take to accept a connection."""


async def work(environ: Mapping[str, str], stop: asyncio.Event) -> None:
    """Write the charts until `stop` is set. Raises SettingError, FoldCrashedError, and what the app crashed with."""
    settings, config = CloudSettings.read(environ), TrendingConfig.read(environ)
    readiness = Readiness()
    trending: TrendingApp | None = None

    def report() -> ProgressReport:
        if trending is None:
            reasons = tuple(readiness.reasons(READER))
            return ProgressReport(worker=READER, as_of=datetime.now(UTC), reasons=reasons)
        return trending.report()

    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serve_health(config.port, report))
        await stack.enter_async_context(watchdog(config.hang_s, CRASHED_IN_FOLD))
        # Entering the Cosmos client calls the account, which may not be there yet.
        database = cosmos.client(settings.cosmos)
        stack.push_async_callback(database.close)
        charts, plays, parked, attempts = (
            cosmos.container(database, DATABASE, name) for name in (CHARTS, PLAYS, PARKED, ATTEMPTS)
        )
        # Each question to the hub is tried again soon: the SDK's own pauses would outlast an outage by half a minute.
        hub = eventhubs.consumer(settings.eventhubs, MUSIC_EVENTS, TRENDING_GROUP, retry_total=0)
        await stack.enter_async_context(hub)
        data = environ.get(DATA)
        owners = stack.enter_context(hold_owner_file(Path(data, OWNERS) if data else None, READER, running_machine()))
        partitions: dict[str, int] = {}
        keys: list[IdentityKey] = []

        async def wait_for_services() -> None:
            partitions.update(await readiness.wait_for(partial(partitions_by_hub, settings.eventhubs)))
            await readiness.wait_for_all(*(container.read for container in (charts, plays, parked, attempts)))
            keys.append(await readiness.wait_for(partial(read_identity_key, attempts)))
            await readiness.wait_for(partial(_remove_earlier, settings.eventhubs, owners))

        if not await run_unless(stop, wait_for_services()):
            return
        hours = await stack.enter_async_context(_hours(environ))
        services = TrendingServices(
            charts=charts, plays=plays, parked=parked, attempts=attempts, hub=hub, hours=hours, key=keys[0], policy=V1
        )
        trending = build_app(settings, config, partitions, services, owners.record)
        readiness.begin()
        try:
            await run_until(trending.app, stop)
        finally:
            if (error := trending.isolation.error) is not None:
                raise FoldCrashedError(str(error)) from error


async def _remove_earlier(settings: EventHubsSettings, owners: OwnerFile) -> None:
    """Remove the process that held the file of owners before from the group, if it was killed. Raises KafkaError."""
    if not owners.earlier:
        return
    if removed := await remove_members(settings, TRENDING_GROUP, owners.earlier):
        log.info("%d members of the group, whose processes are gone, are removed", removed)
    owners.forget_earlier()


@asynccontextmanager
async def _hours(environ: Mapping[str, str]) -> AsyncIterator[ContainerClient | None]:
    """The blob container of sealed hours, None where the environment names no Blob Storage."""
    if not environ.get(BLOB_CONNECTION) and not environ.get(BLOB_ENDPOINT):
        log.warning("no Blob Storage is set: all hours of seven days stay in the changelog")
        yield None
        return
    # Its callers try again soon: the SDK's first pause is 15 seconds, for which no partition could be flushed.
    async with blobs.client(read_blobs(environ), retry_total=0, connection_timeout=CONNECT_S) as client:
        yield client.get_container_client(TRENDING_BLOBS)


def main() -> None:
    """Run until SIGTERM or SIGINT. CloudSettings come from the environment: see docs/trending.md."""
    gc.set_threshold(GC_THRESHOLD, 10, 10)
    run_worker(READER, partial(work, os.environ))
