"""A checkpoint store that records under which names partitions are claimed, before they are."""

from collections.abc import Collection, Iterable
from typing import Any

from azure.eventhub.aio import CheckpointStore

from songline.processors.runtime.checkpoint_store_wrapper import CheckpointStoreWrapper
from songline.processors.runtime.owner_file import OwnerFile


class RecordingCheckpointStore(CheckpointStoreWrapper):
    """`store`, whose claims are recorded in `owners`. The SDK makes a name of its own for each start of a reader and
    tells it to its store only."""

    def __init__(self, store: CheckpointStore, owners: OwnerFile) -> None:
        super().__init__(store)
        self._owners = owners

    async def claim_ownership(
        self, ownership_list: Iterable[dict[str, Any]], **kwargs: Any
    ) -> Iterable[dict[str, Any]]:
        claims = list(ownership_list)
        # Released claims have no owner.
        names: Collection[str] = {claim["owner_id"] for claim in claims if claim["owner_id"]}
        self._owners.record(sorted(names))
        return await super().claim_ownership(claims, **kwargs)
