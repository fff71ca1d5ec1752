"""`python -m processors.catalog`: the catalog worker."""

import os
from collections.abc import Callable

from azure.cosmos.aio import ContainerProxy

from cloud.settings import Settings, read_blobs
from processors.catalog.documents import Songs
from processors.catalog.part import CatalogPart
from processors.consuming import Part
from processors.pace import Pace
from processors.patience import Patience
from processors.projecting import Projection, project
from processors.running import run
from schemas.channels import CATALOG_GROUP, SONGS

PREFIX = "SONGLINE_CATALOG_"


def opens(container: ContainerProxy) -> Callable[[str, Patience], Part]:
    """What makes a Part of a partition's name."""
    songs = Songs(container)
    return lambda partition, patience: CatalogPart(partition, songs, patience)


def main() -> None:
    """Run until SIGTERM or SIGINT. Settings come from the environment: see docs/catalog.md."""
    environ = os.environ
    projection = Projection(CATALOG_GROUP, SONGS, "id", opens)
    run(
        "catalog",
        lambda stop: project(projection, Settings.read(environ), read_blobs(environ), Pace.read(environ, PREFIX), stop),
    )


if __name__ == "__main__":
    main()
