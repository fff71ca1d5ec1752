"""One partition's sender: carries out what the publisher's state decides for its queue, over the SDK's client."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from math import inf
from time import monotonic

from azure.eventhub import EventDataBatch
from azure.eventhub.aio import EventHubProducerClient

from songline.cloud.retry import RetryPolicy, retry
from songline.cloud.service_fault import is_transient
from songline.producers.publishing.direct_batch import add_function
from songline.producers.publishing.hub_answer import answer_limit_s, answered
from songline.producers.publishing.hub_errors import translate
from songline.producers.publishing.publisher_state import PublisherState
from songline.producers.publishing.state import Effects, SenderState

logger = logging.getLogger("songline.producers.publishing.publisher")

RETRIES = RetryPolicy(first_pause_s=0.1, longest_pause_s=2.0)
LINK_S = 1.0
"""Behind an answer that is late the SDK ends its link, and tries once more by another one, for so long."""


class PartitionSender:
    """Sends the events of one partition's queue, batch after batch, until the queue is closed and empty.

    A batch that fails is tried again before the next one is sent: so the order holds. `execute` carries out effects.
    """

    def __init__(
        self,
        client: EventHubProducerClient,
        partition: str,
        state: PublisherState,
        execute: Callable[[Effects], None],
    ) -> None:
        self._client, self._partition, self._state, self._execute = client, partition, state, execute
        self._queue = state.queues[partition]
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """The queue has changed."""
        self._woken.set()

    async def run(self) -> None:
        """Send until the queue has ended. Should this end before that, nobody waits for an event in vain."""
        try:
            while self._queue.state is not SenderState.ENDED:
                if await self._is_due():
                    await self._send_batch()
        finally:
            if self._queue.state is not SenderState.ENDED:
                self._execute(self._state.cancelled(self._partition))

    async def _is_due(self) -> bool:
        """Wait until a batch is due, or the queue has changed; return whether a batch is due."""
        left_s = self._queue.due_at() - monotonic()
        if left_s <= 0:
            return True
        self._woken.clear()
        try:
            await asyncio.wait_for(self._woken.wait(), None if left_s == inf else left_s)
        except TimeoutError:
            return True
        return False

    async def _send_batch(self) -> None:
        batch = await self._client.create_batch(partition_id=self._partition)
        self._execute(self._state.fill(self._partition, partial(add_function(), batch)))
        if self._queue.state is not SenderState.SENDING:
            return
        try:
            await self._send(batch)
        except Exception as error:  # noqa: BLE001 - the state has heard of it, and so has each sender of an event
            logger.debug("partition %s: a batch was given up: %s", self._partition, error)
        else:
            self._execute(self._state.acknowledged(self._partition))

    async def _send(self, batch: EventDataBatch) -> None:
        """Send `batch`, with retries; raises the last error."""
        failures: list[Exception] = []
        try:
            await self._try(batch)
        except Exception as error:  # noqa: BLE001 - it is raised again as the failure of the first try
            failures.append(error)
        else:
            return

        async def attempt() -> None:
            # The first try is made without the retry loop, which costs as much CPU as the send itself.
            if failures:
                raise failures.pop()
            self._state.resume(self._partition)
            await self._try(batch)

        await retry(attempt, RETRIES, retries=self._is_repeated)

    async def _try(self, batch: EventDataBatch) -> None:
        limit_s = answer_limit_s(self._queue.patience_left_s(monotonic()))
        # The SDK bounds the wait for an answer by its `timeout`, and not the opening of a link.
        await answered(self._client.send_batch(batch, timeout=limit_s), limit_s + LINK_S)

    def _is_repeated(self, error: Exception) -> bool:
        now, transient = monotonic(), is_transient(error)
        failure = translate(error, self._client.eventhub_name, now - self._queue.in_flight[0].since)
        self._execute(self._state.failed(self._partition, failure, transient, now))
        repeated = self._queue.state is SenderState.PAUSED
        if repeated and not transient:
            logger.error("%s", failure)
        return repeated
