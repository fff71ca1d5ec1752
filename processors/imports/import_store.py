"""Imports and their pages in Cosmos DB. Each change of an import is made under its ETag."""

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec
from azure.core import MatchConditions
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosResourceNotFoundError
from msgspec import Struct, structs

from songline.cloud.cosmos import OVERTAKEN, Container
from songline.schemas.channels import IMPORTS
from songline.schemas.decoding import convert
from songline.schemas.imports import HistoryImport, ListenPage

CONTAINER = Container(IMPORTS, partition_key="/userId", indexed=("/kind/?", "/updatedAt/?", "/state/?"))

_PAGES = "SELECT * FROM c WHERE c.kind = 'page'"


class StoredImport(Struct, frozen=True):
    """An import as it was read or written, with its ETag."""

    found: HistoryImport
    etag: str


class ImportStore:
    """The container `imports`. All methods raise AzureError, and PoisonError for a document that is none of ours."""

    def __init__(self, container: ContainerProxy) -> None:
        self._container = container

    async def read(self, user_id: str, import_id: str) -> StoredImport | None:
        """The import; None if there is none."""
        try:
            return _stored(await self._container.read_item(import_id, user_id))
        except CosmosResourceNotFoundError:
            return None

    async def change(self, stored: StoredImport, step: Callable[[HistoryImport], HistoryImport]) -> StoredImport:
        """Write what `step` makes of the import, of its newest state where another write came first. A step that
        changes nothing writes nothing."""
        while True:
            after = step(stored.found)
            if after == stored.found:
                return stored
            try:
                written = await self._container.replace_item(
                    after.id,
                    msgspec.to_builtins(after),
                    etag=stored.etag,
                    match_condition=MatchConditions.IfNotModified,
                )
            except OVERTAKEN:
                again = await self.read(stored.found.user_id, stored.found.id)
                if again is None:
                    return stored  # The listener was erased meanwhile.
                stored = again
            else:
                return _stored(written)

    async def pages(self, user_id: str) -> AsyncIterator[ListenPage]:
        """All pages of the listener's imports."""
        async for item in self._container.query_items(_PAGES, partition_key=user_id):
            yield convert(dict(item), ListenPage)

    async def drop_pages(self, user_id: str, import_id: str) -> None:
        """Delete the import's pages."""
        async for page in self.pages(user_id):
            if page.import_id == import_id:
                try:
                    await self._container.delete_item(page.id, user_id)
                except CosmosResourceNotFoundError:
                    continue


def moved(found: HistoryImport, now: datetime, **changes: Any) -> HistoryImport:
    """The import with changes, as of `now`."""
    return structs.replace(found, updated_at=now, **changes)


def _stored(item: Mapping[str, Any]) -> StoredImport:
    return StoredImport(convert(dict(item), HistoryImport), str(item["_etag"]))
