"""A checkpoint store that hands every call on to another one: those that change a part of it are built on this."""

from collections.abc import Iterable
from typing import Any

from azure.eventhub.aio import CheckpointStore


class CheckpointStoreWrapper(CheckpointStore):
    """`store`, with the same answers."""

    def __init__(self, store: CheckpointStore) -> None:
        self._store = store

    async def list_ownership(
        self, fully_qualified_namespace: str, eventhub_name: str, consumer_group: str, **kwargs: Any
    ) -> Iterable[dict[str, Any]]:
        return await self._store.list_ownership(fully_qualified_namespace, eventhub_name, consumer_group, **kwargs)

    async def claim_ownership(
        self, ownership_list: Iterable[dict[str, Any]], **kwargs: Any
    ) -> Iterable[dict[str, Any]]:
        return await self._store.claim_ownership(ownership_list, **kwargs)

    async def update_checkpoint(self, checkpoint: dict[str, str | int | None], **kwargs: Any) -> None:
        await self._store.update_checkpoint(checkpoint, **kwargs)

    async def list_checkpoints(
        self, fully_qualified_namespace: str, eventhub_name: str, consumer_group: str, **kwargs: Any
    ) -> Iterable[dict[str, Any]]:
        return await self._store.list_checkpoints(fully_qualified_namespace, eventhub_name, consumer_group, **kwargs)
