"""What the tests do with a hub over and over, with Azure's SDK."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient, EventHubProducerClient, PartitionContext

from localcloud.testing import LocalCloudProcess

DEADLINE = 60.0


@dataclass(frozen=True)
class Hub:
    cloud: LocalCloudProcess
    name: str

    @property
    def connection_string(self) -> str:
        return self.cloud.eventhub_connection_string

    @property
    def port(self) -> int:
        return self.cloud.ports["eventhubs"]

    def producer(self, **options: Any) -> EventHubProducerClient:
        return EventHubProducerClient.from_connection_string(self.connection_string, eventhub_name=self.name, **options)

    def consumer(self, group: str = "$Default", **options: Any) -> EventHubConsumerClient:
        return EventHubConsumerClient.from_connection_string(
            self.connection_string, group, eventhub_name=self.name, **options
        )

    async def send(self, *bodies: str | bytes, **where: Any) -> None:
        """All bodies as one batch; `where` is partition_id or partition_key."""
        async with self.producer() as producer:
            await producer.send_batch([EventData(body) for body in bodies], **where)

    async def receive(self, count: int, *, group: str = "$Default", **options: Any) -> list[tuple[str, EventData]]:
        """`count` events with their partitions, from the beginning unless told otherwise; in order per partition."""
        events, error = await self.listen(lambda events: len(events) >= count, group=group, **options)
        assert error is None
        return events

    async def error(self, **options: Any) -> str:
        """What on_error is told."""
        _, error = await self.listen(lambda _: False, **options)
        return str(error)

    async def listen(
        self,
        enough: Callable[[list[tuple[str, EventData]]], bool],
        *,
        group: str = "$Default",
        retries: int = 0,
        **options: Any,
    ) -> tuple[list[tuple[str, EventData]], Exception | None]:
        """Events until there are `enough`, or an error is told after so many retries."""
        events: list[tuple[str, EventData]] = []
        done = asyncio.Event()
        failure: Exception | None = None

        async def on_event(context: PartitionContext, event: EventData | None) -> None:
            assert event is not None
            events.append((context.partition_id, event))
            if enough(events):
                done.set()

        async def on_error(_: PartitionContext, error: Exception) -> None:
            nonlocal failure
            failure = error
            done.set()

        options.setdefault("starting_position", "-1")
        async with self.consumer(group, retry_total=retries) as consumer:
            receiving = asyncio.create_task(consumer.receive(on_event, on_error=on_error, **options))
            try:
                await asyncio.wait_for(done.wait(), DEADLINE)
            except TimeoutError:
                raise AssertionError(f"only {len(events)} events came in {DEADLINE} s") from None
            finally:
                receiving.cancel()
                await asyncio.gather(receiving, return_exceptions=True)
        return events, failure


def body_of(event: EventData) -> bytes:
    return b"".join(event.body)  # type: ignore[arg-type] # data sections, as these tests send them


def time_of(event: EventData) -> datetime:
    assert event.enqueued_time is not None
    return event.enqueued_time


def bodies(events: list[tuple[str, EventData]]) -> list[str]:
    return [event.body_as_str() for _, event in events]
