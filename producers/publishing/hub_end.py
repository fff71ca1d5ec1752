"""Where the hub ends at this moment: a position that covers everything that was sent before the question.

The SDK's send does not tell where an event came to lie. The end of its partition, asked after the send, is at or behind
it, and serves a client that reads its own writes. It is asked over the Kafka endpoint (ListOffsets, for all partitions
in one request, over one lasting connection): the SDK opens a connection of its own for each question and partition.
Event Hubs' Kafka offsets are the sequence numbers.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from songline.cloud.kafka import client_options
from songline.cloud.settings import EventHubsSettings

logger = logging.getLogger("songline.producers.publishing.hub_end")


class HubEnds:
    """The ends of `partitions` of `hub`. Any number may ask at a time: those that come while a question is under way
    share the next.

    An answer takes `patience_s` at most.
    """

    def __init__(
        self, settings: EventHubsSettings, hub: str, partitions: Callable[[], Iterable[str]], patience_s: float = 2.0
    ) -> None:
        self._settings, self._hub, self._partitions, self._patience_s = settings, hub, partitions, patience_s
        self._consumer: AIOKafkaConsumer | None = None
        self._turn = asyncio.Lock()
        self._next: asyncio.Task[Mapping[str, int]] | None = None

    async def read(self) -> Mapping[str, int]:
        """Partition to the sequence number of its last event, -1 while it has none; empty when the hub does not say."""
        if self._next is None:
            self._next = asyncio.create_task(self._ask())
        # A caller that is cancelled must not take the answer from the others.
        return await asyncio.shield(self._next)

    async def close(self) -> None:
        if self._consumer is not None:
            await self._consumer.stop()
            self._consumer = None

    async def _ask(self) -> Mapping[str, int]:
        async with self._turn:
            # What is sent from here on may lie behind this answer.
            self._next = None
            try:
                async with asyncio.timeout(self._patience_s):
                    consumer = self._consumer or await self._connect()
                    asked = [TopicPartition(self._hub, int(partition)) for partition in self._partitions()]
                    ends = await consumer.end_offsets(asked)
            except (KafkaError, OSError, TimeoutError) as error:
                await self.close()
                logger.info("%s does not tell its ends: %s %s", self._hub, type(error).__name__, error)
                return {}
            return {str(partition.partition): end - 1 for partition, end in ends.items()}

    async def _connect(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(**client_options(self._settings), enable_auto_commit=False)
        try:
            await consumer.start()
        except BaseException:
            await consumer.stop()
            raise
        self._consumer = consumer
        return consumer
