"""Reads and writes ingestions in Cosmos DB with optimistic concurrency."""

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from azure.core import MatchConditions
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import (
    CosmosResourceNotFoundError,
)
from msgspec import Struct

from songline.cloud.cosmos import OVERTAKEN, Container
from songline.cloud.http_transport import Guard
from songline.processors.ingestion.transitions import begin, begin_patch
from songline.schemas.channels import INGESTIONS
from songline.schemas.commands import Command
from songline.schemas.ingestions import Ingestion

CONTAINER = Container(
    INGESTIONS,
    partition_key="/id",
    indexed=("/state/?", "/updatedAt/?", "/removedAt/?", "/erasedAt/?", "/outbox/[]/id/?", "/upload/sha256/?"),
)

logger = logging.getLogger("ingestion.documents")

_UNPUBLISHED = "SELECT * FROM c WHERE IS_DEFINED(c.outbox) AND c.updatedAt < @before"
_STUCK = "SELECT * FROM c WHERE c.state IN ('received', 'queued', 'processing') AND c.updatedAt < @before"
_REMOVED = "SELECT * FROM c WHERE c.removedAt < @before AND NOT IS_DEFINED(c.erasedAt)"
_HOLDING = (
    "SELECT c.state FROM c WHERE c.upload.sha256 = @sha256"
    " AND (c.state = 'processing' OR (c.state = 'ready' AND NOT IS_DEFINED(c.removedAt)))"
)


class StoredIngestion(Struct, frozen=True):
    """A document as it was read or written, with its ETag; `ingestion` is None if it doesn't exist."""

    id: str
    ingestion: Ingestion | None = None
    etag: str | None = None


class IngestionStore:
    """The container `ingestions`."""

    def __init__(self, container: ContainerProxy) -> None:
        self._container = container

    async def read(self, ingestion_id: str) -> Ingestion | None:
        """The ingestion, None if there is none."""
        return (await self.find(ingestion_id)).ingestion

    async def begin(self, command: Command, now: datetime, check: Guard) -> StoredIngestion:
        """Apply the transition `begin` and return the document, as `make` does; raises PoisonError.

        It takes one request if no worker had the command before.
        """
        operations, condition = begin_patch(command, now)
        try:
            item = await self._container.patch_item(command.id, command.id, operations, filter_predicate=condition)
        except OVERTAKEN:
            return await self.make(command.id, lambda known: begin(known, command, now), check)
        return _stored(item)

    async def make(
        self, ingestion_id: str, step: Callable[[Ingestion | None], Ingestion], check: Guard
    ) -> StoredIngestion:
        """Read the document, and apply `step` as `advance` does. Where there is none, `check` is asked before it is
        created: its uploader may have been erased, and raises where that is not to be."""
        stored = await self.amend(await self.find(ingestion_id), step)
        if stored.ingestion is not None:
            return stored
        await check()
        return await self.advance(stored, step)

    async def change(self, ingestion_id: str, step: Callable[[Ingestion | None], Ingestion]) -> Ingestion:
        """Read the document, apply `step` and return the result: see `advance`."""
        return _there(await self.advance(await self.find(ingestion_id), step))

    async def advance(self, stored: StoredIngestion, step: Callable[[Ingestion | None], Ingestion]) -> StoredIngestion:
        """Apply `step` to the `stored` document, write the result and return it.

        If another write came first, the step is applied to the current document. A step without a change writes
        nothing. An exception of the step is raised.
        """
        while True:
            after = step(stored.ingestion)
            if after == stored.ingestion:
                return stored
            try:
                return await self._write(stored, after)
            except OVERTAKEN:
                stored = await self.find(stored.id)

    async def amend(self, stored: StoredIngestion, step: Callable[[Ingestion], Ingestion]) -> StoredIngestion:
        """Apply `step` as `advance` does, but create no document: the result of one that has gone has no ingestion.

        Its uploader was erased meanwhile. Whoever still has it, because they were stopped, does not bring it back.
        """
        while stored.ingestion is not None:
            after = step(stored.ingestion)
            if after == stored.ingestion:
                break
            try:
                return await self._write(stored, after)
            except OVERTAKEN:
                stored = await self.find(stored.id)
        return stored

    def unpublished(self, before: datetime) -> AsyncIterator[StoredIngestion]:
        """The ingestions with events in their outbox, unchanged since `before`."""
        return self._query(_UNPUBLISHED, before)

    async def stuck(self, before: datetime) -> list[Ingestion]:
        """The ingestions in progress, unchanged since `before`."""
        return [_there(found) async for found in self._query(_STUCK, before)]

    async def removed(self, before: datetime) -> list[Ingestion]:
        """The ingestions whose song was removed before `before`, and whose bytes may still be stored."""
        return [_there(found) async for found in self._query(_REMOVED, before)]

    async def holding(self, sha256: str) -> set[str]:
        """The states of those that need the bytes with this hash: `ready` of available songs, and `processing`."""
        found = self._container.query_items(_HOLDING, parameters=[{"name": "@sha256", "value": sha256}])
        return {item["state"] async for item in found}

    async def find(self, ingestion_id: str) -> StoredIngestion:
        """The document with its ETag; without an ingestion if it doesn't exist."""
        try:
            return _stored(await self._container.read_item(ingestion_id, partition_key=ingestion_id))
        except CosmosResourceNotFoundError:
            return StoredIngestion(ingestion_id)

    async def _write(self, before: StoredIngestion, after: Ingestion) -> StoredIngestion:
        body = msgspec.to_builtins(after)
        if before.ingestion is None:
            written = await self._container.create_item(body, no_response=True)
        else:
            written = await self._container.replace_item(
                before.id, body, etag=before.etag, match_condition=MatchConditions.IfNotModified, no_response=True
            )
        return StoredIngestion(before.id, after, written.get_response_headers()["etag"])

    async def _query(self, query: str, before: datetime) -> AsyncIterator[StoredIngestion]:
        moment = msgspec.to_builtins(before.astimezone(UTC))
        async for item in self._container.query_items(query, parameters=[{"name": "@before", "value": moment}]):
            try:
                found = _stored(item)
            except msgspec.ValidationError as error:
                # An invalid document, written by hand, must not stop the repair of the others.
                logger.warning("%s in %s is no ingestion: %s", item.get("id"), INGESTIONS, error)
                continue
            yield found


def _stored(item: Mapping[str, Any]) -> StoredIngestion:
    return StoredIngestion(item["id"], msgspec.convert(dict(item), Ingestion), item["_etag"])


def _there(stored: StoredIngestion) -> Ingestion:
    assert stored.ingestion is not None
    return stored.ingestion
