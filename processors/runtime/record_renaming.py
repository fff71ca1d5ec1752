"""What a worker is told apart of what it reads: listeners who were forgotten, whose events come under other names, and
names of songs, whose events are of the songs that these are."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from azure.cosmos.aio import CosmosClient

from songline.processors.runtime.hub_metadata import HubMetadata
from songline.processors.runtime.hub_record import HubRecord
from songline.schemas.decoding import read_text
from songline.schemas.parked import ParkedEvent, with_words


class RecordRenaming(Protocol):
    """Knows what stands in records under another name than the one that counts."""

    async def refresh(self) -> None:
        """Return once all is known that was told by now. Raises AzureError and EventHubError."""

    async def renamed(self, partition: str, records: Sequence[HubRecord]) -> Sequence[HubRecord]:
        """The records of a partition under the names that count; `records` itself where none has another one.
        Positions are sequence numbers."""


WatchRenamed = Callable[[CosmosClient, HubMetadata], AbstractAsyncContextManager[RecordRenaming]]
"""Keeps a renaming up to date over an account and the hub, while its context lasts."""


class ChainedRenaming:
    """Several renamings, one after the other."""

    def __init__(self, *renamings: RecordRenaming) -> None:
        self._renamings = renamings

    async def refresh(self) -> None:
        """Refresh each."""
        for one in self._renamings:
            await one.refresh()

    async def renamed(self, partition: str, records: Sequence[HubRecord]) -> Sequence[HubRecord]:
        """The records under the names of all."""
        for one in self._renamings:
            records = await one.renamed(partition, records)
        return records


class RecordsAsWritten:
    """The renaming of a worker whose projection has neither listeners nor names."""

    async def refresh(self) -> None:
        """Nothing is to be known."""

    async def renamed(self, partition: str, records: Sequence[HubRecord]) -> Sequence[HubRecord]:
        """`records` itself."""
        return records


async def renamed_parked(parked: ParkedEvent, reader: str, renaming: RecordRenaming) -> ParkedEvent:
    """What a reader parks of a record of `music-events`, under the names that count."""
    words = [parked.body_beginning, parked.readers[reader].detail.encode()]
    records = [HubRecord(parked.position, parked.enqueued_at, one) for one in words]
    found = await renaming.renamed(parked.partition, records)
    if found is records:
        return parked
    body, detail = (one.body for one in found)
    return with_words(parked, reader, body, read_text(detail))


@asynccontextmanager
async def as_written(account: CosmosClient, hub: HubMetadata) -> AsyncIterator[RecordRenaming]:
    """Records as they are."""
    yield RecordsAsWritten()
