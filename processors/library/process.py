"""The library worker as a process: its configuration is read, its services are opened, its parts are put together."""

import os
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from azure.cosmos.aio import ContainerProxy, CosmosClient

from songline.cloud import cosmos
from songline.cloud.wrong_settings import read_settings
from songline.processors.history.erasure.forgotten_watch import watch_forgotten
from songline.processors.library import shelf_store
from songline.processors.library.actions import READER
from songline.processors.library.config import PREFIX, LibraryConfig
from songline.processors.library.migration import MigrationParts, migrate
from songline.processors.library.processor import SHELVES_PER_PARTITION, LibraryProcessor, ShelfLayout
from songline.processors.library.shelf_store import ShelfStore
from songline.processors.runtime import live_version
from songline.processors.runtime.hub_metadata import HubMetadata
from songline.processors.runtime.match_watch import watch_matches
from songline.processors.runtime.partition_processor import OpenProcessor
from songline.processors.runtime.process import run_worker
from songline.processors.runtime.projection_config import ProjectionEnvironment
from songline.processors.runtime.projection_worker import ProjectionDefinition, run_projection
from songline.processors.runtime.record_renaming import ChainedRenaming, RecordRenaming
from songline.schemas.channels import DATABASE, LIBRARY, LIBRARY_GROUP, LIBRARY_SHELVES, PROJECTIONS
from songline.schemas.projections import FIRST_VERSION, LiveVersionDocument

FLUSH_S = 1.0
"""An app that likes a song shows the library soon after; a longer time costs less."""

BEHIND_FLUSH_S = 3.0
"""Fuller flushes cost less CPU an action, and a longer time would hide how far a backlog is."""


class LibraryParts:
    """What makes the worker's parts with `config`."""

    def __init__(self, config: LibraryConfig) -> None:
        self._config = config
        # One for all tries: another worker's lease would have to be waited for.
        self._worker = uuid.uuid4().hex

    async def make_first(
        self, account: CosmosClient, hub: HubMetadata, say: Callable[[str], None]
    ) -> LiveVersionDocument:
        """Make the first version live, once all that the former version stored is in it; return the live one. `say` is
        called with what is done at the moment. Raises AzureError, EventHubError and DamagedVersionError."""
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
        shelves_in_all = SHELVES_PER_PARTITION * len((await hub.describe()).partitions)
        first = LiveVersionDocument(id=LIBRARY, version=FIRST_VERSION, shelves=shelves_in_all)
        return await live_version.create(projections, await migrate(parts, first))

    def open_with(self, container: ContainerProxy, live: LiveVersionDocument) -> OpenProcessor:
        """What opens the processors of partitions, over the live version's container of shelves."""
        store, layout = ShelfStore(container, self._config.room), ShelfLayout(live.version, live.shelves)
        return LibraryProcessor(store, layout, self._config.writes, self._config.buffer).open


@asynccontextmanager
async def watch_renamed(account: CosmosClient, hub: HubMetadata) -> AsyncIterator[RecordRenaming]:
    """Forgotten listeners, and names of songs: both are kept up to date while the context lasts."""
    async with watch_forgotten(account, hub) as forgotten, watch_matches(account) as matches:
        yield ChainedRenaming(forgotten, matches)


def projection(config: LibraryConfig) -> ProjectionDefinition:
    """The projection of `music-events` into the live version's container of shelves."""
    parts = LibraryParts(config)
    return ProjectionDefinition(
        name=READER,
        group=LIBRARY_GROUP,
        projection=LIBRARY,
        key="shelf",
        open_with=parts.open_with,
        former=LIBRARY,
        added=(shelf_store.CONTAINER,),
        make_first=parts.make_first,
        behind_flush_s=BEHIND_FLUSH_S,
        watch_renamed=watch_renamed,
    )


def main() -> None:
    """Run until SIGTERM or SIGINT. Settings come from the environment: see docs/library.md."""

    def read(environ: Mapping[str, str]) -> tuple[ProjectionDefinition, ProjectionEnvironment]:
        return projection(LibraryConfig.read(environ)), ProjectionEnvironment.read(environ, PREFIX, FLUSH_S)

    run_worker("library", lambda stop: run_projection(*read_settings(read, os.environ), stop))
