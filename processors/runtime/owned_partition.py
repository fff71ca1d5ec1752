"""A partition that this worker owns, with what the SDK's callbacks keep of it between two calls."""

import asyncio

from azure.eventhub import EventData

from songline.cloud.concurrency import end_task
from songline.processors.runtime.partition_reader import PartitionReader


class OwnedPartition:
    """The reader of the partition, and in seconds of a steady clock when it was last committed (`committed_s`; before
    that, when it had resumed), asked for its end (`checked_s`), and checkpointed (`checkpointed_s`), with
    `checkpointed_position`, -1 before the first.

    `last_event` is what was processed last and is not checkpointed. `has_processed` is False until something was.
    `is_misplaced`: the SDK reads from a position beyond the watermark. `resuming` is the task in which the reader
    resumes; None before it is begun.
    """

    def __init__(self, reader: PartitionReader) -> None:
        self.reader = reader
        self.resuming: asyncio.Task[None] | None = None
        self.last_event: EventData | None = None
        self.has_processed = False
        self.is_misplaced = False
        self.committed_s = 0.0
        self.checked_s = 0.0
        self.checkpointed_s = 0.0
        self.checkpointed_position = -1

    async def resumed(self) -> None:
        """Return once the reader has resumed, or raise what ended that."""
        if self.resuming is not None:
            await self.resuming

    async def end_resuming(self) -> None:
        """Cancel the task where the reader has not resumed, or raise what ended it."""
        if self.resuming is not None:
            await end_task(self.resuming)
