"""The document of an upload as the write API writes it: `received` before the command is sent, `queued` after."""

from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any

import msgspec
from azure.core import MatchConditions
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import (
    CosmosAccessConditionFailedError,
    CosmosResourceExistsError,
    CosmosResourceNotFoundError,
)
from msgspec import Struct, structs

from songline.producers.uploads.catalog_songs import CatalogSongs
from songline.producers.uploads.patience import answering
from songline.schemas.decoding import convert
from songline.schemas.ingestions import Ingestion, Transition
from songline.schemas.songs import SongDocument


class UploadRecord(Struct, frozen=True):
    """A document as it was read or created, and its ETag."""

    ingestion: Ingestion
    etag: str


class UploadRecords:
    """The container `ingestions`, and the songs of the `catalog`, which a removal reads.

    Every method raises TransientError if Cosmos DB gives no answer within `patience_s` seconds, or an error."""

    def __init__(self, container: ContainerProxy, catalog: CatalogSongs, patience_s: float = 10.0) -> None:
        self._container = container
        self._catalog = catalog
        self._patience_s = patience_s

    async def read(self, ingestion_id: str) -> Ingestion | None:
        async with self._guarded():
            try:
                return _record(await self._container.read_item(ingestion_id, ingestion_id)).ingestion
            except CosmosResourceNotFoundError:
                return None

    async def in_catalog(self, song_id: str) -> SongDocument | None:
        """The song's document in the catalog, also after its removal; None if there is none."""
        async with self._guarded():
            return await self._catalog.read(song_id)

    async def open(self, ingestion: Ingestion) -> UploadRecord:
        """Create the document and return it; return the existing one if there is one with its id."""
        async with self._guarded():
            try:
                return _record(await self._container.create_item(msgspec.to_builtins(ingestion)))
            except CosmosResourceExistsError:
                return _record(await self._container.read_item(ingestion.id, ingestion.id))

    async def queued(self, record: UploadRecord, now: datetime) -> Ingestion:
        """Record that the broker has the command, unless a worker has changed the document; return the current one."""
        after = queued(record.ingestion, now)
        async with self._guarded():
            try:
                await self._container.replace_item(
                    after.id,
                    msgspec.to_builtins(after),
                    etag=record.etag,
                    match_condition=MatchConditions.IfNotModified,
                )
            except CosmosAccessConditionFailedError:
                return _record(await self._container.read_item(after.id, after.id)).ingestion
        return after

    def _guarded(self) -> AbstractAsyncContextManager[None]:
        return answering("Cosmos DB", self._patience_s, "the upload to be recorded")


def queued(ingestion: Ingestion, now: datetime) -> Ingestion:
    """The ingestion in the state `queued`."""
    history = (*ingestion.history, Transition(state="queued", at=now))
    return structs.replace(ingestion, state="queued", updated_at=now, reason=None, history=history)


def awaits_command(ingestion: Ingestion) -> bool:
    """Whether a command for the ingestion is needed: none is under way, and none has ended for good."""
    if ingestion.removed_at is not None:
        return False
    return ingestion.state in ("received", "dead") or (ingestion.state == "rejected" and not ingestion.settled)


def _record(item: Any) -> UploadRecord:
    return UploadRecord(convert(dict(item), Ingestion), item["_etag"])
