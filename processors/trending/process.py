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

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from azure.storage.blob.aio import ContainerClient
from msgspec import structs

from songline.cloud import blobs, cosmos, eventhubs
from songline.cloud.settings import CloudSettings, EventHubsSettings, names_blobs, read_blobs
from songline.cloud.wrong_settings import read_settings
from songline.processors.history.erasure.forgotten_watch import watch_forgotten
from songline.processors.runtime import live_version
from songline.processors.runtime.allocator import free_memory_released
from songline.processors.runtime.health import serve_health
from songline.processors.runtime.hub_metadata import HubMetadata
from songline.processors.runtime.live_version import LiveVersionWatch, VersionChangedError
from songline.processors.runtime.match_watch import watch_matches
from songline.processors.runtime.owner_file import OwnerFile, hold_owner_file, running_machine
from songline.processors.runtime.partition_processor import FoldCrashedError
from songline.processors.runtime.process import CRASHED_IN_FOLD, run_unless, run_worker
from songline.processors.runtime.projection_config import DATA, OWNERS
from songline.processors.runtime.readiness import Readiness
from songline.processors.runtime.service_errors import last_line
from songline.processors.runtime.watchdog import watchdog
from songline.processors.trending.app import TrendingApp, TrendingServices, build_app
from songline.processors.trending.cells.identity_key_store import read_identity_key
from songline.processors.trending.config import TrendingConfig
from songline.processors.trending.faust.batched_app import BatchedApp
from songline.processors.trending.faust.group_members import remove_members
from songline.processors.trending.faust.lifecycle import run_until
from songline.processors.trending.prerequisites import partitions_by_hub
from songline.processors.trending.spans import READER
from songline.processors.trending.state_version import StateVersion
from songline.processors.trending.version_policy import read_policy
from songline.schemas.channels import (
    ATTEMPTS,
    CHARTS,
    DATABASE,
    MUSIC_EVENTS,
    PARKED,
    PLAYS,
    PROJECTIONS,
    TRENDING_BLOBS,
    TRENDING_GROUP,
    TRENDING_SHARDS_CHANGELOG,
)
from songline.schemas.progress_report import ProgressReport
from songline.schemas.projections import LiveVersionDocument, container_of

log = logging.getLogger(__name__)

GC_THRESHOLD = 200_000
"""Batches of thousands of short-lived events make the collector run for nothing at its usual 700."""

REMOVE_S = 10.0
"""How long a worker tries to remove members whose processes are gone. By itself their session ends in half a minute."""

CONNECT_S = 5
"""How long Blob Storage may take to accept a connection."""


def _settings(environ: Mapping[str, str]) -> tuple[CloudSettings, TrendingConfig]:
    """Where the services are, and how the worker is tuned. Raises SettingError, also for where sealed hours are."""
    if names_blobs(environ):
        read_blobs(environ)
    return CloudSettings.read(environ), TrendingConfig.read(environ)


