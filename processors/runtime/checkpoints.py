"""Checkpoints of a consumer group: where the SDK begins to read a partition. They are kept in Blob Storage."""

from azure.eventhub.aio import CheckpointStore

BEGINNING = -1
"""The checkpoint of a partition that is read from its first event."""


class Checkpoints:
    """The checkpoints of the consumer group `group` in a hub; `namespace` is its name as the SDK writes it. Methods
    raise AzureError."""

    def __init__(self, store: CheckpointStore, namespace: str, hub: str, group: str) -> None:
        self._store = store
        self._names = (namespace, hub, group)

    async def all(self) -> dict[str, int]:
        """The position of the last event that is not read again, by partition; omitted where that is the beginning."""
        found = {
            one["partition_id"]: int(one["sequence_number"]) for one in await self._store.list_checkpoints(*self._names)
        }
        return {partition: position for partition, position in found.items() if position != BEGINNING}

    async def rewind(self, partition: str) -> None:
        """Let the partition be read from its beginning."""
        namespace, hub, group = self._names
        await self._store.update_checkpoint(
            {
                "fully_qualified_namespace": namespace,
                "eventhub_name": hub,
                "consumer_group": group,
                "partition_id": partition,
                "offset": str(BEGINNING),
                "sequence_number": BEGINNING,
            }
        )
