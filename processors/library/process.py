"""The library worker as a process: its configuration is read, its services are opened, its parts are put together."""

import os

from azure.cosmos.aio import ContainerProxy

from songline.processors.library.actions import READER
from songline.processors.library.config import PREFIX, LibraryConfig
from songline.processors.library.library_store import LibraryStore
from songline.processors.library.processor import LibraryProcessor
from songline.processors.runtime.partition_processor import OpenProcessor
from songline.processors.runtime.process import run_worker
from songline.processors.runtime.projection_config import ProjectionEnvironment
from songline.processors.runtime.projection_worker import ProjectionDefinition, run_projection
from songline.schemas.channels import LIBRARY, LIBRARY_GROUP

FLUSH_S = 0.5
"""Short, since an app that likes a song shows the library soon after."""


def projection(config: LibraryConfig) -> ProjectionDefinition:
    """The projection of `music-events` into the container `library`."""

    def open_with(container: ContainerProxy) -> OpenProcessor:
        return LibraryProcessor(LibraryStore(container, config.room), config.writes, config.buffer).open

    return ProjectionDefinition(READER, LIBRARY_GROUP, LIBRARY, "userId", open_with)


def main() -> None:
    """Run until SIGTERM or SIGINT. Settings come from the environment: see docs/library.md."""
    environ = os.environ
    run_worker(
        "library",
        lambda stop: run_projection(
            projection(LibraryConfig.read(environ)), ProjectionEnvironment.read(environ, PREFIX, FLUSH_S), stop
        ),
    )