async def work(environ: Mapping[str, str], stop: asyncio.Event) -> None:
    """Write the charts until `stop` is set. Raises SettingError, FoldCrashedError, VersionChangedError once another
    version of what is written is live, and what the app crashed with."""
    settings, config = read_settings(_settings, environ)
    readiness = Readiness()
    trending: TrendingApp | None = None
    watches: list[LiveVersionWatch] = []

    def report() -> ProgressReport:
        if trending is None:
            reasons = tuple(readiness.reasons(READER))
            return ProgressReport(worker=READER, as_of=datetime.now(UTC), reasons=reasons)
        report = trending.report()
        watched = [one for watch in watches for one in watch.reasons(READER)]
        return structs.replace(report, reasons=(*report.reasons, *watched))

    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serve_health(config.port, report, config.host))
        await stack.enter_async_context(watchdog(config.hang_s, CRASHED_IN_FOLD))
        await stack.enter_async_context(free_memory_released())
        database = await stack.enter_async_context(cosmos.opened(settings.cosmos))
        parked, attempts, projections = (
            cosmos.container(database, DATABASE, name) for name in (PARKED, ATTEMPTS, PROJECTIONS)
        )
        # Each question to the hub is tried again soon: the SDK's own pauses would outlast an outage by half a minute.
        hub = eventhubs.consumer(settings.eventhubs, MUSIC_EVENTS, TRENDING_GROUP, retry_total=0)
        await stack.enter_async_context(hub)
        # Asked every few minutes, so its connection may have been closed by the service.
        shards_hub = eventhubs.consumer(settings.eventhubs, TRENDING_SHARDS_CHANGELOG, TRENDING_GROUP, retry_total=1)
        await stack.enter_async_context(shards_hub)
        renaming = await stack.enter_async_context(watch_forgotten(database, HubMetadata(hub)))
        matches = await stack.enter_async_context(watch_matches(database))
        data = environ.get(DATA)
        owners = stack.enter_context(hold_owner_file(Path(data, OWNERS) if data else None, READER, running_machine()))
        partitions: dict[str, int] = {}
        found: list[TrendingServices] = []
        live: dict[str, LiveVersionDocument] = {}
        taken_over: set[TopicPartition] = set()

        async def wait_for_services() -> None:
            partitions.update(await readiness.wait_for(partial(partitions_by_hub, settings.eventhubs)))
            await readiness.wait_for_all(parked.read, attempts.read)
            for name in (CHARTS, PLAYS):
                live[name] = await readiness.wait_for(partial(live_version.read, projections, name))
            charts, plays = (
                cosmos.container(database, DATABASE, container_of(name, one.version)) for name, one in live.items()
            )
            await readiness.wait_for_all(charts.read, plays.read)
            await readiness.wait_for(matches.refresh)
            version = live[CHARTS].version
            services = TrendingServices(
                charts=charts,
                plays=plays,
                parked=parked,
                attempts=attempts,
                hub=hub,
                shards_hub=shards_hub,
                hours=None,
                key=await readiness.wait_for(partial(read_identity_key, attempts)),
                policy=await readiness.wait_for(partial(read_policy, projections, version)),
                renaming=renaming,
                version=StateVersion(version),
                plays_version=live[PLAYS].version,
                matches=lambda: matches.matches,
            )
            found.append(services)
            taken_over.update(await _remove_earlier(settings.eventhubs, services.version.group, owners))

        if not await run_unless(stop, wait_for_services()):
            return
        hours = await stack.enter_async_context(_hours(environ))
        watches += [LiveVersionWatch(projections, one) for one in live.values()]
        services = structs.replace(found[0], hours=hours)
        trending = build_app(settings, config, partitions, services, owners.record)
        readiness.begin()
        try:
            with trending.loading_early(taken_over):
                await _run_live(trending.app, stop, watches)
        finally:
            if (error := trending.isolation.error) is not None:
                raise FoldCrashedError(str(error)) from error


async def _remove_earlier(settings: EventHubsSettings, group: str, owners: OwnerFile) -> frozenset[TopicPartition]:
    """Remove the process that held the file of owners before from the group, if it was killed; return the partitions
    that it had. Where that can't be done, its session ends by itself."""
    if not owners.earlier:
        return frozenset()
    partitions: frozenset[TopicPartition] = frozenset()
    try:
        async with asyncio.timeout(REMOVE_S):
            removed = await remove_members(settings, group, owners.earlier)
    except (KafkaError, OSError) as error:
        log.warning("members of the group, whose processes are gone, stay for their session: %s", last_line(error))
    else:
        partitions = removed.partitions
        if removed.count:
            log.info("%d members of the group, whose processes are gone, are removed", removed.count)
    owners.forget_earlier()
    return partitions


async def _run_live(app: BatchedApp, stop: asyncio.Event, watches: list[LiveVersionWatch]) -> None:
    """Run the app until `stop` is set, or until another version is live. Raises VersionChangedError then, and what the
    app crashed with."""
    ending = asyncio.Event()
    changes: list[LiveVersionDocument] = []

    async def wait_for_stop() -> None:
        await stop.wait()
        ending.set()

    async def wait_for_change(watch: LiveVersionWatch) -> None:
        changes.append(await watch.run())
        ending.set()

    waiting = [asyncio.create_task(one) for one in (wait_for_stop(), *map(wait_for_change, watches))]
    try:
        await run_until(app, ending)
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
    if changes and not stop.is_set():
        raise VersionChangedError(f"version {changes[0].version} of {changes[0].id} is live, which this worker is not")


@asynccontextmanager
async def _hours(environ: Mapping[str, str]) -> AsyncIterator[ContainerClient | None]:
    """The blob container of sealed hours, None where the environment names no Blob Storage."""
    if not names_blobs(environ):
        log.warning("no Blob Storage is set: all hours of seven days stay in the changelog")
        yield None
        return
    # Its callers try again soon: the SDK's first pause is 15 seconds, for which no partition could be flushed.
    async with blobs.client(read_blobs(environ), retry_total=0, connection_timeout=CONNECT_S) as client:
        yield client.get_container_client(TRENDING_BLOBS)


def main() -> None:
    """Run until SIGTERM or SIGINT. Settings come from the environment: see docs/trending.md."""
    gc.set_threshold(GC_THRESHOLD, 10, 10)
    run_worker(READER, partial(work, os.environ))
