"""What a hub itself holds: the events behind those of its archive, read up to an end that is fixed beforehand."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress

from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient
from azure.eventhub.exceptions import EventHubError

from songline.cloud.concurrency import end_task
from songline.processors.history.archive.capture_records import Records
from songline.processors.history.archive.errors import HubUnreadableError
from songline.processors.runtime.event_data import body_of, position_of
from songline.processors.runtime.gap_detection import following_events
from songline.processors.runtime.hub_metadata import HubDescription, HubMetadata
from songline.processors.runtime.resume_point import HubState

BATCH = 1_000
STALL_S = 30.0
"""The hub has so long to give the next event that it says it has, over all mending of connections."""
AHEAD = 4
"""Batches that wait to be read."""


class HubTail:
    """A hub whose events are read beside its workers: in a consumer group of its own, and without an owner level, so
    that nobody is disconnected.

    `open_consumer` makes a client, which is closed after one reading.
    """

    def __init__(self, open_consumer: Callable[[], EventHubConsumerClient], metadata: HubMetadata) -> None:
        self._open_consumer = open_consumer
        self._metadata = metadata

    async def describe(self) -> HubDescription:
        """When the hub was created, and its partitions. Raises EventHubError."""
        return await self._metadata.describe()

    async def read_state(self, partition: str) -> HubState | None:
        """The hub's creation, and where the partition begins and ends now; None where the hub lacks it. Raises
        EventHubError."""
        described = await self.describe()
        if partition not in described.partitions:
            return None
        return HubState(described.created_at, *await self._metadata.read_ends(partition))

    async def read(self, partition: str, first: int, last: int) -> AsyncGenerator[Records | int]:
        """The events from position `first` to `last`, each once and without gaps. Where the next one is not there any
        more, the position of the one that comes instead, and nothing after it. Raises HubUnreadableError."""
        batches: asyncio.Queue[list[EventData] | Exception] = asyncio.Queue(AHEAD)

        async def take(_: object, events: list[EventData]) -> None:
            await batches.put(events)

        async def fail(_: object, error: Exception) -> None:
            await batches.put(error)

        async with self._open_consumer() as consumer:
            receiving = asyncio.create_task(
                consumer.receive_batch(
                    take,
                    on_error=fail,
                    partition_id=partition,
                    starting_position=first,
                    starting_position_inclusive=True,
                    max_batch_size=BATCH,
                    prefetch=BATCH,
                )
            )
            try:
                expected = first
                while expected <= last:
                    events = await self._next(batches, partition, expected, last)
                    found = following_events(expected, [position_of(event) for event in events])
                    fresh = [events[index] for index in found.fresh if position_of(events[index]) <= last]
                    if fresh:
                        yield _records(fresh)
                        expected = position_of(fresh[-1]) + 1
                    if found.gap is not None and expected <= last:
                        yield found.gap
                        return
            finally:
                with suppress(EventHubError):
                    await end_task(receiving)

    async def read_on(self, partition: str, first: int, last: int) -> AsyncGenerator[Records]:
        """As `read`, and what comes instead where the hub's retention goes on meanwhile."""
        while first <= last:
            following = last + 1
            async with aclosing(self.read(partition, first, last)) as found:
                async for records in found:
                    if isinstance(records, int):
                        following = records
                    else:
                        yield records
            first = following

    async def _next(
        self, batches: asyncio.Queue[list[EventData] | Exception], partition: str, expected: int, last: int
    ) -> list[EventData]:
        """The next events. The SDK mends connections by itself, so that an error is only told after a while."""
        error: Exception | None = None
        with suppress(TimeoutError):
            async with asyncio.timeout(STALL_S):
                while True:
                    found = await batches.get()
                    if not isinstance(found, Exception):
                        return found
                    error = found
        why = f"{error}" if error is not None else f"no event came for {STALL_S:.0f} s"
        message = f"partition {partition} of the hub gives nothing from position {expected} on, expected up to {last}"
        raise HubUnreadableError(f"{message}: {why}; try again") from error


def _records(events: list[EventData]) -> Records:
    seconds = []
    for event in events:
        assert event.enqueued_time is not None, "the SDK gives none only to events that were not received"
        seconds.append(int(event.enqueued_time.timestamp() // 1))
    return Records([position_of(event) for event in events], seconds, [body_of(event) for event in events])
