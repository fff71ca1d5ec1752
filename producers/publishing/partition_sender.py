"""One partition's way into the hub: events in order, one batch in flight."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Literal, TypeAlias

from azure.eventhub import EventDataBatch
from azure.eventhub.aio import EventHubProducerClient
from azure.eventhub.amqp import AmqpAnnotatedMessage
from msgspec import Struct

from songline.cloud.retry import RetryPolicy, retry
from songline.cloud.service_fault import is_transient
from songline.producers.publishing.errors import TransientError, translate
from songline.schemas.acceptance import refuse

logger = logging.getLogger("songline.producers.publishing.publisher")

_PARTITION_KEY = b"x-opt-partition-key"
_EVENT_OVERHEAD = 64
LONGEST_PAUSE_S = 2.0
POLICY = RetryPolicy(first_pause_s=0.1, longest_pause_s=LONGEST_PAUSE_S)


Outcome: TypeAlias = Literal["sent", "kept"]
"""Where an accepted event is: in the hub, or in the outbox, from which it will be sent."""


class QueuedEvent(Struct, eq=False):
    """An event that the hub hasn't acknowledged yet; `since` is when it was handed in (monotonic seconds).

    One that is `kept` on disk is never given up, and takes no room in the buffer. One that is `given_up` is not sent
    any more, unless it is on its way: its sender has been told.
    """

    body: bytes
    partition_key: str
    since: float
    done: asyncio.Future[Outcome]
    kept: bool = False
    given_up: bool = False


class PublishCounts(Struct):
    """What a publisher has done so far. `retries` counts batches that were tried again."""

    accepted: int = 0
    sent: int = 0
    failed: int = 0
    batches: int = 0
    bytes: int = 0
    retries: int = 0


class BatchConfig(Struct, frozen=True, kw_only=True):
    """When a batch goes: it has `events`, or `bytes` (what the link takes), or its oldest event waited `linger_s`.

    `patience_s` is for how long an event is tried before it fails, unless it is kept on disk.
    """

    events: int
    bytes: int
    linger_s: float
    patience_s: float


class PartitionSender:
    """Sends what is put in, batch after batch, until it is closed and empty.

    A batch that fails is tried again before the next one is sent: so the order holds. Once an event is given up,
    those behind it still are sent. `released` is called for each event that leaves the buffer, `troubled` after each
    attempt that failed and will be repeated.
    """

    def __init__(
        self,
        client: EventHubProducerClient,
        partition: str,
        pace: BatchConfig,
        tally: PublishCounts,
        released: Callable[[], None],
        troubled: Callable[[], None],
    ) -> None:
        self._client, self._partition, self._pace, self._tally = client, partition, pace, tally
        self._released, self._troubled = released, troubled
        self._waiting: deque[QueuedEvent] = deque()
        self._in_flight: list[QueuedEvent] = []
        self._bytes = 0
        self._stirred = asyncio.Event()
        self._closing = False
        self._deadline = float("inf")

    def put(self, pending: QueuedEvent) -> None:
        self._waiting.append(pending)
        self._bytes += len(pending.body) + _EVENT_OVERHEAD
        if len(self._waiting) == 1 or self._is_full():
            self._stirred.set()

    def close(self, deadline: float) -> None:
        """Linger no more, and give up at `deadline` (monotonic seconds) what could not be sent by then."""
        self._closing, self._deadline = True, deadline
        self._stirred.set()

    def unkept(self) -> list[QueuedEvent]:
        """What is neither in the hub nor on disk, in order."""
        return [each for each in (*self._in_flight, *self._waiting) if not each.kept]

    async def run(self) -> None:
        """Send until the lane is closed and empty. Should it end before that, nobody waits for it in vain."""
        try:
            while await self._has_batch():
                batch, pending = await self._fill()
                if pending:
                    await self._send(batch, pending)
        finally:
            left = [*self._in_flight, *self._waiting]
            self._settle(left, TransientError(f"partition {self._partition}: its lane has ended early"))

    async def _has_batch(self) -> bool:
        """Wait until a batch is due; False when there is none and none will be."""
        while not self._waiting:
            if self._closing:
                return False
            self._stirred.clear()
            await self._stirred.wait()
        due = self._waiting[0].since + self._pace.linger_s
        while not self._closing and not self._is_full() and (left := due - monotonic()) > 0:
            self._stirred.clear()
            try:
                await asyncio.wait_for(self._stirred.wait(), left)
            except TimeoutError:
                break
        return True

    def _is_full(self) -> bool:
        return len(self._waiting) >= self._pace.events or self._bytes >= self._pace.bytes

    async def _fill(self) -> tuple[EventDataBatch, list[QueuedEvent]]:
        """A batch of what waits, as much as goes in, and what is in it."""
        batch = await self._client.create_batch(partition_id=self._partition)
        taken: list[QueuedEvent] = []
        while self._waiting and len(taken) < self._pace.events:
            pending = self._waiting[0]
            if pending.given_up:
                self._settle([self._next()], TransientError(f"partition {self._partition}: the event was given up"))
                continue
            message = AmqpAnnotatedMessage(data_body=pending.body, annotations={_PARTITION_KEY: pending.partition_key})
            try:
                batch.add(message)
            except ValueError:
                if taken:
                    break
                self._settle([pending], refuse("event", f"{len(pending.body)} bytes", "what the hub's link takes"))
            else:
                taken.append(pending)
            self._next()
        return batch, taken

    def _next(self) -> QueuedEvent:
        pending = self._waiting.popleft()
        self._bytes -= len(pending.body) + _EVENT_OVERHEAD
        return pending

    async def _send(self, batch: EventDataBatch, pending: list[QueuedEvent]) -> None:
        failure: Exception | None = None
        self._in_flight = pending
        try:
            await retry(
                lambda: self._client.send_batch(batch),
                POLICY,
                # What is kept has been accepted: it waits for the operator too.
                lambda error: is_transient(error) or pending[0].kept,
                lambda failed: self._failed(failed.error, pending[0]),
                gives_up=lambda: self._gives_up(pending),
            )
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must learn it
            failure = translate(error, self._client.eventhub_name, monotonic() - pending[0].since)
        self._tally.batches += 1
        self._in_flight = []
        self._settle(pending, failure)

    def _failed(self, error: Exception, oldest: QueuedEvent) -> None:
        """The batch is tried again."""
        self._tally.retries += 1
        if not is_transient(error):
            logger.error("%s", translate(error, self._client.eventhub_name, monotonic() - oldest.since))
        self._troubled()

    def _gives_up(self, pending: list[QueuedEvent]) -> bool:
        if all(each.given_up for each in pending):
            return True
        oldest = pending[0]
        patience = self._deadline if oldest.kept else min(oldest.since + self._pace.patience_s, self._deadline)
        return monotonic() >= patience

    def _settle(self, pending: list[QueuedEvent], failure: Exception | None) -> None:
        for each in pending:
            if failure is None:
                self._tally.sent += 1
                self._tally.bytes += len(each.body)
            elif not each.kept:
                self._tally.failed += 1
            if not each.kept:
                self._released()
            # The sender may have stopped waiting.
            if not each.done.done():
                if failure is None:
                    each.done.set_result("sent")
                else:
                    each.done.set_exception(failure)
