"""Publishing events to the hub: what backend services use.

    async with EventPublisher(settings.eventhubs) as publisher:
        await publisher.publish(event)

The way in is Azure's own client. Around it: batches that fill (by partition, not by listener), a bounded buffer,
retries that keep the order, and errors named after what the caller does about them; with an outbox, a disk that keeps
what the hub can't take now. `publisher_state` decides, and has all states; what is here and in `partition_sender` and
`spillover` carries its decisions out.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Self, TypeVar

from azure.eventhub.aio import EventHubProducerClient
from msgspec import structs

from songline.cloud.eventhubs import producer
from songline.cloud.retry import retry
from songline.cloud.settings import EventHubsSettings
from songline.producers.publishing.buffer_room import BufferRoom
from songline.producers.publishing.errors import AccessDeniedError, OutboxFullError, TransientError
from songline.producers.publishing.hub_answer import LEAST_S, answer_limit_s, answered
from songline.producers.publishing.hub_errors import translate
from songline.producers.publishing.outbox import MAX_BYTES, MAX_EVENTS
from songline.producers.publishing.partition_sender import RETRIES, PartitionSender
from songline.producers.publishing.publisher_state import PublisherState
from songline.producers.publishing.spillover import Spillover
from songline.producers.publishing.state import (
    NOTHING,
    BatchConfig,
    Effects,
    Outcome,
    PublishCounts,
    PublisherPhase,
    QueuedEvent,
)
from songline.schemas.acceptance import MAX_EVENT_BYTES, refuse, validated
from songline.schemas.channels import MUSIC_EVENTS
from songline.schemas.envelope import Event
from songline.schemas.partition_key import key_hash

logger = logging.getLogger("songline.producers.publishing.publisher")

_T = TypeVar("_T")
_OPENING_S = 5.0
_LAST_MOMENT_S = 0.5
_FAREWELL_S = 2.0
"""How long the SDK may take to disconnect, which it does not end where a hub that hangs takes nothing more."""


class Statistics(PublishCounts):
    """A moment's tally, and how many events are `buffered`: accepted, neither sent nor failed.

    Of these `outbox_events` wait on disk (`outbox_bytes` of keys and bodies), the oldest since `outbox_oldest` (Unix
    seconds). `outbox_damaged` are not what was accepted any more, and are not sent.
    """

    buffered: int = 0
    outbox_events: int = 0
    outbox_bytes: int = 0
    outbox_oldest: float | None = None
    outbox_damaged: int = 0


class EventPublisher:
    """Sends events to `hub`, each listener's in the order in which they were published.

    A batch goes when it has `batch_events` events, or as many bytes as the link takes, or when its oldest event
    waited for `linger_ms`. At most `buffer_events` events are unacknowledged at a time; `publish` waits for room.
    What can pass by itself is tried again for `patience_s`. `now` is what times are checked against.

    With a file as `outbox`, an event that the hub did not take at once, or within `spill_after_s`, is kept there and
    accepted with that; it is sent when the hub can be reached, if need be by the next process with that outbox. No more
    than `outbox_events` and `outbox_bytes` are kept.
    """

    def __init__(
        self,
        settings: EventHubsSettings,
        hub: str = MUSIC_EVENTS,
        *,
        batch_events: int = 500,
        linger_ms: float = 5.0,
        buffer_events: int = 10_000,
        patience_s: float = 60.0,
        outbox: Path | None = None,
        outbox_events: int = MAX_EVENTS,
        outbox_bytes: int = MAX_BYTES,
        spill_after_s: float = 1.0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings, self._hub, self._now = settings, hub, now
        self._batch_events, self._linger_s, self._patience_s = batch_events, linger_ms / 1000, patience_s
        self._path, self._spill_after_s = outbox, spill_after_s
        self._outbox_events, self._outbox_bytes = outbox_events, outbox_bytes
        self._room = BufferRoom(buffer_events)
        self._state = PublisherState()
        self._senders: dict[str, PartitionSender] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._spillover: Spillover | None = None

    async def __aenter__(self) -> Self:
        """Connect; raises TransientError or AccessDeniedError.

        With an outbox the hub may be away (it is connected to later), and OutboxLockedError or OSError say that there
        is no outbox.
        """
        # The SDK's own retries would hide the cause for 12 s; ours keep the order, and stop when we are closed.
        self._client: EventHubProducerClient = producer(
            self._settings, self._hub, retry_total=0, retry_backoff_factor=0
        )
        self._state, self._senders, self._tasks = PublisherState(self._state.counts), {}, []
        self._state.open()
        try:
            if self._path is None:
                await self._connect(self._patience_s)
                self._execute(self._state.opened())
            else:
                await self._open_spillover(self._path)
        except BaseException:
            self._state.open_failed()
            await self._disconnect()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.close()
        except TransientError:
            # What ended the block is the news; each `publish` of an event that failed has raised too.
            if error is None:
                raise

    async def publish(self, event: Event) -> Outcome:
        """Return when the hub, or else the outbox, has the event.

        Raises ContractViolationError, TransientError (or its kind OutboxFullError) and AccessDeniedError.

        Giving up waiting (a cancelled task) doesn't take the event back.
        """
        return await self.publish_bytes(validated(event, self._now()), event.partition_key)

    async def publish_bytes(self, body: bytes, partition_key: str) -> Outcome:
        """`publish` for an encoded event that `songline.schemas.acceptance.accept` has passed already."""
        return await (await self.submit(body, partition_key))

    async def submit(self, body: bytes, partition_key: str) -> asyncio.Future[Outcome]:
        """`publish_bytes` in two steps: return when there is room for the event, with what tells when it is accepted.

        For senders of many events: one coroutine can keep the whole buffer busy, and in order. Raises OutboxFullError.
        """
        if len(body) > MAX_EVENT_BYTES:
            raise refuse("event", f"{len(body)} bytes", f"at most {MAX_EVENT_BYTES} bytes")
        await self._room.take()
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        try:
            effects = self._state.accept(QueuedEvent(body, partition_key, monotonic(), done))
        except (OutboxFullError, RuntimeError):
            self._room.give_back(1)
            raise
        if effects is not NOTHING:
            self._execute(effects)
        return done

    def partitions(self) -> list[str]:
        """The partitions of the hub; none until it was reached."""
        return list(self._senders)

    def partition_of(self, partition_key: str) -> str:
        """The partition that has the events of this key, once the hub was reached."""
        return self._partition_of(partition_key)

    async def close(self, patience_s: float | None = None) -> None:
        """Send what is left, for at most `patience_s` (by default as long as ever), and disconnect. What is on its way
        then has LEAST_S at least.

        Raises TransientError when some of it could not be sent; each such event's `publish` raises too. What an outbox
        keeps is no loss, so with one the wait is short.
        """
        if not self._state.is_open:
            return
        counts = self._state.counts
        failed = counts.failed
        patience_s = self._patience_s if patience_s is None else patience_s
        try:
            if self._spillover is None:
                await self._close_senders(patience_s)
            else:
                await self._close_spillover(self._spillover, min(patience_s, self._spill_after_s))
        finally:
            if self._state.phase is PublisherPhase.CLOSING:
                self._execute(self._state.closed())
            await self._disconnect()
        if lost := counts.failed - failed:
            raise TransientError(
                f"{self._hub}: {lost} events were still to be sent and could not be: publish them again"
            )

    def statistics(self) -> Statistics:
        counts = self._state.counts
        found = Statistics(**structs.asdict(counts), buffered=counts.accepted - counts.sent - counts.failed)
        if self._spillover is not None:
            outbox = self._spillover.outbox
            found.outbox_events, found.outbox_bytes, found.outbox_oldest = outbox.events, outbox.bytes, outbox.oldest
            found.outbox_damaged = outbox.damaged
        return found

    def _execute(self, effects: Effects) -> None:
        """Carry out what the state has decided."""
        for done, outcome in effects.answers:
            # The sender may have stopped waiting.
            if done.done():
                continue
            if isinstance(outcome, Exception):
                done.set_exception(outcome)
            else:
                done.set_result(outcome)
        if effects.released:
            self._room.give_back(effects.released)
        for partition in effects.wake_senders:
            self._senders[partition].wake()
        if self._spillover is not None:
            self._spillover.wake(effects)

    async def _connect(self, patience_s: float, on_failure: Callable[[], None] = lambda: None) -> None:
        """Learn the partitions, and begin to send; raises TransientError or AccessDeniedError.

        `on_failure` is called for each try that failed and is followed by another one.
        """
        partitions = await self._retried(self._client.get_partition_ids, patience_s, on_failure)
        batch = await self._retried(self._client.create_batch, patience_s, on_failure)
        if self._state.phase not in (PublisherPhase.OPENING, PublisherPhase.OPEN):
            return

        def partition_of(key: str) -> str:
            return partitions[key_hash(key) % len(partitions)]

        self._partition_of = partition_of
        config = BatchConfig(
            events=self._batch_events,
            bytes=batch.max_size_in_bytes,
            linger_s=self._linger_s,
            patience_s=self._patience_s,
        )
        effects = self._state.connected(partitions, partition_of, config)
        for partition in partitions:
            sender = PartitionSender(self._client, partition, self._state, self._execute)
            self._senders[partition] = sender
            self._tasks.append(asyncio.create_task(sender.run(), name=f"{self._hub}/{partition}"))
        self._execute(effects)

    async def _retried(
        self, call: Callable[[], Awaitable[_T]], patience_s: float, on_failure: Callable[[], None]
    ) -> _T:
        begun = monotonic()
        policy = structs.replace(RETRIES, limit_s=patience_s)

        def attempt() -> Awaitable[_T]:
            return answered(call(), answer_limit_s(begun + patience_s - monotonic()))

        try:
            return await retry(attempt, policy, on_failure=lambda failed: on_failure())
        except Exception as error:
            raise translate(error, self._hub, monotonic() - begun) from error

    async def _open_spillover(self, path: Path) -> None:
        spillover = self._spillover = await Spillover.open(
            path,
            self._outbox_events,
            self._outbox_bytes,
            self._state,
            self._execute,
            lambda: self._now().timestamp(),
        )
        missed = asyncio.Event()
        try:
            connecting = spillover.start(self._connect_at_last(missed))
            await asyncio.wait(
                [connecting, spillover.start(_set(missed))],
                timeout=_OPENING_S,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if connecting.done():
                connecting.result()
        except BaseException:
            await spillover.close(0.0)
            raise
        self._execute(self._state.opened(spillover.outbox))
        spillover.start(self._watch())

    async def _close_senders(self, patience_s: float) -> None:
        self._execute(self._state.close(monotonic() + patience_s))
        try:
            await self._senders_end(max(patience_s, LEAST_S))
        finally:
            await self._cancel_senders()
        for task in self._tasks:
            if not task.cancelled():
                task.result()

    async def _close_spillover(self, spillover: Spillover, patience_s: float) -> None:
        """Give the hub a moment, then write what it has not taken, and leave the rest to the next process."""
        self._execute(self._state.close(inf))
        try:
            await self._senders_end(patience_s)
            self._execute(self._state.store_rest())
            await spillover.flush()
            self._execute(self._state.give_up(monotonic()))
            await self._senders_end(_LAST_MOMENT_S)
        finally:
            await self._cancel_senders()
            self._execute(self._state.closed())
            await spillover.close(_LAST_MOMENT_S)

    async def _senders_end(self, patience_s: float) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=patience_s)

    async def _cancel_senders(self) -> None:
        """End the senders that wait for a hub which does not answer."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _disconnect(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_FAREWELL_S):
                await self._client.close()

    async def _connect_at_last(self, missed: asyncio.Event) -> None:
        """Connect, however long that takes; `missed` is set once a try has failed.

        Raises AccessDeniedError while the publisher is not open yet, and logs it from then on.
        """
        while True:
            try:
                await self._connect(inf, missed.set)
            except AccessDeniedError as error:
                if self._state.phase is PublisherPhase.OPENING:
                    raise
                logger.error("%s", error)
                await asyncio.sleep(RETRIES.longest_pause_s)
            else:
                return

    async def _watch(self) -> None:
        """See to it that nothing waits in memory for longer than it should."""
        while True:
            await asyncio.sleep(self._spill_after_s)
            self._execute(self._state.watch(monotonic() - self._spill_after_s))


async def _set(event: asyncio.Event) -> None:
    await event.wait()
