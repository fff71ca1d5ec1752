"""Publishing events to the hub: what backend services use.

    async with EventPublisher(settings.eventhubs) as publisher:
        await publisher.publish(event)

The way in is Azure's own client. Around it: batches that fill (by partition, not by listener), a bounded buffer,
retries that keep the order, and errors named after who must act.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import lru_cache
from time import monotonic
from types import TracebackType
from typing import Self, TypeVar

from azure.eventhub._buffered_producer._partition_resolver import PartitionResolver
from azure.eventhub.aio import EventHubProducerClient
from msgspec import structs
from tenacity import AsyncRetrying, retry_if_exception, stop_after_delay, wait_random_exponential

from cloud.eventhubs import producer
from cloud.settings import EventHubs
from producers.failures import Broken, is_passing, named
from producers.lane import LONGEST_PAUSE_S, Lane, Pace, Pending, Tally
from schemas.acceptance import MAX_EVENT_BYTES, refuse, validated
from schemas.channels import MUSIC_EVENTS
from schemas.envelope import Event

_T = TypeVar("_T")
_REMEMBERED_KEYS = 1 << 17


class Statistics(Tally):
    """A moment's tally, and how many events are `buffered`: accepted, neither sent nor failed."""

    buffered: int = 0


class EventPublisher:
    """Sends events to `hub`, each listener's in the order in which they were published.

    A batch goes when it has `batch_events` events, or as many bytes as the link takes, or when its oldest event
    waited for `linger_ms`. At most `buffer_events` events are unacknowledged at a time; `publish` waits for room.
    What can pass by itself is tried again for `patience_s`. `now` is what times are checked against.
    """

    def __init__(
        self,
        settings: EventHubs,
        hub: str = MUSIC_EVENTS,
        *,
        batch_events: int = 500,
        linger_ms: float = 5.0,
        buffer_events: int = 10_000,
        patience_s: float = 60.0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings, self._hub, self._now = settings, hub, now
        self._batch_events, self._linger_s, self._patience_s = batch_events, linger_ms / 1000, patience_s
        self._room = asyncio.Semaphore(buffer_events)
        self._tally = Tally()
        self._lanes: dict[str, Lane] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._open = False

    async def __aenter__(self) -> Self:
        """Connect; raises Broken or Forbidden."""
        # The SDK's own retries would hide the cause for 12 s; ours keep the order, and stop when we are closed.
        self._client: EventHubProducerClient = producer(
            self._settings, self._hub, retry_total=0, retry_backoff_factor=0
        )
        try:
            partitions = await self._patiently(self._client.get_partition_ids)
            link = (await self._patiently(self._client.create_batch)).max_size_in_bytes
        except BaseException:
            await self._client.close()
            raise
        resolver = PartitionResolver(partitions)  # type: ignore[no-untyped-call]  # the SDK annotates nothing there
        self._partition_of = lru_cache(_REMEMBERED_KEYS)(resolver.get_partition_id_by_partition_key)
        pace = Pace(events=self._batch_events, bytes=link, linger_s=self._linger_s, patience_s=self._patience_s)
        for partition in partitions:
            lane = Lane(self._client, partition, pace, self._tally, self._room.release)
            self._lanes[partition] = lane
            self._tasks.append(asyncio.create_task(lane.run(), name=f"{self._hub}/{partition}"))
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.close()
        except Broken:
            # What ended the block is the news; who waited for an event that failed has been told.
            if error is None:
                raise

    async def publish(self, event: Event) -> None:
        """Return when the hub has the event; raises Refused, Broken or Forbidden.

        Giving up waiting (a cancelled task) doesn't take the event back.
        """
        await self.publish_bytes(validated(event, self._now()), event.partition_key)

    async def publish_bytes(self, body: bytes, partition_key: str) -> None:
        """`publish` for an encoded event that `schemas.acceptance.accept` has passed already."""
        await (await self.submit(body, partition_key))

    async def submit(self, body: bytes, partition_key: str) -> asyncio.Future[None]:
        """`publish_bytes` in two steps: return when there is room for the event, with what tells when the hub has it.

        For senders of many events: one coroutine can keep the whole buffer busy, and in order.
        """
        if len(body) > MAX_EVENT_BYTES:
            raise refuse("event", f"{len(body)} bytes", f"at most {MAX_EVENT_BYTES} bytes")
        await self._room.acquire()
        if not self._open:
            self._room.release()
            raise RuntimeError("the publisher is not open: publish inside its `async with` block")
        done = asyncio.get_running_loop().create_future()
        self._tally.accepted += 1
        self._lanes[self._partition_of(partition_key)].put(Pending(body, partition_key, monotonic(), done))
        return done

    async def close(self, patience_s: float | None = None) -> None:
        """Send what is left, for at most `patience_s` (by default as long as ever), and disconnect.

        Raises Broken when some of it could not be sent; each such event's `publish` raises too.
        """
        if not self._open:
            return
        self._open = False
        failed = self._tally.failed
        deadline = monotonic() + (self._patience_s if patience_s is None else patience_s)
        for lane in self._lanes.values():
            lane.close(deadline)
        try:
            await asyncio.gather(*self._tasks)
        finally:
            await self._client.close()
        if lost := self._tally.failed - failed:
            raise Broken(f"{self._hub}: {lost} events were still to be sent and could not be: publish them again")

    def statistics(self) -> Statistics:
        tally = self._tally
        return Statistics(**structs.asdict(tally), buffered=tally.accepted - tally.sent - tally.failed)

    async def _patiently(self, ask: Callable[[], Awaitable[_T]]) -> _T:
        begun = monotonic()
        try:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception(is_passing),
                wait=wait_random_exponential(multiplier=0.1, max=LONGEST_PAUSE_S),
                stop=stop_after_delay(self._patience_s),
                reraise=True,
            ):
                with attempt:
                    return await ask()
        except Exception as error:
            raise named(error, self._hub, monotonic() - begun) from error
        raise AssertionError("tenacity returns or raises")
