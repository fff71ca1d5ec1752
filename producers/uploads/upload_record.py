"""The document of an upload, as far as the way in writes it: `received` before the command is sent, `queued` after."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import msgspec
from azure.core import MatchConditions
from azure.core.exceptions import AzureError
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import (
    CosmosAccessConditionFailedError,
    CosmosResourceExistsError,
    CosmosResourceNotFoundError,
)
from msgspec import Struct, structs

from songline.producers.publishing.errors import TransientError
from songline.schemas.decoding import convert
from songline.schemas.errors import PoisonError
from songline.schemas.ingestions import Ingestion, Transition
from songline.schemas.songs import SongDocument


class UploadRecord(Struct, frozen=True):
    """A document as it was found or made, and its entity tag."""

    ingestion: Ingestion
    etag: str


class UploadRecords:
    """The container `ingestions`, and of `catalog`, the container `songs`, what a removal asks.

    Every method raises TransientError when Cosmos DB gives no answer within `patience_s`."""

    def __init__(self, container: ContainerProxy, catalog: ContainerProxy, patience_s: float = 10.0) -> None:
        self._container = container
        self._catalog = catalog
        self._patience_s = patience_s

    async def read(self, ingestion_id: str) -> Ingestion | None:
        async with self._asking():
            try:
                return _record(await self._container.read_item(ingestion_id, ingestion_id)).ingestion
            except CosmosResourceNotFoundError:
                return None

    async def in_catalog(self, song_id: str) -> SongDocument | None:
        """The song in the catalog, or what is left there of one that has gone."""
        async with self._asking():
            try:
                return convert(dict(await self._catalog.read_item(song_id, song_id)), SongDocument)
            except CosmosResourceNotFoundError:
                return None

    async def open(self, ingestion: Ingestion) -> UploadRecord:
        """What is there under its id: this document, unless there was one before."""
        async with self._asking():
            try:
                return _record(await self._container.create_item(msgspec.to_builtins(ingestion)))
            except CosmosResourceExistsError:
                return _record(await self._container.read_item(ingestion.id, ingestion.id))

    async def queued(self, record: UploadRecord, now: datetime) -> Ingestion:
        """The broker has the command. Where a worker was faster, what it wrote stays."""
        after = queued(record.ingestion, now)
        async with self._asking():
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

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._patience_s):
                yield
        except TimeoutError:
            raise TransientError(
                f"Cosmos DB gave no answer within {self._patience_s:g} s, expected one: try again later"
            ) from None
        except AzureError as error:
            raise TransientError(
                f"Cosmos DB: saw {type(error).__name__}, expected the upload to be recorded"
            ) from error
        except PoisonError as poison:
            raise TransientError(
                f"Cosmos DB: saw a document that can't be understood ({poison}), expected one of ours"
            ) from None


def queued(ingestion: Ingestion, now: datetime) -> Ingestion:
    history = (*ingestion.history, Transition(state="queued", at=now))
    return structs.replace(ingestion, state="queued", updated_at=now, reason=None, history=history)


def awaits_command(ingestion: Ingestion) -> bool:
    """Whether a command for it is of use: none is known to be under way, and none has come to an end for cause."""
    if ingestion.removed_at is not None:
        return False
    return ingestion.state in ("received", "dead") or (ingestion.state == "rejected" and not ingestion.settled)


def _record(item: Any) -> UploadRecord:
    return UploadRecord(convert(dict(item), Ingestion), item["_etag"])
