"""The documents of imports as the write API writes them, in the container `imports`."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec
from azure.core import MatchConditions
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import (
    CosmosAccessConditionFailedError,
    CosmosResourceExistsError,
    CosmosResourceNotFoundError,
)
from msgspec import Struct

from songline.producers.uploads.patience import answering
from songline.schemas.decoding import convert
from songline.schemas.imports import HistoryImport

_BY_ID = "SELECT * FROM c WHERE c.id = @id AND c.kind = 'import'"


class ImportRecord(Struct, frozen=True):
    """A document as it was read or written, and its ETag."""

    found: HistoryImport
    etag: str


class ImportRecords:
    """The container `imports`. Every method raises TransientError if Cosmos DB gives no answer within `patience_s`
    seconds, or an error."""

    def __init__(self, container: ContainerProxy, patience_s: float = 10.0) -> None:
        self._container = container
        self._patience_s = patience_s

    async def read(self, user_id: str, import_id: str) -> ImportRecord | None:
        """The listener's import; None if there is none."""
        async with self._guarded():
            try:
                return _record(await self._container.read_item(import_id, user_id))
            except CosmosResourceNotFoundError:
                return None

    async def find(self, import_id: str) -> ImportRecord | None:
        """The import, whosever it is; None if there is none."""
        async with self._guarded():
            found = self._container.query_items(_BY_ID, parameters=[{"name": "@id", "value": import_id}])
            async for item in found:
                return _record(item)
        return None

    async def create(self, made: HistoryImport) -> ImportRecord:
        """Create the document and return it; return the existing one if there is one."""
        async with self._guarded():
            try:
                return _record(await self._container.create_item(msgspec.to_builtins(made)))
            except CosmosResourceExistsError:
                return _record(await self._container.read_item(made.id, made.user_id))

    async def change(self, record: ImportRecord, step: Callable[[HistoryImport], HistoryImport]) -> ImportRecord:
        """Write what `step` makes of the import, of its newest state where another write came first. A step that
        changes nothing writes nothing."""
        while True:
            after = step(record.found)
            if after == record.found:
                return record
            async with self._guarded():
                try:
                    return _record(
                        await self._container.replace_item(
                            after.id,
                            msgspec.to_builtins(after),
                            etag=record.etag,
                            match_condition=MatchConditions.IfNotModified,
                        )
                    )
                except CosmosAccessConditionFailedError:
                    record = _record(await self._container.read_item(after.id, after.user_id))

    def _guarded(self) -> AbstractAsyncContextManager[None]:
        return answering("Cosmos DB", self._patience_s, "the import to be recorded")


def _record(item: Any) -> ImportRecord:
    return ImportRecord(convert(dict(item), HistoryImport), str(item["_etag"]))
