"""What a reader asks its hub: when it was created, which partitions it has, and where these begin and end."""

from datetime import datetime

from azure.eventhub.aio import EventHubConsumerClient
from msgspec import Struct

from songline.processors.runtime.resume_point import HubState


class HubDescription(Struct, frozen=True):
    created_at: datetime
    partitions: frozenset[str]


class HubMetadata:
    """Over a `client` that is used for nothing else. Each question costs a connection; methods raise EventHubError."""

    def __init__(self, client: EventHubConsumerClient) -> None:
        self._client = client

    async def describe(self) -> HubDescription:
        """The hub."""
        found = await self._client.get_eventhub_properties()
        return HubDescription(found["created_at"], frozenset(found["partition_ids"]))

    async def ends(self, partition: str) -> tuple[int, int]:
        """The positions of the partition's first and last event; the last is before the first where it is empty."""
        found = await self._client.get_partition_properties(partition)
        first, last = found["beginning_sequence_number"], found["last_enqueued_sequence_number"]
        # What deleted all that was there may leave either of them where it was.
        return (max(last, first - 1) + 1, max(last, first - 1)) if found["is_empty"] else (first, last)

    async def state(self, partition: str) -> HubState:
        """Both, of a partition."""
        described = await self.describe()
        first, last = await self.ends(partition)
        return HubState(described.created_at, first, last)
