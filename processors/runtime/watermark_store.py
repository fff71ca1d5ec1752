"""The watermarks of a projection: how far each partition is applied, in one document of the projection's container."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime

import msgspec
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import (
    CosmosAccessConditionFailedError,
    CosmosResourceExistsError,
    CosmosResourceNotFoundError,
)

from songline.schemas.progress import PROGRESS, Watermark, WatermarkDocument


class PositionResetError(Exception):
    """An operator set the position by hand while a reader went on from another one: it must begin again from there."""


class WatermarkStore:
    """The document `@progress` of `container`, whose partition key is the field `key`. Methods raise AzureError."""

    def __init__(self, container: ContainerProxy, key: str = "id") -> None:
        self._container = container
        self._key = key

    async def add(self, partitions: Iterable[str], created_at: datetime | None = None) -> None:
        """Add partitions of the hub that was created at `created_at`, with nothing applied, where they are missing."""
        nothing = {one: Watermark(position=-1, through=None, created_at=created_at) for one in partitions}
        document = msgspec.to_builtins(WatermarkDocument(id=PROGRESS, partitions=nothing))
        try:
            await self._container.create_item({**document, self._key: PROGRESS}, no_response=True)
        except CosmosResourceExistsError:
            known = await self.read_all()
            for partition in nothing.keys() - known.keys():
                await self._set(partition, nothing[partition], f"NOT IS_DEFINED({_path(partition)})")

    async def read_all(self) -> Mapping[str, Watermark]:
        """The watermarks by partition."""
        try:
            item = await self._container.read_item(PROGRESS, PROGRESS)
        except CosmosResourceNotFoundError:
            return {}
        return msgspec.convert(dict(item), WatermarkDocument).partitions

    async def read(self, partition: str) -> Watermark | None:
        """The partition's watermark, None where it has none."""
        return (await self.read_all()).get(partition)

    async def advance(self, partition: str, watermark: Watermark) -> None:
        """Move the partition's watermark, unless it is further already. Raises PositionResetError."""
        path = _path(partition)
        further = f"{path}.position <= {watermark.position}"
        same_resets = _has_resets(path, watermark.resets)
        if await self._set(partition, watermark, f"NOT IS_DEFINED({path}) OR ({same_resets} AND {further})"):
            return
        found = await self.read(partition)
        if found is not None and found.resets != watermark.resets:
            raise PositionResetError(f"partition {partition}: the position was set to {found.position} by hand")

    async def reset(self, partition: str, before: Watermark | None, watermark: Watermark) -> bool:
        """Set the watermark by hand if it was not reset since `before`; return whether it was set."""
        path = _path(partition)
        if before is None:
            return await self._set(partition, watermark, f"NOT IS_DEFINED({path})")
        # A running reader may move the position meanwhile; a second reset may not be overtaken.
        return await self._set(partition, watermark, _has_resets(path, before.resets))

    async def remove(self, partition: str) -> None:
        """Remove a partition that the hub no longer has."""
        with suppress(CosmosAccessConditionFailedError):
            await self._container.patch_item(
                PROGRESS,
                PROGRESS,
                [{"op": "remove", "path": f"/partitions/{partition}"}],
                filter_predicate=f"FROM c WHERE IS_DEFINED({_path(partition)})",
                no_response=True,
            )

    async def _set(self, partition: str, watermark: Watermark, condition: str) -> bool:
        """Set the watermark where `condition` holds of the document; return whether it did."""
        with suppress(CosmosAccessConditionFailedError):
            await self._container.patch_item(
                PROGRESS,
                PROGRESS,
                [{"op": "set", "path": f"/partitions/{partition}", "value": msgspec.to_builtins(watermark)}],
                filter_predicate=f"FROM c WHERE {condition}",
                no_response=True,
            )
            return True
        return False


def _path(partition: str) -> str:
    return f'c.partitions["{partition}"]'


def _has_resets(path: str, resets: int) -> str:
    """The condition that the watermark at `path` was reset so often. The first ones had no such field."""
    condition = f"{path}.resets = {resets}"
    return condition if resets else f"(NOT IS_DEFINED({path}.resets) OR {condition})"
