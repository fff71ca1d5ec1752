"""A checkpoint store that lets the SDK begin to read behind a version's own watermarks.

A group's checkpoint is not where its reader is. It is written once in some seconds, so what was applied since would be
read again; and the versions of a projection share it, so for one that goes on, or comes back, it may be beyond events
that are not applied.
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
    """`store`, whose checkpoints are given as `watermarks` are. `given` has the position behind which the SDK begins to
    read, by partition, -1 for the beginning.

    A position that is given is a sequence number: the SDK takes a number as a checkpoint's `offset` for that, and a
    text for an offset.
    """

    def __init__(self, store: CheckpointStore, watermarks: WatermarkStore) -> None:
        super().__init__(store)
        self._watermarks = watermarks
        self.given: dict[str, int] = {}

    async def list_checkpoints(
        self, fully_qualified_namespace: str, eventhub_name: str, consumer_group: str, **kwargs: Any
    ) -> Iterable[dict[str, Any]]:
        names = (fully_qualified_namespace, eventhub_name, consumer_group)
        stored = {
            one["partition_id"]: int(one["sequence_number"]) for one in await super().list_checkpoints(*names, **kwargs)
        }
        applied = {partition: one.position for partition, one in (await self._watermarks.read_all()).items()}
        for partition, checkpoint in stored.items():
            if checkpoint > applied.setdefault(partition, BEGINNING):
                message = "partition %s: the checkpoint, %d, is beyond what is applied: it is read from behind %d on"
                log.warning(message, partition, checkpoint, applied[partition])
        self.given |= applied
        return [
            {
                "fully_qualified_namespace": fully_qualified_namespace,
                "eventhub_name": eventhub_name,
                "consumer_group": consumer_group,
                "partition_id": partition,
                # The SDK takes an offset of 0 for none, and then begins at the beginning.
                "offset": position if position > 0 else str(BEGINNING),
                "sequence_number": position,
            }
            for partition, position in applied.items()
        ]
