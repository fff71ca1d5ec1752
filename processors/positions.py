"""How far a projection is, noted in a document of its own container."""

from collections.abc import Iterable
from contextlib import suppress

import msgspec
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import (
    CosmosAccessConditionFailedError,
    CosmosResourceExistsError,
    CosmosResourceNotFoundError,
)

from schemas.progress import PROGRESS, Progress, Reached


class Positions:
    """The document `@progress` of `container`, whose partition key is the field `key`. Methods raise AzureError."""

    def __init__(self, container: ContainerProxy, key: str = "id") -> None:
        self._container = container
        self._key = key

    async def begin(self, partitions: Iterable[str]) -> None:
        """Say that nothing of the partitions is applied, unless more is known already."""
        nothing = {partition: Reached(position=-1, through=None) for partition in partitions}
        document = msgspec.to_builtins(Progress(id=PROGRESS, partitions=nothing))
        with suppress(CosmosResourceExistsError):
            await self._container.create_item({**document, self._key: PROGRESS}, no_response=True)

    async def reached(self, partition: str) -> Reached | None:
        """How far the partition is known to be applied."""
        try:
            item = await self._container.read_item(PROGRESS, PROGRESS)
        except CosmosResourceNotFoundError:
            return None
        return msgspec.convert(dict(item), Progress).partitions.get(partition)

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
