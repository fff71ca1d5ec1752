"""Events are received at the cost that `cloud/eventhub_frames.py` promises, whatever they are made of."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient, EventHubProducerClient, PartitionContext

from localcloud.amqp.message import section
from localcloud.amqp.types import Char
from songline.cloud import eventhubs
from songline.cloud.settings import read_eventhubs
from songline.processors.runtime.event_data import record_of
from songline.schemas.channels import MUSIC_EVENTS
from tests.support.localcloud import LocalCloud

EVENTS = 2_000
PARTITION = "3"


@asynccontextmanager
async def consumer_of(cloud: LocalCloud) -> AsyncIterator[EventHubConsumerClient]:
    async with eventhubs.consumer(read_eventhubs(cloud.environment), MUSIC_EVENTS, "$Default") as consumer:
        yield consumer


@asynccontextmanager
async def producer_and_last(cloud: LocalCloud) -> AsyncIterator[tuple[EventHubProducerClient, int]]:
    async with eventhubs.producer(read_eventhubs(cloud.environment), MUSIC_EVENTS) as producer:
        yield producer, (await producer.get_partition_properties(PARTITION))["last_enqueued_sequence_number"]


async def receive(consumer: EventHubConsumerClient, after: int, count: int) -> list[EventData]:
    received: list[EventData] = []
    done = asyncio.Event()

    async def take(context: PartitionContext, events: list[EventData]) -> None:
        received.extend(events)
        if len(received) >= count:
            done.set()

    options: dict[str, Any] = {"partition_id": PARTITION, "starting_position": str(after), "prefetch": EVENTS}
    reading = asyncio.create_task(consumer.receive_batch(take, max_batch_size=EVENTS, **options))
    await asyncio.wait_for(done.wait(), 60)
    reading.cancel()
    await asyncio.wait((reading,))
    return received


async def test_events_are_received_without_a_task_for_each(shared_localcloud: LocalCloud) -> None:
    made = 0

    def count(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> "asyncio.Task[Any]":
        nonlocal made
        made += 1
        return asyncio.Task(coroutine, loop=loop, **options)

    async with producer_and_last(shared_localcloud) as (producer, last):
        for _ in range(EVENTS // 500):
            await producer.send_batch([EventData(f"{number}") for number in range(500)], partition_id=PARTITION)
    async with consumer_of(shared_localcloud) as consumer:
        asyncio.get_running_loop().set_task_factory(count)
        received = await receive(consumer, last, EVENTS)
        asyncio.get_running_loop().set_task_factory(None)
    assert [event.body_as_str() for event in received] == [f"{number}" for number in range(500)] * (EVENTS // 500)
    assert [event.sequence_number for event in received] == list(range(last + 1, last + 1 + EVENTS))
    assert made < EVENTS / 5


async def test_what_a_sender_writes_beside_the_body_stops_nobody(shared_localcloud: LocalCloud) -> None:
    """The SDK by itself can't decode some of AMQP's types, and reads such an event for ever."""
    bodies = [b"before", b"{}", b"x" * 200_000, b"after"]
    grade = section(0x74, {"grade": Char("x")})
    messages = [grade + section(0x75, body) for body in bodies]
    # Two sections are no body. The hub hands them on as they were sent, with a descriptor that the SDK doesn't know.
    messages.insert(1, grade + (b"\x00\x80" + (0x75).to_bytes(8) + b"\xa0\x01x") * 2)
    bodies.insert(1, b"")
    async with producer_and_last(shared_localcloud) as (producer, last):
        for encoded in messages:
            batch = await producer.create_batch(partition_id=PARTITION)
            batch.add(EventData(b"placeholder"))
            batch._message[5][0] = encoded
            await producer.send_batch(batch)
    async with consumer_of(shared_localcloud) as consumer:
        received = await receive(consumer, last, len(bodies))
    records = [record_of(event) for event in received]
    assert [record.body for record in records] == bodies
    assert [record.position for record in records] == list(range(last + 1, last + 1 + len(bodies)))
    assert all(record.enqueued_at is not None for record in records)
