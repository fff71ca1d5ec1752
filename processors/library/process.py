"""The library worker as a process: its configuration is read, its services are opened, its parts are put together."""

import os
import uuid
from collections.abc import Callable
from functools import partial

from azure.cosmos.aio import ContainerProxy, CosmosClient

from songline.cloud import cosmos
from songline.processors.library import live_version, shelf_store
from songline.processors.library.actions import READER
from songline.processors.library.config import PREFIX, LibraryConfig
from songline.processors.library.live_version import read_or_create
from songline.processors.library.migration import MigrationParts, migrate
from songline.processors.library.processor import LibraryProcessor, ShelfLayout
from songline.processors.library.shelf_store import ShelfStore
from songline.processors.runtime.hub_metadata import HubMetadata
from songline.processors.runtime.partition_processor import OpenProcessor
from songline.processors.runtime.process import run_worker
from songline.processors.runtime.projection_config import ProjectionEnvironment
from songline.processors.runtime.projection_worker import ProjectionDefinition, run_projection
from songline.schemas.channels import DATABASE, LIBRARY, LIBRARY_GROUP, LIBRARY_SHELVES, PROJECTIONS

FLUSH_S = 1.0
"""An app that likes a song shows the library soon after; a longer time costs less."""


class LibraryParts:
    """What the worker's parts share: the layout of the live version, which is known once `prepare` is done."""

    def __init__(self, config: LibraryConfig) -> None:
        self._config = config
        # One for all tries: another worker's lease would have to be waited for.
        self._worker = uuid.uuid4().hex
        self._layout: ShelfLayout | None = None

    async def prepare(self, account: CosmosClient, hub: HubMetadata, say: Callable[[str], None]) -> None:
        """Read the live version; or make the first one, of what the former version stored. `say` is called with what
        is done at the moment. Raises AzureError and EventHubError."""
        former, shelves, projections = (
            cosmos.container(account, DATABASE, name) for name in (LIBRARY, LIBRARY_SHELVES, PROJECTIONS)
        )
        parts = MigrationParts(
            former=former,
            shelves=shelves,
            store=ShelfStore(shelves, self._config.room),
            projections=projections,
            worker=self._worker,
            say=say,
        )
        live = await read_or_create(projections, len((await hub.describe()).partitions), partial(migrate, parts))
        self._layout = ShelfLayout(live.version, live.shelves)

    def open_with(self, container: ContainerProxy) -> OpenProcessor:
        """What opens the processors of partitions, over the container of shelves."""
        store = ShelfStore(container, self._config.room)
        return LibraryProcessor(store, self.layout, self._config.writes, self._config.buffer).open

    def layout(self) -> ShelfLayout:
        """The layout of the live version."""
        assert self._layout is not None, "partitions are opened after prepare"
        return self._layout


def projection(config: LibraryConfig) -> ProjectionDefinition:
    """The projection of `music-events` into the container `library-shelves`."""
    parts = LibraryParts(config)
    return ProjectionDefinition(
        name=READER,
        group=LIBRARY_GROUP,
        container=LIBRARY_SHELVES,
        key="shelf",
        open_with=parts.open_with,
        former=LIBRARY,
        added=(shelf_store.CONTAINER, live_version.CONTAINER),
        prepare=parts.prepare,
    )


def main() -> None:
    """Run until SIGTERM or SIGINT. Settings come from the environment: see docs/library.md."""
    environ = os.environ
    run_worker(
        "library",
        lambda stop: run_projection(
            projection(LibraryConfig.read(environ)), ProjectionEnvironment.read(environ, PREFIX, FLUSH_S), stop
        ),
    )
