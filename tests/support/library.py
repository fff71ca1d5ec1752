"""The library worker as a process of its own, what it is told, and the libraries that it writes."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from azure.cosmos.aio import ContainerProxy
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubProducerClient

from cloud import blobs, cosmos, eventhubs
from cloud.settings import read_blobs, read_cosmos, read_eventhubs
from schemas.channels import BLOB_CONTAINERS, DATABASE, LIBRARY, MUSIC_EVENTS
from schemas.envelope import Event, encode
from schemas.progress import PROGRESS, Progress
from songline.entities import CONTAINERS
from tests.support.library_reference import Shelf, stored
from tests.support.localcloud import LocalCloud
from tests.support.process import WorkerProcess

# Quick for tests: a killed worker is missed soon.
DIALS = {
    "SONGLINE_LIBRARY_FLUSH": "0.2",
    "SONGLINE_LIBRARY_LOOK": "0.5",
    "SONGLINE_LIBRARY_BALANCE": "0.5",
    "SONGLINE_LIBRARY_EXPIRE": "3",
}


class LibraryWorker(WorkerProcess):
    """`python -m processors.library` on a localcloud; what it says goes to `log`."""

    def __init__(self, cloud: LocalCloud, log: Path, dials: Mapping[str, str] = DIALS) -> None:
        super().__init__("processors.library", {**cloud.environment, **dials}, log)


class Libraries:
    """The hub that libraries are told from, and the container that they are written to."""

    def __init__(self, producer: EventHubProducerClient, container: ContainerProxy) -> None:
        self.producer = producer
        self.container = container

    async def tell(self, *events: Event | bytes, partition: str = "0") -> None:
        """Put the events into a partition, in one piece."""
        bodies = [event if isinstance(event, bytes) else encode(event) for event in events]
        await self.producer.send_batch([EventData(body) for body in bodies], partition_id=partition)

    async def all(self) -> dict[str, Shelf | None]:
        query = self.container.query_items("SELECT * FROM c WHERE c.id != @id", parameters=_ID, max_item_count=1000)
        return stored([item async for item in query])

    async def progress(self) -> Progress | None:
        query = self.container.query_items("SELECT * FROM c", partition_key=PROGRESS)
        return next(iter([msgspec.convert(item, Progress) async for item in query]), None)

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


_ID: list[dict[str, object]] = [{"name": "@id", "value": PROGRESS}]


@asynccontextmanager
async def libraries_on(cloud: LocalCloud) -> AsyncIterator[Libraries]:
    """With all containers there."""
    async with (
        cosmos.client(read_cosmos(cloud.environment)) as database,
        blobs.client(read_blobs(cloud.environment)) as places,
        eventhubs.producer(read_eventhubs(cloud.environment), MUSIC_EVENTS) as producer,
    ):
        await cosmos.ensure(database, DATABASE, CONTAINERS)
        await blobs.ensure(places, BLOB_CONTAINERS)
        yield Libraries(producer, cosmos.container(database, DATABASE, LIBRARY))
