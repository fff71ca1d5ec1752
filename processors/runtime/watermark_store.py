"""How far a projection is, noted in a document of its own container."""

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
    """An operator set the position by hand while it was read on from: the reader begins again from there."""


class WatermarkStore:
    """The document `@progress` of `container`, whose partition key is the field `key`. Methods raise AzureError."""

    def __init__(self, container: ContainerProxy, key: str = "id") -> None:
        self._container = container
        self._key = key

    async def begin(self, partitions: Iterable[str], created_at: datetime | None = None) -> None:
        """Say that nothing of the partitions of this hub is applied, unless more is known already."""
        nothing = {one: Watermark(position=-1, through=None, created_at=created_at) for one in partitions}
        document = msgspec.to_builtins(WatermarkDocument(id=PROGRESS, partitions=nothing))
        try:
            await self._container.create_item({**document, self._key: PROGRESS}, no_response=True)
        except CosmosResourceExistsError:
            known = await self.all()
            for partition in nothing.keys() - known.keys():
                await self._set(partition, nothing[partition], f"NOT IS_DEFINED({_path(partition)})")

    async def all(self) -> Mapping[str, Watermark]:
        """How far each partition is known to be applied."""
        try:
            item = await self._container.read_item(PROGRESS, PROGRESS)
        except CosmosResourceNotFoundError:
            return {}
        return msgspec.convert(dict(item), WatermarkDocument).partitions

    async def reached(self, partition: str) -> Watermark | None:
        """How far the partition is known to be applied."""
        return (await self.all()).get(partition)

    async def reach(self, partition: str, reached: Watermark) -> None:
        """Say how far the partition is applied, unless somebody was further already. Raises PositionResetError."""
        path = _path(partition)
        resets = f"{path}.resets = {reached.resets}"
        if reached.resets == 0:
            resets = f"(NOT IS_DEFINED({path}.resets) OR {resets})"
        further = f"{path}.position <= {reached.position}"
        if await self._set(partition, reached, f"NOT IS_DEFINED({path}) OR ({resets} AND {further})"):
            return
        noted = await self.reached(partition)
        if noted is not None and noted.resets != reached.resets:
            raise PositionResetError(f"partition {partition}: the position was set to {noted.position} by hand")

    async def reset(self, partition: str, before: Watermark | None, reached: Watermark) -> bool:
        """Set the position by hand where it is still `before`; whether it was."""
        path = _path(partition)
        if before is None:
            return await self._set(partition, reached, f"NOT IS_DEFINED({path})")
        # The position of a reader that runs may move on meanwhile; another reset may not be overtaken.
        resets = f"{path}.resets = {before.resets}"
        if before.resets == 0:
            resets = f"(NOT IS_DEFINED({path}.resets) OR {resets})"
        return await self._set(partition, reached, resets)

    async def remove(self, partition: str) -> None:
        """Forget a partition that the hub does not have any more."""
        with suppress(CosmosAccessConditionFailedError):
            await self._container.patch_item(
                PROGRESS,
                PROGRESS,
                [{"op": "remove", "path": f"/partitions/{partition}"}],
                filter_predicate=f"FROM c WHERE IS_DEFINED({_path(partition)})",
                no_response=True,
            )

    async def _set(self, partition: str, reached: Watermark, condition: str) -> bool:
        with suppress(CosmosAccessConditionFailedError):
            await self._container.patch_item(
                PROGRESS,
                PROGRESS,
                [{"op": "set", "path": f"/partitions/{partition}", "value": msgspec.to_builtins(reached)}],
                filter_predicate=f"FROM c WHERE {condition}",
                no_response=True,
            )
            return True
        return False


def _path(partition: str) -> str:
    return f'c.partitions["{partition}"]'
