"""The library worker as a process: its settings read, its services opened, its parts put together."""

import os

from azure.cosmos.aio import ContainerProxy

from songline.cloud.settings import CloudSettings, read_blobs
from songline.processors.library.actions import READER
from songline.processors.library.config import PREFIX, LibraryConfig
from songline.processors.library.library_store import LibraryStore
from songline.processors.library.processor import LibraryProcessor
from songline.processors.runtime.partition_processor import OpenProcessor
from songline.processors.runtime.process import run_worker
from songline.processors.runtime.projection_config import ProjectionConfig
from songline.processors.runtime.projection_worker import ProjectionDefinition, run_projection
from songline.schemas.channels import LIBRARY, LIBRARY_GROUP

FLUSH = 0.5
"""Seconds. Whoever likes a song looks whether it is there."""


def projection(dials: LibraryConfig) -> ProjectionDefinition:
    """Of every listener's library."""

    def opens(container: ContainerProxy) -> OpenProcessor:
        return LibraryProcessor(LibraryStore(container, dials.room), dials.writes, dials.buffer).open

    return ProjectionDefinition(READER, LIBRARY_GROUP, LIBRARY, "userId", opens)


def main() -> None:
    """Run until SIGTERM or SIGINT. Settings come from the environment: see docs/library.md."""
    environ = os.environ
    run_worker(
        "library",
        lambda stop: run_projection(
            projection(LibraryConfig.read(environ)),
            CloudSettings.read(environ),
            read_blobs(environ),
            ProjectionConfig.read(environ, PREFIX, FLUSH),
            stop,
        ),
    )
