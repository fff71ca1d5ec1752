"""The library worker as a process: its settings read, its services opened, its parts put together."""

import os

from azure.cosmos.aio import ContainerProxy

from songline.cloud.settings import CloudSettings, read_blobs
from songline.processors.library.actions import READER
from songline.processors.library.config import PREFIX, Dials
from songline.processors.library.library_store import Libraries
from songline.processors.library.processor import Desk
from songline.processors.runtime.partition_processor import OpenProcessor
from songline.processors.runtime.process import run
from songline.processors.runtime.projection_config import Pace
from songline.processors.runtime.projection_worker import Projection, project
from songline.schemas.channels import LIBRARY, LIBRARY_GROUP

FLUSH = 0.5
"""Seconds. Whoever likes a song looks whether it is there."""


def projection(dials: Dials) -> Projection:
    """Of every listener's library."""

    def opens(container: ContainerProxy) -> OpenProcessor:
        return Desk(Libraries(container, dials.room), dials.writes, dials.buffer).open

    return Projection(READER, LIBRARY_GROUP, LIBRARY, "userId", opens)


def main() -> None:
    """Run until SIGTERM or SIGINT. Settings come from the environment: see docs/library.md."""
    environ = os.environ
    run(
        "library",
        lambda stop: project(
            projection(Dials.read(environ)),
            CloudSettings.read(environ),
            read_blobs(environ),
            Pace.read(environ, PREFIX, FLUSH),
            stop,
        ),
    )
