"""The process of the ingestion worker: reads the settings, opens the clients and connects the parts."""

import asyncio
import os
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial

from msgspec import Struct

from songline.cloud import blobs, cosmos, eventhubs, servicebus
from songline.cloud.clock import measure_skew_s
from songline.cloud.settings import (
    BlobSettings,
    CosmosSettings,
    EventHubsSettings,
    ServiceBusSettings,
    read_blobs,
    read_cosmos,
    read_eventhubs,
    read_servicebus,
)
from songline.cloud.wrong_settings import read_settings
from songline.processors.history.erasure.assembly import ErasureServices, eraser
from songline.processors.history.erasure.capture_progress import CaptureProgress
from songline.processors.history.erasure.config import ErasureConfig
from songline.processors.imports.import_runner import ImportRunner
from songline.processors.imports.import_store import ImportStore
from songline.processors.imports.import_turn import ImportTurns
from songline.processors.imports.listen_sender import ListenSender
from songline.processors.imports.postponing import CommandPostponer
from songline.processors.imports.song_resolution import SongResolution
from songline.processors.imports.staged_history import StagedHistories
from songline.processors.ingestion.audio.sandbox import Sandbox
from songline.processors.ingestion.audio_store import AudioStore
from songline.processors.ingestion.catalog_reader import CatalogReader
from songline.processors.ingestion.clock_skew import ClockSkew
from songline.processors.ingestion.command_receiver import ReceiverConfig
from songline.processors.ingestion.command_runner import CommandRunner
from songline.processors.ingestion.config import IngestionConfig
from songline.processors.ingestion.event_sender import EventSender
from songline.processors.ingestion.ingestion_store import IngestionStore
from songline.processors.ingestion.reconciler import Reconciler, ReconcilerConfig
from songline.processors.ingestion.worker import NAME, RETRIES, IngestionWorker
from songline.processors.runtime.health import serve_health
from songline.processors.runtime.process import run_unless, run_worker
from songline.processors.runtime.readiness import Readiness
from songline.processors.runtime.scratch_folder import check_temporary_folder, keep_sockets_in, scratch_folder
from songline.schemas.channels import DATABASE, IMPORTS, INGESTIONS, MUSIC_EVENTS, SONG_BLOBS, UPLOAD_BLOBS
from songline.schemas.progress_report import ProgressReport

SCRATCH = "songline-ingestion-"


class IngestionSettings(Struct, frozen=True):
    """The settings of every service that ingestion needs."""

    servicebus: ServiceBusSettings
    eventhubs: EventHubsSettings
    cosmos: CosmosSettings
    blobs: BlobSettings
    erasure: ErasureConfig
    archive: CaptureProgress

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "IngestionSettings":
        """The settings in `environ`; raises SettingError."""
        check_temporary_folder(environ)
        return cls(
            read_servicebus(environ),
            read_eventhubs(environ),
            read_cosmos(environ),
            read_blobs(environ),
            ErasureConfig.read(environ),
            CaptureProgress(environ),
        )


async def work(
    settings: IngestionSettings,
    config: IngestionConfig,
    reconciling: ReconcilerConfig,
    stop: asyncio.Event,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> None:
    """Run the worker and the reconciler until `stop`. `now` returns this machine's time of day."""
    readiness = Readiness()
    worker: IngestionWorker | None = None

    def report() -> ProgressReport:
        if worker is None:
            return ProgressReport(worker=NAME, as_of=now(), reasons=tuple(readiness.reasons(NAME)))
        return worker.report(readiness.reasons(NAME))

    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serve_health(config.port, report, config.host))
        bus = await stack.enter_async_context(servicebus.client(settings.servicebus, retry_total=RETRIES))
        producer = await stack.enter_async_context(eventhubs.producer(settings.eventhubs, MUSIC_EVENTS))
        store = await stack.enter_async_context(cosmos.opened(settings.cosmos))
        container = cosmos.container(store, DATABASE, INGESTIONS)
        blob_client = await stack.enter_async_context(blobs.client(settings.blobs))
        folder = stack.enter_context(scratch_folder(SCRATCH))
        keep_sockets_in(folder)
        ingestions = IngestionStore(container)
        audio = AudioStore(blob_client, lambda blob: blobs.copy_source(settings.blobs, blob, now()))
        catalog = CatalogReader(partial(cosmos.container, store, DATABASE))
        imports = ImportRunner(
            ImportStore(cosmos.container(store, DATABASE, IMPORTS)),
            ImportTurns(cosmos.container(store, DATABASE, IMPORTS), now, lambda: uuid.uuid4().hex),
            CommandPostponer(bus, now),
            StagedHistories(blob_client),
            ListenSender(producer),
            lambda: SongResolution(partial(cosmos.container, store, DATABASE)),
            folder,
            now,
        )
        runner = CommandRunner(ingestions, catalog, audio, EventSender(producer), Sandbox(), folder, now, imports)
        clock = ClockSkew(lambda: measure_skew_s(settings.cosmos, now), now, time.monotonic)
        worker = IngestionWorker(bus, runner, ReceiverConfig(lanes=config.lanes, stall=config.stall), clock, now)
        reconciler = Reconciler(bus, ingestions, audio, runner, now, reconciling, worker.may_take)
        services = ErasureServices(
            account=store,
            blobs=blob_client,
            bus=bus,
            eventhubs=settings.eventhubs,
            environ=settings.archive.environ,
            archive=settings.archive.container,
            behind=settings.archive.behind,
            audio=audio,
            now=now,
            runner=runner,
        )
        erasing = eraser(services, producer, settings.erasure, uuid.uuid4().hex)

        arrival = readiness.wait_for_all(
            container.read,
            *(blob_client.get_container_client(name).get_container_properties for name in (SONG_BLOBS, UPLOAD_BLOBS)),
            producer.get_eventhub_properties,
        )
        if await run_unless(stop, arrival):
            readiness.begin()
            async with asyncio.TaskGroup() as group:
                group.create_task(worker.run(stop))
                group.create_task(reconciler.run(stop))
                group.create_task(erasing.run(stop))


def main() -> None:
    """Run until SIGTERM or SIGINT. Settings come from the environment: see docs/ingestion.md."""

    def read(environ: Mapping[str, str]) -> tuple[IngestionSettings, IngestionConfig]:
        return IngestionSettings.read(environ), IngestionConfig.read(environ)

    run_worker("ingestion", lambda stop: work(*read_settings(read, os.environ), ReconcilerConfig(), stop))
