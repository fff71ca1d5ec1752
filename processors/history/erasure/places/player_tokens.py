"""Tokens of a listener's players, in the container `player-tokens`."""

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosResourceNotFoundError

from songline.processors.history.erasure.job import ErasureJob, HeldRecord, StepResult

_OF_USER = "SELECT * FROM c WHERE c.userId = @user"
_SEALED = "sealed"


class PlayerTokens:
    """The container `player-tokens`, which has a document for each token."""

    name = "tokens"

    def __init__(self, container: ContainerProxy) -> None:
        self._container = container

    async def run(self, job: ErasureJob) -> StepResult:
        """Delete the listener's tokens."""
        count = 0
        async for item in self._documents(job.user_id):
            await job.check()
            with suppress(CosmosResourceNotFoundError):
                await self._container.delete_item(item["id"], item["id"])
                count += 1
        return StepResult({"tokens of players": count} if count else {})

    async def held(self, user_id: str) -> AsyncIterator[HeldRecord]:
        """The tokens, without what is secret of them."""
        async for item in self._documents(user_id):
            value = {name: part for name, part in item.items() if not name.startswith("_") and name != _SEALED}
            yield HeldRecord(place=self.name, kind="player token", id=str(item["id"]), value=value)

    async def _documents(self, user_id: str) -> AsyncIterator[dict[str, Any]]:
        query = self._container.query_items(_OF_USER, parameters=[{"name": "@user", "value": user_id}])
        # A system whose containers were made by an older release has none.
        with suppress(CosmosResourceNotFoundError):
            async for item in query:
                yield dict(item)
