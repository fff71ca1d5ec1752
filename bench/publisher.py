"""EventPublisher beside the bare SDK loop, over one hub, in one process each way: events a second, acknowledged.

Measured from the first event handed in to the last acknowledgement; connecting is not measured. The bare loop is the
SDK's own idiom: create a batch for a partition, add EventData until it is full, send it and await the
acknowledgement. It knows no listener, keeps no partition key and retries nothing.
"""

import asyncio
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from time import perf_counter

from azure.eventhub import EventData
from azure.eventhub.aio import EventHubProducerClient

from songline.cloud.eventhubs import producer
from songline.cloud.settings import EventHubsSettings
from songline.producers.publishing.publisher import EventPublisher
from songline.producers.simulation.config import SimulationConfig
from songline.producers.simulation.simulator import Simulation
from songline.schemas.channels import MUSIC_EVENTS
from songline.schemas.envelope import encode
from tests.support.localcloud import LocalCloud

EVENTS = 20_000
ROUNDS = 3

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
    await asyncio.gather(*[await publisher.submit(body, key) for body, key in bodies])


async def compare(settings: EventHubsSettings) -> dict[str, float]:
    """The best of ROUNDS interleaved rounds of each, in events/s; raises AssertionError when the hub counts less."""
    simulated = islice(Simulation(1, datetime.now(UTC), SimulationConfig(rate=1_000)), EVENTS)
    bodies = [(encode(event), event.partition_key) for _, event in simulated]
    best = {"bare SDK loop": 0.0, "EventPublisher": 0.0}
    async with producer(settings, MUSIC_EVENTS) as client, EventPublisher(settings) as publisher:
        # Both open their links before the clock runs.
        await bare(client, bodies[:10_000])
        await published(publisher, bodies[:1_000])
        before = await _count(client)
        for _ in range(ROUNDS):
            begun = perf_counter()
            await bare(client, bodies)
            best["bare SDK loop"] = max(best["bare SDK loop"], EVENTS / (perf_counter() - begun))
            begun = perf_counter()
            await published(publisher, bodies)
            best["EventPublisher"] = max(best["EventPublisher"], EVENTS / (perf_counter() - begun))
        there = await _count(client) - before
        assert there == 2 * ROUNDS * EVENTS, f"the hub has {there} events of {2 * ROUNDS * EVENTS}"
    return best


async def _count(client: EventHubProducerClient) -> int:
    partitions = [await client.get_partition_properties(each) for each in await client.get_partition_ids()]
    return sum(each["last_enqueued_sequence_number"] + 1 for each in partitions)


def main() -> None:
    """Print both, against a localcloud of their own."""
    with tempfile.TemporaryDirectory() as folder:
        cloud = LocalCloud(Path(folder) / "cloud").start()
        try:
            best = asyncio.run(compare(cloud.settings().eventhubs))
        finally:
            cloud.stop()
    print(f"publishing {EVENTS} events of about 370 bytes, best of {ROUNDS}")
    for name, rate in best.items():
        print(f"  {name:16} {rate:9,.0f} events/s   {rate / best['bare SDK loop']:5.2f} of the bare loop")


if __name__ == "__main__":
    main()
