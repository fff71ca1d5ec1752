"""The catalog worker as a process: its configuration is read, its services are opened, its parts are put together."""

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

from azure.cosmos.aio import ContainerProxy

from songline.cloud import cosmos, kafka
from songline.cloud.wrong_settings import read_settings
from songline.processors.catalog.compacted_topic_writer import CompactedTopicWriter
from songline.processors.catalog.fold import READER
from songline.processors.catalog.match_store import MatchStore
from songline.processors.catalog.processor import CatalogPartitionProcessor
from songline.processors.catalog.refolding import refold
from songline.processors.catalog.song_store import SongStore
from songline.processors.history.erasure.forgotten_watch import watch_forgotten
from songline.processors.runtime.hub_reader import CLOSING_S, FAR_BEHIND
from songline.processors.runtime.hub_record import HubRecord
from songline.processors.runtime.partition_processor import OpenProcessor
from songline.processors.runtime.process import run_worker
from songline.processors.runtime.projection_config import ProjectionEnvironment
from songline.processors.runtime.projection_worker import ProjectionDefinition, run_projection
from songline.schemas.channels import CATALOG, CATALOG_GROUP, DATABASE, NAMES, SONGS
from songline.schemas.projections import LiveVersionDocument

PREFIX = "SONGLINE_CATALOG_"
FLUSH_S = 1.0
"""Songs are written as they come; a flush writes the watermark only, except far behind."""

BEHIND_FLUSH_S = 3.0
"""Far behind, where nobody waits for a song's last fact, songs are held for so long, and each is written once then."""


async def work(
    environ: Mapping[str, str],
    stop: asyncio.Event,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> None:
    """Write and publish songs until `stop`. `now` says whether what is read is far behind. Raises SettingError."""
    environment = read_settings(lambda read: ProjectionEnvironment.read(read, PREFIX, FLUSH_S), environ)
    producer = kafka.producer(environment.cloud.eventhubs)

    refolding: list[asyncio.Task[int]] = []

    names = cosmos.client(environment.cloud.cosmos)
    matches = MatchStore(cosmos.container(names, DATABASE, NAMES), time.time)

    def is_behind(record: HubRecord) -> bool:
        return record.enqueued_at is not None and now() - record.enqueued_at > FAR_BEHIND

    def open_with(container: ContainerProxy, live: LiveVersionDocument) -> OpenProcessor:
        songs = SongStore(container)
        refolding.append(asyncio.create_task(refold(container, songs)))
        topic = CompactedTopicWriter(producer, songs)
        return lambda partition, retries: CatalogPartitionProcessor(
            partition, songs, topic.publish, retries, matches, is_behind
        )

    needs = (producer.start, partial(producer.partitions_for, CATALOG))
    try:
        definition = ProjectionDefinition(
            READER,
            CATALOG_GROUP,
            SONGS,
            "id",
            open_with,
            needs,
            behind_flush_s=BEHIND_FLUSH_S,
            watch_renamed=watch_forgotten,
        )
        await run_projection(definition, environment, stop)
    finally:
        for task in refolding:
            task.cancel()
        await names.close()
        # The partition's next reader publishes what could not be published by then.
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSING_S):
                await producer.stop()


def main() -> None:
    """Run until SIGTERM or SIGINT. Settings come from the environment: see docs/catalog.md."""
    run_worker("catalog", partial(work, os.environ))
