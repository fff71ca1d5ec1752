"""`python -m songline.processors.library`: the library worker."""

import os

from azure.cosmos.aio import ContainerProxy

from songline.cloud.settings import Settings, read_blobs
from songline.processors.library.acts import READER
from songline.processors.library.dials import PREFIX, Dials
from songline.processors.library.documents import Libraries
from songline.processors.library.part import Desk
from songline.processors.pace import Pace
from songline.processors.projecting import Projection, project
from songline.processors.running import run
from songline.processors.runtime.partition_processor import OpenProcessor
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
            Settings.read(environ),
            read_blobs(environ),
            Pace.read(environ, PREFIX, FLUSH),
            stop,
        ),
    )


if __name__ == "__main__":
    main()
