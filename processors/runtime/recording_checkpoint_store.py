"""A checkpoint store that records under which names partitions are claimed, before they are."""

from collections.abc import Collection, Iterable
from typing import Any

from azure.eventhub.aio import CheckpointStore

from songline.processors.runtime.owner_file import OwnerFile


class RecordingCheckpointStore(CheckpointStore):
    """`store`, whose claims are recorded in `owners`. The SDK makes a name of its own for each start of a reader and
    tells it to its store only."""

    def __init__(self, store: CheckpointStore, owners: OwnerFile) -> None:
        self._store = store
        self._owners = owners

    async def list_ownership(
        self, fully_qualified_namespace: str, eventhub_name: str, consumer_group: str, **kwargs: Any
    ) -> Iterable[dict[str, Any]]:
        return await self._store.list_ownership(fully_qualified_namespace, eventhub_name, consumer_group, **kwargs)

    async def claim_ownership(
        self, ownership_list: Iterable[dict[str, Any]], **kwargs: Any
    ) -> Iterable[dict[str, Any]]:
        claims = list(ownership_list)
        # Released claims have no owner.
        names: Collection[str] = {claim["owner_id"] for claim in claims if claim["owner_id"]}
        self._owners.record(sorted(names))
        return await self._store.claim_ownership(claims, **kwargs)

    async def update_checkpoint(self, checkpoint: dict[str, str | int | None], **kwargs: Any) -> None:
        await self._store.update_checkpoint(checkpoint, **kwargs)

    async def list_checkpoints(
        self, fully_qualified_namespace: str, eventhub_name: str, consumer_group: str, **kwargs: Any
    ) -> Iterable[dict[str, Any]]:
        return await self._store.list_checkpoints(fully_qualified_namespace, eventhub_name, consumer_group, **kwargs)
