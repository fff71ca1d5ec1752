"""The library worker as a process of its own, what it is told, and the libraries that it writes."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from songline.audit.library_reference import Shelf
from songline.schemas.channels import LIBRARY_SHELVES
from songline.schemas.decoding import convert
from songline.schemas.library.node import NodeDocument, RootDocument, TreeDocument
from songline.schemas.library.shelf import ROOT
from songline.schemas.progress import PROGRESS
from tests.support.localcloud import LocalCloud
from tests.support.process import WorkerProcess
from tests.support.projection import Projection, told
from tests.support.stored_libraries import stored

# Quick for tests: a killed worker is missed soon.
DIALS = {
    "SONGLINE_LIBRARY_FLUSH": "0.2",
    "SONGLINE_LIBRARY_LOOK": "0.5",
    "SONGLINE_LIBRARY_BALANCE": "0.5",
    "SONGLINE_LIBRARY_EXPIRE": "3",
}


class LibraryWorker(WorkerProcess):
    """`python -m songline.processors.library` on a localcloud; what it says goes to `log`."""

    def __init__(self, cloud: LocalCloud, log: Path, dials: Mapping[str, str] = DIALS) -> None:
        super().__init__("songline.processors.library", {**cloud.environment, **dials}, log)


class Libraries(Projection):
    """The libraries."""

    async def all(self) -> dict[str, Shelf]:
        return stored(await self.nodes())

    async def nodes(self) -> list[TreeDocument]:
        """The documents of all shelves."""
        query = self.container.query_items("SELECT * FROM c WHERE c.id != @id", parameters=_ID, max_item_count=1000)
        return [_node(item) async for item in query]


def _node(item: Mapping[str, object]) -> TreeDocument:
    return convert(dict(item), RootDocument) if item["id"] == ROOT else convert(dict(item), NodeDocument)


_ID: list[dict[str, object]] = [{"name": "@id", "value": PROGRESS}]


@asynccontextmanager
async def libraries_on(cloud: LocalCloud) -> AsyncIterator[Libraries]:
    async with told(cloud, LIBRARY_SHELVES) as (producer, container):
        yield Libraries(producer, container)
