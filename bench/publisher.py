"""EventPublisher beside the bare SDK loop, over one hub, in one process: events a second of its CPU, acknowledged.

The bare loop is the SDK's own idiom: create a batch for a partition, add EventData until it is full, send it and await
the acknowledgement. It knows no listener, keeps no partition key and retries nothing.
"""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from time import process_time

from azure.eventhub import EventData
from azure.eventhub.aio import EventHubProducerClient

from bench.measurement import Measurement
from songline.cloud.eventhubs import producer
from songline.cloud.settings import EventHubsSettings
from songline.producers.publishing.publisher import EventPublisher
from songline.producers.simulation.config import SimulationConfig
from songline.producers.simulation.simulator import Simulation
from songline.schemas.channels import MUSIC_EVENTS
from songline.schemas.envelope import encode
from tests.support.localcloud import LocalCloud

REGION = (
    "Inside: from the first event handed in to the last acknowledgement, as CPU of the process. Outside: connecting, "
    "and making the events' JSON."
)
EVENTS = 20_000
ROUNDS = 5

Bodies = Sequence[tuple[bytes, str]]


async def bare(client: EventHubProducerClient, bodies: Bodies) -> None:
    partitions = await client.get_partition_ids()
    turn, batch = 0, await client.create_batch(partition_id=partitions[0])
    for body, _ in bodies:
        try:
            batch.add(EventData(body))
        except ValueError:
            await client.send_batch(batch)
            turn += 1
            batch = await client.create_batch(partition_id=partitions[turn % len(partitions)])
            batch.add(EventData(body))
    await client.send_batch(batch)


async def published(publisher: EventPublisher, bodies: Bodies) -> None:
    for outcome in [await publisher.submit(body, key) for body, key in bodies]:
        await outcome


def measure(quick: bool) -> list[Measurement]:
    with tempfile.TemporaryDirectory() as folder:
        cloud = LocalCloud(Path(folder) / "cloud").start()
        try:
            found = asyncio.run(compare(cloud.settings().eventhubs, 5_000 if quick else EVENTS))
        finally:
            cloud.stop()
    per_cpu_s, peer = found["EventPublisher"], found["bare SDK loop"]
    return [
        Measurement(
            row=6,
            what="EventPublisher, events a second of its CPU",
            figure=round(per_cpu_s),
            unit="events/CPU s",
            wanted=">= 2.5",
            ratio=round(per_cpu_s / peer, 2),
            peer="the SDK's add loop",
            peer_figure=round(peer),
        )
    ]


async def compare(settings: EventHubsSettings, events: int) -> dict[str, float]:
    """Events a second of CPU, the medians of ROUNDS interleaved rounds of each way.

    Raises AssertionError when the hub has fewer.
    """
    simulated = islice(Simulation(1, datetime.now(UTC), SimulationConfig(rate=1_000)), events)
    bodies = [(encode(event), event.partition_key) for _, event in simulated]
    async with producer(settings, MUSIC_EVENTS) as client, EventPublisher(settings) as publisher:
        ways: dict[str, Callable[[Bodies], Awaitable[None]]] = {
            "bare SDK loop": partial(bare, client),
            "EventPublisher": partial(published, publisher),
        }
        rounds: dict[str, list[float]] = {name: [] for name in ways}
        # Both open their links before the clock runs: a batch for each of four partitions.
        await bare(client, [*bodies, *bodies][:10_000])
        await published(publisher, bodies[:1_000])
        before = await _count(client)
        for _ in range(ROUNDS):
            for name, way in ways.items():
                begun = process_time()
                await way(bodies)
                rounds[name].append(events / (process_time() - begun))
        there = await _count(client) - before
        assert there == 2 * ROUNDS * events, f"the hub has {there} events of {2 * ROUNDS * events}"
    return {name: median(each) for name, each in rounds.items()}


async def _count(client: EventHubProducerClient) -> int:
    partitions = [await client.get_partition_properties(each) for each in await client.get_partition_ids()]
    return sum(each["last_enqueued_sequence_number"] + 1 for each in partitions)
