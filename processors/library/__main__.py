"""`python -m processors.library`: the library worker."""

import os

from azure.cosmos.aio import ContainerProxy

from cloud.settings import Settings, read_blobs
from processors.library.acts import READER
from processors.library.dials import PREFIX, Dials
from processors.library.documents import Libraries
from processors.library.part import Desk
from processors.pace import Pace
from processors.projecting import Projection, project
from processors.running import run
from processors.runtime.partition_processor import OpenProcessor
from schemas.channels import LIBRARY, LIBRARY_GROUP

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
            Settings.read(environ),
            read_blobs(environ),
            Pace.read(environ, PREFIX, FLUSH),
            stop,
        ),
    )


if __name__ == "__main__":
    main()
