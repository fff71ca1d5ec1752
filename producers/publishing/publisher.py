"""Publishing events to the hub: what backend services use.

    async with EventPublisher(settings.eventhubs) as publisher:
        await publisher.publish(event)

The way in is Azure's own client. Around it: batches that fill (by partition, not by listener), a bounded buffer,
retries that keep the order, and errors named after who must act; with an outbox, a disk that keeps what the hub
can't take now.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import lru_cache
from math import inf
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Self, TypeVar

from azure.eventhub._buffered_producer._partition_resolver import PartitionResolver
from azure.eventhub.aio import EventHubProducerClient
from msgspec import structs

from songline.cloud.eventhubs import producer
from songline.cloud.retry import retry
from songline.cloud.settings import EventHubsSettings
from songline.producers.publishing.errors import AccessDeniedError, TransientError, translate
from songline.producers.publishing.outbox import MAX_BYTES, MAX_EVENTS, OutboxFullError
from songline.producers.publishing.partition_sender import (
    LONGEST_PAUSE_S,
    POLICY,
    BatchConfig,
    Outcome,
    PartitionSender,
    PublishCounts,
    QueuedEvent,
)
from songline.producers.publishing.spillover import Spillover
from songline.producers.publishing.store_and_forward import Storage
from songline.schemas.acceptance import MAX_EVENT_BYTES, refuse, validated
from songline.schemas.channels import MUSIC_EVENTS
from songline.schemas.envelope import Event

logger = logging.getLogger("songline.producers.publishing.publisher")

_T = TypeVar("_T")
_REMEMBERED_KEYS = 1 << 17
_OPENING_S = 5.0
_LAST_MOMENT_S = 0.5


class Statistics(PublishCounts):
    """A moment's tally, and how many events are `buffered`: accepted, neither sent nor failed.

    Of these `outbox_events` wait on disk (`outbox_bytes` of keys and bodies), the oldest since `outbox_oldest` (Unix
    seconds).
    """

    buffered: int = 0
    outbox_events: int = 0
    outbox_bytes: int = 0
    outbox_oldest: float | None = None


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
        self._room = asyncio.Semaphore(buffer_events)
        self._tally = PublishCounts()
        self._lanes: dict[str, PartitionSender] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._storage: Storage | None = None
        self._missed = asyncio.Event()
        self._open = False

    async def __aenter__(self) -> Self:
        """Connect; raises TransientError or AccessDeniedError.

        With an outbox the hub may be away (it is connected to later), and OutboxLockedError or OSError say that there
        is no outbox.
        """
        # The SDK's own retries would hide the cause for 12 s; ours keep the order, and stop when we are closed.
        self._client: EventHubProducerClient = producer(
            self._settings, self._hub, retry_total=0, retry_backoff_factor=0
        )
        try:
            if self._path is None:
                await self._connect(self._patience_s)
            else:
                await self._open_storage(self._path)
        except BaseException:
            await self._client.close()
            raise
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.close()
        except TransientError:
            # What ended the block is the news; who waited for an event that failed has been told.
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
        await self._room.acquire()
        if not self._open:
            self._room.release()
            raise RuntimeError("the publisher is not open: publish inside its `async with` block")
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        if self._storage is not None and self._storage.detour.is_on:
            try:
                self._storage.detour.put(body, partition_key, done)
            except OutboxFullError:
                self._room.release()
                raise
        else:
            self._send(QueuedEvent(body, partition_key, monotonic(), done))
        self._tally.accepted += 1
        return done

    def partitions(self) -> list[str]:
        """The partitions of the hub; none until it was reached."""
        return list(self._lanes)

    def partition_of(self, partition_key: str) -> str:
        """The partition that has the events of this key, once the hub was reached."""
        partition: str = self._partition_of(partition_key)
        return partition

    async def close(self, patience_s: float | None = None) -> None:
        """Send what is left, for at most `patience_s` (by default as long as ever), and disconnect.

        Raises TransientError when some of it could not be sent; each such event's `publish` raises too. What an outbox
        keeps is no loss, so with one the wait is short.
        """
        if not self._open:
            return
        self._open = False
        failed = self._tally.failed
        patience_s = self._patience_s if patience_s is None else patience_s
        try:
            if self._storage is None:
                self._close_lanes(monotonic() + patience_s)
                await asyncio.gather(*self._tasks)
            else:
                await self._close_storage(self._storage, min(patience_s, self._spill_after_s))
        finally:
            await self._client.close()
        if lost := self._tally.failed - failed:
            raise TransientError(
                f"{self._hub}: {lost} events were still to be sent and could not be: publish them again"
            )

    def statistics(self) -> Statistics:
        tally = structs.asdict(self._tally)
        buffered = self._tally.accepted - self._tally.sent - self._tally.failed
        if self._storage is None:
            return Statistics(**tally, buffered=buffered)
        outbox = self._storage.outbox
        return Statistics(
            **tally,
            buffered=buffered,
            outbox_events=outbox.events,
            outbox_bytes=outbox.bytes,
            outbox_oldest=outbox.oldest,
        )

    async def _connect(self, patience_s: float) -> None:
        """Learn the partitions, and begin to send; raises TransientError or AccessDeniedError."""
        partitions = await self._patiently(self._client.get_partition_ids, patience_s)
        link = (await self._patiently(self._client.create_batch, patience_s)).max_size_in_bytes
        resolver = PartitionResolver(partitions)  # type: ignore[no-untyped-call]  # the SDK annotates nothing there
        self._partition_of = lru_cache(_REMEMBERED_KEYS)(resolver.get_partition_id_by_partition_key)
        pace = BatchConfig(events=self._batch_events, bytes=link, linger_s=self._linger_s, patience_s=self._patience_s)
        for partition in partitions:
            lane = PartitionSender(self._client, partition, pace, self._tally, self._room.release, self._troubled)
            self._lanes[partition] = lane
            self._tasks.append(asyncio.create_task(lane.run(), name=f"{self._hub}/{partition}"))

    async def _open_storage(self, path: Path) -> None:
        storage = self._storage = await Storage.open(
            path,
            self._outbox_events,
            self._outbox_bytes,
            self._tally,
            self._send,
            self._room.release,
            lambda: self._now().timestamp(),
        )
        self._tally.accepted += storage.outbox.events
        try:
            connecting = storage.start(self._connect_at_last(storage))
            await asyncio.wait(
                [connecting, storage.start(_set(self._missed))],
                timeout=_OPENING_S,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if connecting.done():
                connecting.result()
            if storage.outbox.events or not connecting.done():
                storage.detour.begin()
        except BaseException:
            await storage.close()
            raise
        storage.start(self._watch(storage.detour))

    async def _close_storage(self, storage: Storage, patience_s: float) -> None:
        """Give the hub a moment, then write what it has not taken, and leave the rest to the next process."""
        storage.detour.stop()
        self._close_lanes(inf)
        try:
            await self._lanes_end(patience_s)
            if left := self._unkept():
                storage.detour.begin(left)
            await storage.detour.flush()
            self._close_lanes(monotonic())
            await self._lanes_end(_LAST_MOMENT_S)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            # What was sent on its way over the disk is still to be forgotten.
            sending = storage.detour.is_on and storage.connected.is_set()
            await storage.close(_LAST_MOMENT_S if sending else 0.0)

    async def _lanes_end(self, patience_s: float) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=patience_s)

    async def _connect_at_last(self, storage: Storage) -> None:
        """Connect, however long that takes.

        Raises AccessDeniedError while we are not open yet, and logs it from then on.
        """
        while True:
            try:
                await self._connect(inf)
            except AccessDeniedError as error:
                if not self._open:
                    raise
                logger.error("%s", error)
                await asyncio.sleep(LONGEST_PAUSE_S)
            else:
                storage.connected.set()
                return

    async def _watch(self, detour: Spillover) -> None:
        """See to it that nothing waits in memory for longer than it should: a send can hang without failing."""
        while True:
            await asyncio.sleep(self._spill_after_s)
            before = monotonic() - self._spill_after_s
            if detour.is_on:
                detour.hold_no_longer(before)
            elif any(pending.since < before for pending in self._unkept()):
                detour.begin(self._unkept())

    def _troubled(self) -> None:
        """A batch could not be sent, and will be tried again."""
        if self._storage is None:
            return
        if self._storage.detour.is_on:
            self._storage.detour.hold_no_longer()
        else:
            self._storage.detour.begin(self._unkept())

    def _unkept(self) -> list[QueuedEvent]:
        return [pending for lane in self._lanes.values() for pending in lane.unkept()]

    def _send(self, pending: QueuedEvent) -> None:
        self._lanes[self.partition_of(pending.partition_key)].put(pending)

    def _close_lanes(self, deadline: float) -> None:
        for lane in self._lanes.values():
            lane.close(deadline)

    async def _patiently(self, ask: Callable[[], Awaitable[_T]], patience_s: float) -> _T:
        begun = monotonic()
        try:
            policy = structs.replace(POLICY, limit_s=patience_s)
            return await retry(ask, policy, on_failure=lambda failed: self._missed.set())
        except Exception as error:
            raise translate(error, self._hub, monotonic() - begun) from error


async def _set(event: asyncio.Event) -> None:
    await event.wait()
