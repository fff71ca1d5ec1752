"""The container `parked`: records that a reader passes over, each kept once, with its reason."""

import msgspec
from azure.core import MatchConditions
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import (
    CosmosAccessConditionFailedError,
    CosmosResourceExistsError,
    CosmosResourceNotFoundError,
)

from cloud.cosmos import Container
from schemas.channels import PARKED
from schemas.parked import ParkedEvent, is_same_record, merged, of_another_hub

CONTAINER = Container(PARKED, partition_key="/id", indexed=("/parkedAt/?", "/state/?"))

_OVERTAKEN = (CosmosAccessConditionFailedError, CosmosResourceExistsError, CosmosResourceNotFoundError)


class ParkedEvents:
    """The container `parked`. A reader parks a record before it moves its position or its checkpoint past it."""

    def __init__(self, container: ContainerProxy) -> None:
        self._container = container

    async def park(self, parked: ParkedEvent) -> bool:
        """Return once the record is there with its reader's reason; whether that is new.

        Parking the same record again changes nothing. Raises AzureError; the caller tries again.
        """
        while True:
            try:
                return await self._park(parked)
            except _OVERTAKEN:
                continue

    async def read(self, parked_id: str) -> tuple[ParkedEvent, str] | None:
        """The document and its ETag, None where there is none. Raises AzureError."""
        try:
            item = await self._container.read_item(parked_id, parked_id)
        except CosmosResourceNotFoundError:
            return None
        return msgspec.convert(dict(item), ParkedEvent), item["_etag"]

    async def _park(self, parked: ParkedEvent) -> bool:
        found = await self.read(parked.id)
        if found is None:
            await self._container.create_item(msgspec.to_builtins(parked), no_response=True)
            return True
        before, etag = found
        if not is_same_record(before, parked):
            return await self.park(of_another_hub(parked))
        after = merged(before, parked)
        if after is before:
            return False
        await self._container.replace_item(
            after.id,
            msgspec.to_builtins(after),
            etag=etag,
            match_condition=MatchConditions.IfNotModified,
            no_response=True,
        )
        return True
