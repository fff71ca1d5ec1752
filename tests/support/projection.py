"""A projection as its tests see it: the hub that it is told from, and the container that it is written to."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

import msgspec
from azure.cosmos.aio import ContainerProxy
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubProducerClient

from songline.cloud import blobs, cosmos, eventhubs
from songline.cloud.settings import read_blobs, read_cosmos, read_eventhubs
from songline.processes.entities import CONTAINERS
from songline.schemas.channels import BLOB_CONTAINERS, DATABASE, MUSIC_EVENTS
from songline.schemas.envelope import Event, encode
from songline.schemas.progress import PROGRESS, WatermarkDocument
from tests.support.localcloud import LocalCloud


class Projection:
    """`producer` is one of `music-events`."""

    def __init__(self, producer: EventHubProducerClient, container: ContainerProxy) -> None:
        self.producer = producer
        self.container = container

    async def tell(self, *events: Event | bytes, partition: str = "0") -> None:
        """Put the events into a partition, in one piece."""
        bodies = [event if isinstance(event, bytes) else encode(event) for event in events]
        await self.producer.send_batch([EventData(body) for body in bodies], partition_id=partition)

    async def progress(self) -> WatermarkDocument | None:
        query = self.container.query_items("SELECT * FROM c", partition_key=PROGRESS)
        return next(iter([msgspec.convert(item, WatermarkDocument) async for item in query]), None)

    async def read_up_to(self, positions: Mapping[str, int]) -> bool:
        progress = await self.progress()
        return progress is not None and all(
            partition in progress.partitions and progress.partitions[partition].position >= position
            for partition, position in positions.items()
        )

    async def ends(self, numbers: Sequence[str] = ()) -> dict[str, int]:
        """The sequence number of the last event of each partition, -1 for none."""
        asked: Iterable[str] = numbers or await self.producer.get_partition_ids()
        found = {number: await self.producer.get_partition_properties(number) for number in asked}
        return {
            number: -1 if state["is_empty"] else state["last_enqueued_sequence_number"]
            for number, state in found.items()
        }


@asynccontextmanager
async def told(cloud: LocalCloud, container: str) -> AsyncIterator[tuple[EventHubProducerClient, ContainerProxy]]:
    """What a projection is made of, with all containers there."""
    async with (
        cosmos.client(read_cosmos(cloud.environment)) as database,
        blobs.client(read_blobs(cloud.environment)) as places,
        eventhubs.producer(read_eventhubs(cloud.environment), MUSIC_EVENTS) as producer,
    ):
        await cosmos.ensure(database, DATABASE, CONTAINERS)
        await blobs.ensure(places, BLOB_CONTAINERS)
        yield producer, cosmos.container(database, DATABASE, container)
