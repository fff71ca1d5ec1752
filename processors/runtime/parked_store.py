"""The container `parked`: records that readers could not apply, each kept once, with the reasons."""

from collections.abc import AsyncIterator

import msgspec
from azure.core import MatchConditions
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import (
    CosmosResourceNotFoundError,
)

from songline.cloud.cosmos import OVERTAKEN, Container
from songline.schemas.channels import PARKED
from songline.schemas.parked import (
    ENTRY_COLUMNS,
    WAITING_QUERY,
    ParkedAction,
    ParkedEntry,
    ParkedEvent,
    acted,
    is_same_record,
    merged,
    of_another_hub,
)

CONTAINER = Container(PARKED, partition_key="/id", indexed=("/parkedAt/?", "/state/?"))

_ENTRIES = "SELECT " + ENTRY_COLUMNS + " FROM c ORDER BY c.parkedAt"  # noqa: S608 - names of fields


class ParkedStore:
    """The container `parked`. A reader parks a record before its watermark or checkpoint moves past it."""

    def __init__(self, container: ContainerProxy) -> None:
        self._container = container

    async def park(self, parked: ParkedEvent) -> bool:
        """Return once the record is in the container with its reader's reason: True where that is new.

        Parking the same record again changes nothing. Raises AzureError; the caller tries again.
        """
        while True:
            try:
                return await self._park(parked)
            except OVERTAKEN:
                continue

    async def read(self, parked_id: str) -> tuple[ParkedEvent, str] | None:
        """The record and its ETag, None where there is none. Raises AzureError."""
        try:
            item = await self._container.read_item(parked_id, parked_id)
        except CosmosResourceNotFoundError:
            return None
        return msgspec.convert(dict(item), ParkedEvent), item["_etag"]

    async def entries(self) -> AsyncIterator[ParkedEntry]:
        """All records without their bodies, in the order in which they were parked. Raises AzureError."""
        async for item in self._container.query_items(_ENTRIES):
            yield msgspec.convert(dict(item), ParkedEntry)

    async def count(self) -> int:
        """How many records were neither sent again nor discarded. Raises AzureError."""
        (found,) = [item async for item in self._container.query_items(WAITING_QUERY)]
        return msgspec.convert(found, int)

    async def record(self, parked_id: str, action: ParkedAction) -> bool:
        """Add `action` to the record; return whether the record exists. Raises AzureError."""
        while True:
            found = await self.read(parked_id)
            if found is None:
                return False
            try:
                await self._replace(acted(found[0], action), found[1])
            except OVERTAKEN:
                continue
            return True

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
        await self._replace(after, etag)
        return True

    async def _replace(self, after: ParkedEvent, etag: str) -> None:
        await self._container.replace_item(
            after.id,
            msgspec.to_builtins(after),
            etag=etag,
            match_condition=MatchConditions.IfNotModified,
            no_response=True,
        )
