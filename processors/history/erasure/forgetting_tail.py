"""The tail of the hub without forgotten listeners."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing

from azure.eventhub.aio import EventHubConsumerClient

from songline.processors.history.archive.capture_records import Records
from songline.processors.history.archive.hub_tail import HubTail
from songline.processors.history.erasure.tail_names import ForgottenListeners
from songline.processors.runtime.hub_metadata import HubMetadata
from songline.schemas.erasures import Erasure


class ForgettingTail(HubTail):
    """A HubTail in which forgotten listeners have the names that the archive has. `read_keyed` is called once a
    reading."""

    def __init__(
        self,
        open_consumer: Callable[[], EventHubConsumerClient],
        metadata: HubMetadata,
        read_keyed: Callable[[], Awaitable[Sequence[Erasure]]],
    ) -> None:
        super().__init__(open_consumer, metadata)
        self._read_keyed = read_keyed

    async def read(self, partition: str, first: int, last: int) -> AsyncGenerator[Records | int]:
        """As HubTail. Raises AzureError too."""
        erasures = await self._read_keyed()
        forgotten = ForgottenListeners(erasures, (await self.describe()).created_at)
        async with aclosing(super().read(partition, first, last)) as found:
            async for records in found:
                if isinstance(records, int) or not forgotten.may_name(partition, records.positions[0]):
                    yield records
                    continue
                # A thread: a large body that is no event has thousands of words, each hashed under each key.
                bodies = await asyncio.to_thread(
                    forgotten.renamed, partition, records.positions, records.enqueued_s, records.bodies
                )
                yield records if bodies is records.bodies else Records(records.positions, records.enqueued_s, bodies)
