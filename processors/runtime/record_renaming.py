"""What a worker is told of listeners who were forgotten: their events come under other names."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from azure.cosmos.aio import CosmosClient

from songline.processors.runtime.hub_metadata import HubMetadata
from songline.processors.runtime.hub_record import HubRecord


class RecordRenaming(Protocol):
    """Knows the listeners whose events the hub has from before they were forgotten."""

    async def refresh(self) -> None:
        """Return once everybody is known who was forgotten by now. Raises AzureError and EventHubError."""

    async def renamed(self, partition: str, records: Sequence[HubRecord]) -> Sequence[HubRecord]:
        """The records of a partition, where those of forgotten listeners have their names; `records` itself where
        there are none. Positions are sequence numbers."""


WatchForgotten = Callable[[CosmosClient, HubMetadata], AbstractAsyncContextManager[RecordRenaming]]
"""Keeps a renaming up to date over an account and the hub, while its context lasts."""


class RecordsAsWritten:
    """The renaming of a worker whose projection has no listeners."""

    async def refresh(self) -> None:
        """Nothing is to be known."""

    async def renamed(self, partition: str, records: Sequence[HubRecord]) -> Sequence[HubRecord]:
        """`records` itself."""
        return records


@asynccontextmanager
async def as_written(account: CosmosClient, hub: HubMetadata) -> AsyncIterator[RecordRenaming]:
    """Records as they are."""
    yield RecordsAsWritten()
