"""The catalog worker as a process: its settings read, its services opened, its parts put together."""

import asyncio
import os
from collections.abc import Mapping
from contextlib import suppress
from functools import partial

from azure.cosmos.aio import ContainerProxy

from songline.cloud import kafka
from songline.cloud.settings import CloudSettings, read_blobs
from songline.processors.catalog.compacted_topic_writer import CompactedTopicWriter
from songline.processors.catalog.fold import READER
from songline.processors.catalog.processor import CatalogPartitionProcessor
from songline.processors.catalog.song_store import SongStore
from songline.processors.runtime.hub_reader import CLOSING_S
from songline.processors.runtime.partition_processor import OpenProcessor
from songline.processors.runtime.process import run_worker
from songline.processors.runtime.projection_config import ProjectionConfig
from songline.processors.runtime.projection_worker import ProjectionDefinition, run_projection
from songline.schemas.channels import CATALOG, CATALOG_GROUP, SONGS

PREFIX = "SONGLINE_CATALOG_"
FLUSH = 1.0
"""Seconds. Songs are written as they come: this is for telling how far that is."""


async def work(environ: Mapping[str, str], stop: asyncio.Event) -> None:
    """Keep the songs, and tell them, until `stop`. Raises SettingError."""
    settings, storage, pace = (
        CloudSettings.read(environ),
        read_blobs(environ),
        ProjectionConfig.read(environ, PREFIX, FLUSH),
    )
    producer = kafka.producer(settings.eventhubs)

    def opens(container: ContainerProxy) -> OpenProcessor:
        songs = SongStore(container)
        table = CompactedTopicWriter(producer, songs)
        return lambda partition, patience: CatalogPartitionProcessor(partition, songs, table, patience)

    needs = (producer.start, partial(producer.partitions_for, CATALOG))
    try:
        await run_projection(
            ProjectionDefinition(READER, CATALOG_GROUP, SONGS, "id", opens, needs), settings, storage, pace, stop
        )
    finally:
        # What could not be told by then is told by the partition's next reader.
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSING_S):
                await producer.stop()


def main() -> None:
    """Run until SIGTERM or SIGINT. Settings come from the environment: see docs/catalog.md."""
    run_worker("catalog", partial(work, os.environ))
