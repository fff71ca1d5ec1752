"""A hub's metadata: when it was created, which partitions it has, and where these begin and end."""

from datetime import datetime

from azure.eventhub.aio import EventHubConsumerClient
from msgspec import Struct

from songline.cloud import eventhubs
from songline.processors.runtime.resume_point import HubState


class HubDescription(Struct, frozen=True):
    """When a hub was created, and the ids of its partitions."""

    created_at: datetime
    partitions: frozenset[str]


class HubMetadata:
    """The metadata, asked by `client`, which is used for nothing else. Methods raise EventHubError."""

    def __init__(self, client: EventHubConsumerClient) -> None:
        self._client = client

    async def describe(self) -> HubDescription:
        """The hub's creation and partitions."""
        found = await self._client.get_eventhub_properties()
        return HubDescription(found["created_at"], frozenset(found["partition_ids"]))

    async def read_ends(self, partition: str) -> tuple[int, int]:
        """The positions of the partition's first and last event; the last is before the first where it is empty."""
        return eventhubs.partition_ends(await self._client.get_partition_properties(partition))

    async def read_state(self, partition: str) -> HubState:
        """The hub's creation and the partition's ends."""
        described = await self.describe()
        first, last = await self.read_ends(partition)
        return HubState(described.created_at, first, last)
