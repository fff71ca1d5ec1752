"""Events are received by the SDK at the cost that `cloud/eventhub_frames.py` promises."""

import asyncio
from typing import Any

from azure.eventhub import EventData
from azure.eventhub.aio import PartitionContext

from songline.cloud import eventhubs
from songline.cloud.settings import read_eventhubs
from songline.schemas.channels import MUSIC_EVENTS
from tests.support.localcloud import LocalCloud

EVENTS = 2_000


async def test_events_are_received_without_a_task_for_each(shared_localcloud: LocalCloud) -> None:
    settings = read_eventhubs(shared_localcloud.environment)
    made = 0

    def count(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> "asyncio.Task[Any]":
        nonlocal made
        made += 1
        return asyncio.Task(coroutine, loop=loop, **options)

    received: list[EventData] = []
    done = asyncio.Event()

    async def take(context: PartitionContext, events: list[EventData]) -> None:
        received.extend(events)
        if len(received) >= EVENTS:
            done.set()

    async with eventhubs.producer(settings, MUSIC_EVENTS) as producer:
        first = (await producer.get_partition_properties("3"))["last_enqueued_sequence_number"]
        for _ in range(EVENTS // 500):
            await producer.send_batch([EventData(f"{number}") for number in range(500)], partition_id="3")
    async with eventhubs.consumer(settings, MUSIC_EVENTS, "$Default") as consumer:
        asyncio.get_running_loop().set_task_factory(count)
        options: dict[str, Any] = {"partition_id": "3", "starting_position": str(first), "prefetch": EVENTS}
        reading = asyncio.create_task(consumer.receive_batch(take, max_batch_size=EVENTS, **options))
        await asyncio.wait_for(done.wait(), 60)
        asyncio.get_running_loop().set_task_factory(None)
        reading.cancel()
        await asyncio.wait((reading,))
    assert [event.body_as_str() for event in received] == [f"{number}" for number in range(500)] * (EVENTS // 500)
    assert made < EVENTS / 2
