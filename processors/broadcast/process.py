"""The broadcaster as a process: its settings are read, its services are opened, its parts are put together."""

import asyncio
import os
from collections.abc import Mapping
from functools import partial

from azure.cosmos.aio import ContainerProxy

from songline.cloud import eventgrid
from songline.cloud.settings import read_eventgrid
from songline.cloud.wrong_settings import read_settings
from songline.processors.broadcast.announcements import READER
from songline.processors.broadcast.processor import BroadcastPartitionProcessor
from songline.processors.history.erasure.forgotten_watch import watch_forgotten
from songline.processors.runtime.partition_processor import OpenProcessor
from songline.processors.runtime.process import run_worker
from songline.processors.runtime.projection_config import ProjectionEnvironment
from songline.processors.runtime.projection_worker import ProjectionDefinition, run_projection
from songline.schemas.channels import BROADCAST, BROADCAST_GROUP
from songline.schemas.projections import LiveVersionDocument

PREFIX = "SONGLINE_BROADCAST_"
FLUSH_S = 1.0
"""Songs are told as they come; a flush writes the position only."""


async def work(environ: Mapping[str, str], stop: asyncio.Event) -> None:
    """Tell songs to the topic until `stop`. Raises SettingError."""
    environment, topic_settings = read_settings(
        lambda read: (ProjectionEnvironment.read(read, PREFIX, FLUSH_S), read_eventgrid(read)), environ
    )
    async with eventgrid.publisher(topic_settings) as topic:

        def open_with(container: ContainerProxy, live: LiveVersionDocument) -> OpenProcessor:
            return lambda partition, retries: BroadcastPartitionProcessor(topic.send, retries)

        definition = ProjectionDefinition(
            READER, BROADCAST_GROUP, BROADCAST, "id", open_with, watch_renamed=watch_forgotten
        )
        await run_projection(definition, environment, stop)


def main() -> None:
    """Run until SIGTERM or SIGINT. Settings come from the environment: see docs/broadcast.md."""
    run_worker("broadcast", partial(work, os.environ))
