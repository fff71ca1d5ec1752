"""`python -m bench library`: the library worker beside a consumer as the SDK's samples write one.

Measured: from the start of reading until what is read is in Cosmos DB and checkpointed, one after the other, in this
process, against one localcloud (Event Hubs, Cosmos DB, and Azurite for the checkpoints). The worker reads the whole
log, and what it wrote is compared with the events; the other one is stopped after the first SAMPLE_EVENTS, and only
counted. Request units are those that localcloud's model charges.

The other one is made of the SDK's samples: `receive_batch` with a checkpoint store (recv_with_checkpoint_store), and
for each event the document is read, changed and upserted (document_management). A redelivery makes it count twice: it
is here for what it costs, not for what it promises.
"""

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosResourceNotFoundError
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient, PartitionContext
from msgspec import Struct

from songline.cloud import blobs, checkpoints, cosmos, eventhubs
from songline.cloud.settings import read_blobs, read_cosmos, read_eventhubs
from songline.processes.entities import CONTAINERS
from songline.processors.library.config import LibraryConfig
from songline.processors.library.library_store import CONTAINER, LibraryStore
from songline.processors.library.processor import LibraryProcessor
from songline.processors.runtime.projection_config import ProjectionConfig, ProjectionEnvironment
from songline.processors.runtime.projection_worker import ProjectionDefinition, run_projection
from songline.processors.runtime.watermark_store import WatermarkStore
from songline.producers.publishing.publisher import EventPublisher
from songline.producers.simulation.config import SimulationConfig
from songline.producers.simulation.simulator import Simulation
from songline.schemas.channels import CATALOG_GROUP, CHECKPOINT_BLOBS, DATABASE, LIBRARY, LIBRARY_GROUP, MUSIC_EVENTS
from songline.schemas.envelope import Event, decode, encode
from songline.schemas.events import SongLiked, SongPlayed
from songline.schemas.listening import is_listen
from tests.support.localcloud import LocalCloud

EVENTS = 12_000
SAMPLE_EVENTS = 4_000
"""The other one takes so long that it reads the first part only."""

LISTENERS = 400
CHARGE = "x-ms-request-charge"


class Cost(Struct):
    """What a run took: seconds, round trips that wrote and that read, request units."""

    events: int = 0
    seconds: float = 0.0
    writes: int = 0
    reads: int = 0
    charge: float = 0.0

    def line(self, name: str) -> str:
        each = (self.writes / self.events, self.reads / self.events, self.charge / self.events)
        rate = self.events / self.seconds
        return f"  {name:26} {rate:8,.0f} {each[0]:14.3f} {each[1]:13.3f} {each[2]:9.2f}"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        cloud = LocalCloud(Path(folder), ["--blobs"]).start()
        try:
            asyncio.run(_compare(cloud))
        finally:
            cloud.stop()


async def _compare(cloud: LocalCloud) -> None:
    async with (
        cosmos.client(read_cosmos(cloud.environment)) as database,
        blobs.client(read_blobs(cloud.environment)) as places,
    ):
        naive = cosmos.Container("sample", CONTAINER.partition_key, CONTAINER.indexed)
        await cosmos.ensure(database, DATABASE, (*CONTAINERS, naive))
        await blobs.ensure(places, (CHECKPOINT_BLOBS,))
        print(f"  {LISTENERS:,} listeners; an event of the log:")
        print(f"  {'':26} {'events/s':>8} {'writes/event':>14} {'reads/event':>13} {'RU/event':>9}")
        first = await _publish(cloud, 0, SAMPLE_EVENTS)
        sample = await _sample(cloud, cosmos.container(database, DATABASE, "sample"), len(first))
        print(sample.line("one upsert an event"))
        rest = await _publish(cloud, SAMPLE_EVENTS, EVENTS)
        container = cosmos.container(database, DATABASE, LIBRARY)
        ours = await _ours(cloud, container, len(first) + len(rest))
        print(ours.line("the library worker"))
        await _check(container, [*first, *rest])


def _simulated() -> list[Event]:
    config = SimulationConfig(
        rate=EVENTS / 600, listeners=LISTENERS, songs=300, duplicates=0, bots=0, bot_share=0, late=0
    )
    start = datetime.now(UTC) - timedelta(minutes=20)
    return [event for _, event in islice(Simulation(11, start, config), EVENTS)]


async def _publish(cloud: LocalCloud, begin: int, end: int) -> list[Event]:
    events = _simulated()[begin:end]
    async with EventPublisher(read_eventhubs(cloud.environment)) as publisher:
        await asyncio.gather(*[await publisher.submit(encode(event), event.partition_key) for event in events])
    return events


