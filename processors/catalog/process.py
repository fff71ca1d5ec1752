"""The catalog worker as a process: its settings read, its services opened, its parts put together."""

import asyncio
import os
from collections.abc import Mapping
from contextlib import suppress
from functools import partial

from azure.cosmos.aio import ContainerProxy

from songline.cloud import kafka
from songline.cloud.settings import CloudSettings, read_blobs
from songline.processors.catalog.compacted_topic_writer import Table
from songline.processors.catalog.fold import READER
from songline.processors.catalog.processor import CatalogPart
from songline.processors.catalog.song_store import Songs
from songline.processors.runtime.hub_reader import PARTING
from songline.processors.runtime.partition_processor import OpenProcessor
from songline.processors.runtime.process import run
from songline.processors.runtime.projection_config import Pace
from songline.processors.runtime.projection_worker import Projection, project
from songline.schemas.channels import CATALOG, CATALOG_GROUP, SONGS

PREFIX = "SONGLINE_CATALOG_"
FLUSH = 1.0
"""Seconds. Songs are written as they come: this is for telling how far that is."""


async def work(environ: Mapping[str, str], stop: asyncio.Event) -> None:
    """Keep the songs, and tell them, until `stop`. Raises SettingError."""
    settings, storage, pace = CloudSettings.read(environ), read_blobs(environ), Pace.read(environ, PREFIX, FLUSH)
    producer = kafka.producer(settings.eventhubs)

    def opens(container: ContainerProxy) -> OpenProcessor:
        songs = Songs(container)
        table = Table(producer, songs)
        return lambda partition, patience: CatalogPart(partition, songs, table, patience)

    needs = (producer.start, partial(producer.partitions_for, CATALOG))
    try:
        await project(Projection(READER, CATALOG_GROUP, SONGS, "id", opens, needs), settings, storage, pace, stop)
    finally:
        # What could not be told by then is told by the partition's next reader.
        with suppress(TimeoutError):
            async with asyncio.timeout(PARTING):
                await producer.stop()


def main() -> None:
    """Run until SIGTERM or SIGINT. Settings come from the environment: see docs/catalog.md."""
    run("catalog", partial(work, os.environ))
