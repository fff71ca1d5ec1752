"""A checkpoint store that lets the SDK begin where a version's own watermark is, if the group's checkpoint is beyond.

The versions of a projection share a consumer group, and so its checkpoints. One that goes on, or comes back, may be far
behind the checkpoint of the one before: events between would never come.
"""

import logging
from collections.abc import Iterable
from typing import Any

from azure.eventhub.aio import CheckpointStore

from songline.processors.runtime.checkpoint_store_wrapper import CheckpointStoreWrapper
from songline.processors.runtime.checkpoints import BEGINNING
from songline.processors.runtime.watermark_store import WatermarkStore

log = logging.getLogger(__name__)


class WatermarkedCheckpointStore(CheckpointStoreWrapper):
    """`store`, whose checkpoints are never given as beyond `watermarks`. `given` has the position behind which the SDK
    begins to read, by partition, -1 for the beginning.

    A position that is given in place of a checkpoint is a sequence number: the SDK takes a number as its `offset` for
    that, and a text for an offset.
    """

    def __init__(self, store: CheckpointStore, watermarks: WatermarkStore) -> None:
        super().__init__(store)
        self._watermarks = watermarks
        self.given: dict[str, int] = {}

    async def list_checkpoints(
        self, fully_qualified_namespace: str, eventhub_name: str, consumer_group: str, **kwargs: Any
    ) -> Iterable[dict[str, Any]]:
        names = (fully_qualified_namespace, eventhub_name, consumer_group)
        found = {one["partition_id"]: one for one in await super().list_checkpoints(*names, **kwargs)}
        watermarks = await self._watermarks.read_all()
        for partition in found.keys() | watermarks.keys():
            applied = watermarks[partition].position if partition in watermarks else BEGINNING
            checkpoint = int(found[partition]["sequence_number"]) if partition in found else None
            if checkpoint is not None and checkpoint <= applied:
                self.given[partition] = checkpoint
                continue
            if checkpoint is not None:
                message = "partition %s: the checkpoint, %d, is beyond what is applied: it is read from behind %d on"
                log.warning(message, partition, checkpoint, applied)
            self.given[partition] = applied
            found[partition] = {
                "fully_qualified_namespace": fully_qualified_namespace,
                "eventhub_name": eventhub_name,
                "consumer_group": consumer_group,
                "partition_id": partition,
                # The SDK takes an offset of 0 for none, and then begins at the beginning.
                "offset": applied if applied > 0 else str(BEGINNING),
                "sequence_number": applied,
            }
        return list(found.values())
