"""Requests for the erasure of a listener that are not done, in the container `erasures`."""

from collections.abc import AsyncIterator
from contextlib import suppress

import msgspec
from azure.cosmos.exceptions import CosmosResourceNotFoundError

from songline.processors.history.erasure.erasure_store import ErasureStore
from songline.processors.history.erasure.job import HeldRecord
from songline.schemas.erasures import answer_of


class ErasureRequests:
    """The container `erasures`: of what is done or undone, nothing leads back to the listener."""

    name = "erasures"

    def __init__(self, store: ErasureStore) -> None:
        self._store = store

    async def held(self, user_id: str) -> AsyncIterator[HeldRecord]:
        """The requests, as they are shown."""
        # A system whose containers were made by an older release has none.
        with suppress(CosmosResourceNotFoundError):
            for erasure in await self._store.of(user_id):
                value = msgspec.to_builtins(answer_of(erasure))
                yield HeldRecord(place=self.name, kind="erasure", id=erasure.id, value=value)
