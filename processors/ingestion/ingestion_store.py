"""Ingestions in Cosmos DB, changed step by step under optimistic concurrency."""

import logging
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
from azure.core import MatchConditions
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import (
    CosmosAccessConditionFailedError,
    CosmosResourceExistsError,
    CosmosResourceNotFoundError,
)

from songline.cloud.cosmos import Container
from songline.schemas.channels import INGESTIONS
from songline.schemas.ingestions import Ingestion
from songline.schemas.songs import SongDocument

CONTAINER = Container(
    INGESTIONS,
    partition_key="/id",
    indexed=("/state/?", "/updatedAt/?", "/removedAt/?", "/erasedAt/?", "/outbox/[]/id/?", "/upload/sha256/?"),
)

logger = logging.getLogger("ingestion.documents")

_UNPUBLISHED = "SELECT * FROM c WHERE IS_DEFINED(c.outbox) AND c.updatedAt < @before"
_STUCK = "SELECT * FROM c WHERE c.state IN ('received', 'queued', 'processing') AND c.updatedAt < @before"
_REMOVED = "SELECT * FROM c WHERE c.removedAt < @before AND NOT IS_DEFINED(c.erasedAt)"
_SHARED = "SELECT c.id FROM c WHERE c.upload.sha256 = @sha256 AND c.state = 'ready' AND NOT IS_DEFINED(c.removedAt)"


class IngestionStore:
    """The container `ingestions`."""

    def __init__(self, container: ContainerProxy) -> None:
        self._container = container

    async def read(self, ingestion_id: str) -> Ingestion | None:
        return _ingestion(await self._read(ingestion_id))

    async def change(self, ingestion_id: str, step: Callable[[Ingestion | None], Ingestion]) -> Ingestion:
        """The document after `step`, which is taken again, on what is there then, whenever somebody else was faster.

        A step that changes nothing writes nothing; what it raises goes through.
        """
        while True:
            item = await self._read(ingestion_id)
            before = _ingestion(item)
            after = step(before)
            if after == before:
                return after
            body = msgspec.to_builtins(after)
            try:
                if item is None:
                    await self._container.create_item(body)
                else:
                    await self._container.replace_item(
                        ingestion_id, body, etag=item["_etag"], match_condition=MatchConditions.IfNotModified
                    )
            except (CosmosAccessConditionFailedError, CosmosResourceExistsError, CosmosResourceNotFoundError):
                continue
            return after

    def unpublished(self, before: datetime) -> AsyncIterator[Ingestion]:
        """Those with events in their outbox, unchanged since `before`."""
        return self._query(_UNPUBLISHED, before)

    def stuck(self, before: datetime) -> AsyncIterator[Ingestion]:
        """Those on their way, unchanged since `before`."""
        return self._query(_STUCK, before)

    def removed(self, before: datetime) -> AsyncIterator[Ingestion]:
        """Those whose song was taken away before `before`, and whose bytes may still be there."""
        return self._query(_REMOVED, before)

    async def is_shared(self, sha256: str) -> bool:
        """Whether a song that is available has these bytes."""
        found = self._container.query_items(_SHARED, parameters=[{"name": "@sha256", "value": sha256}])
        return bool([item async for item in found])

    async def _read(self, ingestion_id: str) -> dict[str, Any] | None:
        try:
            return dict(await self._container.read_item(ingestion_id, partition_key=ingestion_id))
        except CosmosResourceNotFoundError:
            return None

    async def _query(self, query: str, before: datetime) -> AsyncIterator[Ingestion]:
        moment = msgspec.to_builtins(before.astimezone(UTC))
        async for item in self._container.query_items(query, parameters=[{"name": "@before", "value": moment}]):
            try:
                found = msgspec.convert(item, Ingestion)
            except msgspec.ValidationError as error:
                # Somebody wrote it by hand: it must not keep the others from being mended.
                logger.warning("%s in %s is no ingestion: %s", item.get("id"), INGESTIONS, error)
                continue
            yield found


class CatalogReader:
    """The container `songs`, which the catalog keeps: among them songs that never were an ingestion."""

    def __init__(self, container: ContainerProxy) -> None:
        self._container = container

    async def read(self, song_id: str) -> SongDocument | None:
        try:
            item = await self._container.read_item(song_id, partition_key=song_id)
        except CosmosResourceNotFoundError:
            return None
        return msgspec.convert(dict(item), SongDocument)


def _ingestion(item: dict[str, Any] | None) -> Ingestion | None:
    return None if item is None else msgspec.convert(item, Ingestion)
