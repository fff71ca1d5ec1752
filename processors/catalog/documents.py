"""Songs in Cosmos DB: what was said is written under optimistic concurrency, beside how far the catalog has read."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import msgspec
from azure.core import MatchConditions
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import (
    CosmosAccessConditionFailedError,
    CosmosResourceExistsError,
    CosmosResourceNotFoundError,
)

from cloud.cosmos import Container
from processors.catalog.fold import apply
from schemas.channels import SONGS
from schemas.songs import PROGRESS, Fact, Progress, Reached, SongDocument

CONTAINER = Container(SONGS, partition_key="/id", indexed=("/order/?", "/artist/?", "/genre/?", "/words/[]/?"))


class Songs:
    """The container `songs`."""

    def __init__(self, container: ContainerProxy) -> None:
        self._container = container

    async def apply(self, song_id: str, partition: str, fact: Fact) -> None:
        """Returns when the song's document has the fact, by this write or an earlier one."""
        while True:
            item = await self._read(song_id)
            before = None if item is None else msgspec.convert(item, SongDocument)
            after = apply(before, song_id, partition, fact)
            if after == before:
                return
            try:
                await self._write(item, msgspec.to_builtins(after))
            except (CosmosAccessConditionFailedError, CosmosResourceExistsError, CosmosResourceNotFoundError):
                continue
            return

    async def begin(self, partitions: Iterable[str]) -> None:
        """Say that nothing of the partitions is applied, unless more is known already."""
        nothing = {partition: Reached(position=-1, through=None) for partition in partitions}
        with suppress(CosmosResourceExistsError):
            document = msgspec.to_builtins(Progress(id=PROGRESS, partitions=nothing))
            await self._container.create_item(document, no_response=True)

    async def reached(self, partition: str) -> Reached | None:
        """How far the partition is known to be applied."""
        item = await self._read(PROGRESS)
        return None if item is None else msgspec.convert(item, Progress).partitions.get(partition)

    async def reach(self, partition: str, reached: Reached) -> None:
        """Say how far the partition is applied, unless somebody was further already."""
        path = f'c.partitions["{partition}"].position'
        with suppress(CosmosAccessConditionFailedError):
            await self._container.patch_item(
                PROGRESS,
                PROGRESS,
                [{"op": "set", "path": f"/partitions/{partition}", "value": msgspec.to_builtins(reached)}],
                filter_predicate=f"FROM c WHERE NOT IS_DEFINED({path}) OR {path} <= {reached.position}",
                no_response=True,
            )

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
