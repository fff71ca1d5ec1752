"""Songs in Cosmos DB: what was said is written under optimistic concurrency."""

from collections.abc import Sequence
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
from songline.processors.catalog.fold import apply
from songline.schemas.channels import SONGS
from songline.schemas.songs import Fact, Song, SongDocument

CONTAINER = Container(SONGS, partition_key="/id", indexed=("/order/?", "/artist/?", "/genre/?", "/words/[]/?"))


OVERTAKEN = (CosmosAccessConditionFailedError, CosmosResourceExistsError, CosmosResourceNotFoundError)
"""What a write gets when another one came between it and what it had read."""


class SongStore:
    """The container `songs`."""

    def __init__(self, container: ContainerProxy) -> None:
        self._container = container

    async def apply(
        self, song_id: str, partition: str, facts: Sequence[Fact], again: Sequence[Fact] = ()
    ) -> Song | None:
        """Returns when the song's document has the facts, and those sent `again` after they had been parked, by this
        write or an earlier one: the song by then, None where it has gone or nobody has uploaded it."""
        while True:
            item = await self._read(song_id)
            before = None if item is None else msgspec.convert(item, SongDocument)
            after = apply(before, song_id, partition, facts, again)
            if after == before:
                return after.song
            try:
                await self._write(item, msgspec.to_builtins(after))
            except OVERTAKEN:
                continue
            return after.song

    async def song(self, song_id: str) -> Song | None:
        """The song as its document has it now, None where it has gone or never was.

        A read alone may be of a replica that does not have yet what another worker wrote: session consistency is about
        one's own writes. Only a write tells, so the document is written back as it was read.
        """
        while (item := await self._read(song_id)) is not None:
            try:
                await self._write(item, item)
            except OVERTAKEN:
                continue
            return msgspec.convert(item, SongDocument).song
        return None

    async def _read(self, item_id: str) -> dict[str, Any] | None:
        try:
            return dict(await self._container.read_item(item_id, item_id))
        except CosmosResourceNotFoundError:
            return None

    async def _write(self, before: dict[str, Any] | None, after: dict[str, Any]) -> None:
        if before is None:
            await self._container.create_item(after, no_response=True)
            return
        await self._container.replace_item(
            after["id"], after, etag=before["_etag"], match_condition=MatchConditions.IfNotModified, no_response=True
        )