async def _sample(cloud: LocalCloud, container: ContainerProxy, count: int) -> Cost:
    """As the samples have it: one event, one document, one upsert."""
    cost, done = Cost(), asyncio.Event()

    async def on_event_batch(context: PartitionContext, events: list[EventData]) -> None:
        for one in events:
            event = decode(one.body_as_str().encode())
            await _upsert(container, event, cost)
            cost.events += 1
        if events:
            await context.update_checkpoint()
        if cost.events >= count:
            done.set()

    cost.seconds = await _timed(cloud, CATALOG_GROUP, lambda client: _receive(client, on_event_batch), done.wait)
    return cost


async def _upsert(container: ContainerProxy, event: Event, cost: Cost) -> None:
    data = event.data
    item_id = f"song:{data.song_id}"
    item: dict[str, object] = {"id": item_id, "userId": data.user_id, "plays": 0, "liked": False}
    cost.reads += 1
    try:
        found = await container.read_item(item_id, data.user_id)
        cost.charge += float(found.get_response_headers()[CHARGE])
        item = dict(found)
    except CosmosResourceNotFoundError:
        cost.charge += 1
    if isinstance(data, SongPlayed):
        item["plays"] = int(str(item["plays"])) + 1
        item["byPlays"] = f"{item['plays']:>010} {data.song_id}"
        item["byRecent"] = f"{event.time.isoformat()} {data.song_id}"
    elif isinstance(data, SongLiked):
        item |= {"liked": True, "byLiked": f"{event.time.isoformat()} {data.song_id}"}
    written = await container.upsert_item(item)
    cost.writes += 1
    cost.charge += float(written.get_response_headers()[CHARGE])


async def _ours(cloud: LocalCloud, container: ContainerProxy, count: int) -> Cost:
    sizes = LibraryConfig()
    libraries = LibraryStore(container, sizes.room)
    desk = LibraryProcessor(libraries, sizes.writes, sizes.buffer)
    positions = WatermarkStore(container, "userId")
    numbers = ("0", "1", "2", "3")

    async def done() -> None:
        while True:
            reached = [await positions.read(number) for number in numbers]
            if sum(0 if one is None else one.position + 1 for one in reached) >= count:
                return
            await asyncio.sleep(0.1)

    stop = asyncio.Event()
    projection = ProjectionDefinition("library", LIBRARY_GROUP, container.id, "userId", lambda _: desk.open)
    environment = ProjectionEnvironment(cloud.settings(), read_blobs(cloud.environment), ProjectionConfig())
    began = time.perf_counter()
    reading = asyncio.create_task(run_projection(projection, environment, stop, lambda: 0.0))
    await done()
    seconds = time.perf_counter() - began
    stop.set()
    await reading
    figures = libraries.counts
    return Cost(count, seconds, figures.writes, figures.reads, figures.charge)


async def _timed(
    cloud: LocalCloud,
    group: str,
    read: Callable[[EventHubConsumerClient], Awaitable[None]],
    done: Callable[[], Awaitable[object]],
) -> float:
    """How long reading takes until it is done."""
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(checkpoints.store(read_blobs(cloud.environment), CHECKPOINT_BLOBS))
        client = eventhubs.consumer(
            read_eventhubs(cloud.environment), MUSIC_EVENTS, group, checkpoint_store=store, load_balancing_interval=10
        )
        await stack.enter_async_context(client)
        began = time.perf_counter()
        reading = asyncio.ensure_future(read(client))
        await done()
        took = time.perf_counter() - began
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading
        return took


async def _receive(
    client: EventHubConsumerClient, on_event_batch: Callable[[PartitionContext, list[EventData]], Awaitable[None]]
) -> None:
    await client.receive_batch(on_event_batch, starting_position="-1")


async def _check(container: ContainerProxy, events: list[Event]) -> None:
    """Every listen is in somebody's library, once."""
    expected: Counter[str] = Counter()
    for event in events:
        data = event.data
        if isinstance(data, SongPlayed) and is_listen(data.played_ms, data.duration_ms):
            expected[data.user_id] += 1
    query = container.query_items("SELECT c.userId, c.listens FROM c WHERE c.id = 'summary'", max_item_count=1_000)
    found = {item["userId"]: int(item.get("listens", 0)) async for item in query}
    wrong = {user: (found.get(user), count) for user, count in expected.items() if found.get(user) != count}
    assert not wrong, wrong
    print(f"  {sum(expected.values()):,} listens counted, each once")


if __name__ == "__main__":
    main()
