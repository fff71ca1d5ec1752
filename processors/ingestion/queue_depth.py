"""The depth of the command queue: the number of waiting commands, and the age of the oldest."""

import asyncio
from collections.abc import Callable, Collection
from contextlib import aclosing, suppress
from datetime import datetime

from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver
from msgspec import Struct

from songline.cloud.servicebus import peeked
from songline.processors.ingestion.message_lock import BROKER_ERRORS
from songline.schemas.channels import SONG_COMMANDS
from songline.schemas.progress_report import PartitionProgress

EVERY_S = 10.0
KNOWN_S = 30.0
COUNTED_MAX = 20
"""The most commands that are peeked. Each may carry a song, and one is in memory at a time."""


class _SeenQueue(Struct, frozen=True):
    at_s: float
    oldest: int | None
    enqueued_at: datetime | None
    waiting: int


class QueueDepth:
    """Peeks at the waiting commands.

    `taken` returns the sequence numbers of the messages that this worker handles. `now` returns the services' time,
    `steady` returns monotonic seconds.
    """

    def __init__(
        self,
        bus: ServiceBusClient,
        taken: Callable[[], Collection[int]],
        now: Callable[[], datetime],
        steady: Callable[[], float],
    ) -> None:
        self._bus = bus
        self._taken = taken
        self._now = now
        self._steady = steady
        self._seen: _SeenQueue | None = None

    def progress(self) -> PartitionProgress | None:
        """The queue as a partition; None if it could not be peeked for half a minute.

        `position` is the sequence number before that of the oldest waiting command. Commands that other workers handle
        count as waiting. `events_behind` is None if it is more than COUNTED_MAX.
        """
        seen = self._seen
        if seen is None or self._steady() - seen.at_s > KNOWN_S:
            return None
        age_s = 0.0 if seen.enqueued_at is None else max(0.0, (self._now() - seen.enqueued_at).total_seconds())
        position = -1 if seen.oldest is None else seen.oldest - 1
        counted = seen.waiting <= COUNTED_MAX
        return PartitionProgress(
            hub=SONG_COMMANDS,
            partition="0",
            position=position,
            end=position + seen.waiting if counted else None,
            events_behind=seen.waiting if counted else None,
            age_seconds=round(age_s, 1),
            events_per_second=None,
            seconds_to_catch_up=0.0 if seen.waiting == 0 else None,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Peek every EVERY_S seconds until `stop`."""
        while not stop.is_set():
            with suppress(*BROKER_ERRORS):
                async with self._bus.get_queue_receiver(SONG_COMMANDS) as receiver:
                    while not stop.is_set():
                        await self._poll(receiver)
                        await _sleep(stop)
            await _sleep(stop)

    async def _poll(self, receiver: ServiceBusReceiver) -> None:
        oldest: int | None = None
        enqueued_at: datetime | None = None
        waiting = 0
        async with aclosing(peeked(receiver, 1)) as messages:
            async for message in messages:
                number = message.sequence_number or 0
                if number in self._taken():
                    continue
                waiting += 1
                if oldest is None:
                    oldest, enqueued_at = number, message.enqueued_time_utc
                if waiting > COUNTED_MAX:
                    break
        self._seen = _SeenQueue(self._steady(), oldest, enqueued_at, waiting)


async def _sleep(stop: asyncio.Event) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), EVERY_S)
