"""The container `attempts`: one document for each reader and partition."""

from typing import Any

import msgspec
from azure.core import MatchConditions
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosAccessConditionFailedError, CosmosResourceNotFoundError

from songline.cloud.cosmos import Container
from songline.processors.runtime.attempts import Attempt
from songline.schemas.channels import ATTEMPTS

CONTAINER = Container(ATTEMPTS, partition_key="/id", indexed=("/id/?",))


class AttemptStore:
    """The container `attempts`. Methods raise AzureError; the caller tries again."""

    def __init__(self, container: ContainerProxy) -> None:
        self._container = container

    async def read(self, attempt_id: str) -> Attempt | None:
        """The attempt that was written last, None where there is none."""
        item = await self._read_item(attempt_id)
        return None if item is None else msgspec.convert(item, Attempt)

    async def write(self, attempt: Attempt) -> None:
        """Return once `attempt` is on disk. It replaces the attempt of any other stay."""
        await self._container.upsert_item(msgspec.to_builtins(attempt), no_response=True)

    async def close(self, attempt_id: str, owner: str, parked_in_a_row: int) -> None:
        """Note that the stay `owner` ended well; nothing changes where another stay has begun since."""
        item = await self._read_item(attempt_id)
        if item is None or item["owner"] != owner:
            return
        closed = {**item, "open": False, "pieceLast": None, "tries": 0, "error": "", "parkedInARow": parked_in_a_row}
        try:
            await self._container.replace_item(
                attempt_id,
                closed,
                etag=item["_etag"],
                match_condition=MatchConditions.IfNotModified,
                no_response=True,
            )
        except CosmosAccessConditionFailedError:
            return

    async def _read_item(self, attempt_id: str) -> dict[str, Any] | None:
        try:
            return dict(await self._container.read_item(attempt_id, attempt_id))
        except CosmosResourceNotFoundError:
            return None
