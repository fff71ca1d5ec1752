"""The watermarks of a projection: how far each partition is applied, in one document of the projection's container."""

import asyncio
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

GATHER_S = 0.06
"""Watermarks that are moved within so many seconds are one request. The SDK's readers look at their partitions 20 times
a second at most."""

GATHERED_MAX = 10
"""The most operations that Cosmos DB takes in a patch."""


class PositionResetError(Exception):
    """An operator set the position by hand while a reader went on from another one: it must begin again from there."""


class WatermarkStore:
    """The document `@progress` of `container`, or another one, whose partition key is the field `key`. Methods raise
    AzureError."""

    def __init__(self, container: ContainerProxy, key: str = "id", document: str = PROGRESS) -> None:
        self._container = container
        self._key = key
        self._document = document
        self._gathered: dict[str, tuple[Watermark, asyncio.Future[None]]] = {}
        self._writing: set[asyncio.Task[None]] = set()

    async def add(self, partitions: Iterable[str], created_at: datetime | None = None) -> None:
        """Add partitions of the hub that was created at `created_at`, with nothing applied, where they are missing."""
        nothing = {one: Watermark(position=-1, through=None, created_at=created_at) for one in partitions}
        document = msgspec.to_builtins(WatermarkDocument(id=self._document, partitions=nothing))
        try:
            await self._container.create_item({**document, self._key: self._document}, no_response=True)
        except CosmosResourceExistsError:
            known = await self.read_all()
            for partition in nothing.keys() - known.keys():
                await self._set(partition, nothing[partition], f"NOT IS_DEFINED({_path(partition)})")

    async def read_all(self) -> Mapping[str, Watermark]:
        """The watermarks by partition."""
        try:
            item = await self._container.read_item(self._document, self._document)
        except CosmosResourceNotFoundError:
            return {}
        return msgspec.convert(dict(item), WatermarkDocument).partitions

    async def read(self, partition: str) -> Watermark | None:
        """The partition's watermark, None where it has none."""
        return (await self.read_all()).get(partition)

    async def advance(self, partition: str, watermark: Watermark, *, gathers: bool = True) -> None:
        """Move the partition's watermark, unless it is further already. Raises PositionResetError.

        Those of several partitions that are moved at about the same time are written together. Without `gathers`, the
        watermark does not wait for others.
        """
        if not gathers or partition in self._gathered:
            await self._advance(partition, watermark)
            return
        moved: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._gathered[partition] = watermark, moved
        if len(self._gathered) == 1:
            task = asyncio.create_task(self._write_gathered())
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)
        await moved

    async def _write_gathered(self) -> None:
        await asyncio.sleep(GATHER_S)
        gathered, self._gathered = self._gathered, {}
        # Whoever was cancelled waits for nothing any more; the watermark may be written or not.
        items = [(partition, *one) for partition, one in gathered.items()]
        for start in range(0, len(items), GATHERED_MAX):
            await self._write_together(items[start : start + GATHERED_MAX])

    async def _write_together(self, items: list[tuple[str, Watermark, asyncio.Future[None]]]) -> None:
        try:
            together = {partition: watermark for partition, watermark, _ in items}
            conditions = [f"({_may_move(partition, watermark)})" for partition, watermark in together.items()]
            if len(items) > 1 and await self._set_all(together, " AND ".join(conditions)):
                results: list[BaseException | None] = [None] * len(items)
            else:
                # One of them is not as it was; each may say that for itself.
                results = await asyncio.gather(
                    *(self._advance(partition, watermark) for partition, watermark in together.items()),
                    return_exceptions=True,
                )
        except Exception as error:  # noqa: BLE001 - each of those who wait gets it
            results = [error] * len(items)
        for (_, _, moved), result in zip(items, results, strict=True):
            if moved.done():
                continue
            if result is None:
                moved.set_result(None)
            else:
                moved.set_exception(result)

    async def _advance(self, partition: str, watermark: Watermark) -> None:
        if await self._set(partition, watermark, _may_move(partition, watermark)):
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
                self._document,
                self._document,
                [{"op": "remove", "path": f"/partitions/{partition}"}],
                filter_predicate=f"FROM c WHERE IS_DEFINED({_path(partition)})",
                no_response=True,
            )

    async def _set(self, partition: str, watermark: Watermark, condition: str) -> bool:
        return await self._set_all({partition: watermark}, condition)

    async def _set_all(self, watermarks: Mapping[str, Watermark], condition: str) -> bool:
        """Set the watermarks, by partition, where `condition` holds of the document; return whether it did."""
        with suppress(CosmosAccessConditionFailedError):
            await self._container.patch_item(
                self._document,
                self._document,
                [
                    {"op": "set", "path": f"/partitions/{partition}", "value": msgspec.to_builtins(watermark)}
                    for partition, watermark in watermarks.items()
                ],
                filter_predicate=f"FROM c WHERE {condition}",
                no_response=True,
            )
            return True
        return False


def _path(partition: str) -> str:
    return f'c.partitions["{partition}"]'


def _may_move(partition: str, watermark: Watermark) -> str:
    """The condition that the partition's watermark is not further, and was not set by hand meanwhile."""
    path = _path(partition)
    further = f"{path}.position <= {watermark.position}"
    return f"NOT IS_DEFINED({path}) OR ({_has_resets(path, watermark.resets)} AND {further})"


def _has_resets(path: str, resets: int) -> str:
    """The condition that the watermark at `path` was reset so often. The first ones had no such field."""
    condition = f"{path}.resets = {resets}"
    return condition if resets else f"(NOT IS_DEFINED({path}.resets) OR {condition})"
