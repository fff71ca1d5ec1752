"""What a consumer group keeps in Blob Storage: checkpoints, by which scalers know its backlog, and owners."""

from collections.abc import Collection

from azure.core.exceptions import AzureError
from azure.eventhub.aio import CheckpointStore

BEGINNING = -1
"""The checkpoint of a partition of which nothing is applied."""


class Checkpoints:
    """The checkpoints and owners of the consumer group `group` in a hub; `namespace` is its name as the SDK writes it.
    Methods raise AzureError."""

    def __init__(self, store: CheckpointStore, namespace: str, hub: str, group: str) -> None:
        self._store = store
        self._names = (namespace, hub, group)

    async def all(self) -> dict[str, int]:
        """The position of each partition's checkpoint; omitted where nothing is applied."""
        found = {
            one["partition_id"]: int(one["sequence_number"]) for one in await self._store.list_checkpoints(*self._names)
        }
        return {partition: position for partition, position in found.items() if position != BEGINNING}

    async def rewind(self, partition: str) -> None:
        """Let scalers count all of the partition, which is read from its beginning."""
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

    async def release(self, owners: Collection[str]) -> int:
        """Release what `owners`, which are gone, still own, so that any reader may claim it at once; return how many
        partitions that were. What another reader has claimed meanwhile stays with it."""
        owned = [one for one in await self._store.list_ownership(*self._names) if one["owner_id"] in owners]
        etags = {one["partition_id"]: one["etag"] for one in owned}
        claims = list(await self._store.claim_ownership([{**one, "owner_id": ""} for one in owned]))
        # Where the service fails the store logs it, and returns the claim as it was.
        if failed := [one["partition_id"] for one in claims if one["etag"] == etags[one["partition_id"]]]:
            raise AzureError(f"partitions {', '.join(failed)} could not be released")
        return len(claims)
