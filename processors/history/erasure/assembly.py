"""Puts erasure together: its places, its steps in their order, and the eraser."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial

from azure.cosmos.aio import CosmosClient, DatabaseProxy
from azure.eventhub.aio import EventHubProducerClient
from azure.servicebus.aio import ServiceBusClient
from azure.storage.blob.aio import BlobServiceClient
from msgspec import Struct

from songline.cloud import kafka
from songline.cloud.settings import EventHubsSettings
from songline.processors.catalog.compacted_topic_writer import CompactedTopicWriter
from songline.processors.catalog.song_store import SongStore
from songline.processors.history.erasure.capture_progress import CaptureProgress
from songline.processors.history.erasure.config import ErasureConfig
from songline.processors.history.erasure.eraser import Eraser
from songline.processors.history.erasure.erasure_store import ErasureStore
from songline.processors.history.erasure.hub_bounds import HubBounds, read_ends
from songline.processors.history.erasure.job import (
    ErasureJob,
    ErasureStepRunner,
    HoldingPlace,
    NotYetError,
    StepResult,
    count_held,
)
from songline.processors.history.erasure.places.archive_index import ArchiveIndexBlobs
from songline.processors.history.erasure.places.captured_files import Captured, CapturedFiles
from songline.processors.history.erasure.places.erasure_requests import ErasureRequests
from songline.processors.history.erasure.places.hub_tail_events import HubTailEvents
from songline.processors.history.erasure.places.library_shelves import LibraryShelves
from songline.processors.history.erasure.places.listener_imports import ListenerImports
from songline.processors.history.erasure.places.now_playing_events import NowPlayingEvents
from songline.processors.history.erasure.places.player_tokens import PlayerTokens
from songline.processors.history.erasure.places.song_documents import SongDocuments
from songline.processors.history.erasure.places.stored_documents import StoredDocuments
from songline.processors.history.erasure.places.undelivered_events import UndeliveredEvents
from songline.processors.history.erasure.places.uploads import Uploads
from songline.processors.history.erasure.places.versions import VersionContainers
from songline.processors.ingestion.audio_store import AudioStore
from songline.processors.ingestion.command_runner import CommandRunner
from songline.processors.ingestion.ingestion_store import IngestionStore
from songline.schemas.channels import (
    ARCHIVE_INDEX_BLOBS,
    CHARTS,
    DATABASE,
    ERASURES,
    IMPORTS,
    INGESTIONS,
    PLAYER_TOKENS,
    PLAYS,
    UNDELIVERED_BLOBS,
)
from songline.schemas.erasures import Erasure, joined


class ErasureServices(Struct, frozen=True):
    """The open clients that erasure needs. `environ` names the archive, whose blob container is `archive`; `behind`
    says how far Capture is. `now` returns aware times. Without a `runner`, all can be read and nothing carried out.
    """

    account: CosmosClient
    blobs: BlobServiceClient
    bus: ServiceBusClient
    eventhubs: EventHubsSettings
    environ: Mapping[str, str]
    archive: str
    behind: Captured
    audio: AudioStore
    now: Callable[[], datetime]
    runner: CommandRunner | None = None


class ErasureParts:
    """The places that hold something of a listener, and the steps by which it is erased there."""

    def __init__(self, services: ErasureServices) -> None:
        database: DatabaseProxy = services.account.get_database_client(DATABASE)
        ingestions = database.get_container_client(INGESTIONS)
        self._libraries = LibraryShelves(database)
        self._catalog = SongDocuments(database, partial(_open_topic, services.eventhubs))
        self._imports = ListenerImports(database.get_container_client(IMPORTS), services.audio)
        self._uploads = Uploads(
            ingestions,
            IngestionStore(ingestions),
            services.bus,
            services.audio,
            self._imports,
            services.runner,
            self._catalog,
            services.now,
        )
        self._tokens = PlayerTokens(database.get_container_client(PLAYER_TOKENS))
        self._records = StoredDocuments(database)
        self._replayed = (VersionContainers(database, CHARTS, "chart"), VersionContainers(database, PLAYS, "songId"))
        self._undelivered = UndeliveredEvents(services.blobs.get_container_client(UNDELIVERED_BLOBS))
        self._archive = CapturedFiles(
            services.blobs.get_container_client(services.archive),
            services.behind,
            CaptureProgress(services.environ).partition_of,
        )
        self._index = ArchiveIndexBlobs(services.blobs.get_container_client(ARCHIVE_INDEX_BLOBS))
        self._tail = HubTailEvents(services.environ)
        self._playing = NowPlayingEvents(services.eventhubs)
        self.store = ErasureStore(database.get_container_client(ERASURES))
        self._requests = ErasureRequests(self.store)

    @property
    def places(self) -> tuple[HoldingPlace, ...]:
        """All places that can be asked what they hold. The hub comes before the archive: what Capture writes while both
        are read is then in one of them at least."""
        return (*self._stores, self._requests, self._playing, self._tail, self._archive)

    @property
    def _stores(self) -> tuple[HoldingPlace, ...]:
        documents = (self._libraries, self._catalog, self._uploads, self._imports, self._tokens, self._records)
        return (*documents, self._undelivered)

    def steps(
        self, producer: EventHubProducerClient, retention: timedelta, patience_s: float = 10.0
    ) -> tuple[ErasureStepRunner, ...]:
        """The steps in their order; `producer` is one of `music-events`.

        Songs are removed first, since that is told to the hub: then the end of the hub is up to where the listener is
        forgotten. Libraries and catalog come before the archive, which may have to wait for Capture, and once more
        after it: a rebuild may have read of the archive what it was before.
        """
        return (
            _NamedStep("found", self._found),
            # From here on players report nothing more.
            self._tokens,
            _NamedStep("songs", self._uploads.withdraw),
            HubBounds(producer, retention, self._uploads, self._replayed, patience_s),
            self._libraries,
            self._catalog,
            self._uploads,
            self._imports,
            self._records,
            self._undelivered,
            self._archive,
            self._index,
            _NamedStep("again", self._again),
        )

    async def _found(self, job: ErasureJob) -> StepResult:
        """Count what is there before anything is erased: a step that a crash repeats finds less."""
        return StepResult(await count_held(self._stores, job.user_id))

    async def _again(self, job: ErasureJob) -> StepResult:
        for rebuilt in (self._libraries, self._catalog):
            if why := await rebuilt.being_built(job):
                raise NotYetError(why)
        places = (self._libraries, self._catalog, self._records, self._undelivered, self._index)
        results = [await place.run(job) for place in places]
        return StepResult(joined(result.counts for result in results))

    async def end(self, erasure: Erasure) -> None:
        """Erase what came after the erasure was done, as long as it has the key to know it by."""
        await self._undelivered.end(erasure)


def eraser(services: ErasureServices, producer: EventHubProducerClient, config: ErasureConfig, worker: str) -> Eraser:
    """The eraser of a worker of this name; `producer` is one of `music-events`."""
    parts = ErasureParts(services)
    steps = parts.steps(producer, config.retention)
    return Eraser(parts.store, steps, lambda: read_ends(producer), parts.end, worker, services.now, config.look)


class _NamedStep:
    def __init__(self, name: str, run: Callable[[ErasureJob], Awaitable[StepResult]]) -> None:
        self.name = name
        self._run = run

    async def run(self, job: ErasureJob) -> StepResult:
        return await self._run(job)


@asynccontextmanager
async def _open_topic(settings: EventHubsSettings, songs: SongStore) -> AsyncIterator[CompactedTopicWriter]:
    async with kafka.running(kafka.producer(settings)) as producer:
        yield CompactedTopicWriter(producer, songs)
