"""The catalog worker as a process of its own, what it is told, and the songs that it writes."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from azure.cosmos.aio import ContainerProxy
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubProducerClient

from cloud import blobs, cosmos, eventhubs
from cloud.settings import read_blobs, read_cosmos, read_eventhubs
from processors.catalog.documents import CONTAINER
from schemas.channels import BLOB_CONTAINERS, DATABASE, MUSIC_EVENTS, SONGS
from schemas.progress import PROGRESS, Progress
from schemas.songs import SongDocument
from tests.support.localcloud import LocalCloud
from tests.support.process import WorkerProcess

# Quick for tests: a killed worker is missed soon.
DIALS = {
    "SONGLINE_CATALOG_FLUSH": "0.2",
    "SONGLINE_CATALOG_LOOK": "0.5",
    "SONGLINE_CATALOG_BALANCE": "0.5",
    "SONGLINE_CATALOG_EXPIRE": "3",
}


class CatalogWorker(WorkerProcess):
    """`python -m processors.catalog` on a localcloud; what it says goes to `log`."""

    def __init__(self, cloud: LocalCloud, log: Path, dials: Mapping[str, str] = DIALS) -> None:
        super().__init__("processors.catalog", {**cloud.environment, **dials}, log)


class Catalog:
    """The hub that the catalog is told from, and the container that it writes."""

    def __init__(self, producer: EventHubProducerClient, container: ContainerProxy) -> None:
        self._producer = producer
        self.container = container

    async def tell(self, *bodies: bytes, partition: str = "0") -> None:
        """Put the bodies into a partition, in one piece."""
        await self._producer.send_batch([EventData(body) for body in bodies], partition_id=partition)

    async def song(self, song_id: str) -> SongDocument | None:
        query = self.container.query_items("SELECT * FROM c", partition_key=song_id)
        return next(iter([msgspec.convert(item, SongDocument) async for item in query]), None)

    async def songs(self) -> dict[str, SongDocument]:
        query = self.container.query_items(f"SELECT * FROM c WHERE c.id != '{PROGRESS}'")
        return {item["id"]: msgspec.convert(item, SongDocument) async for item in query}

    async def progress(self) -> Progress | None:
        query = self.container.query_items("SELECT * FROM c", partition_key=PROGRESS)
        return next(iter([msgspec.convert(item, Progress) async for item in query]), None)

    async def read_up_to(self, positions: Mapping[str, int]) -> bool:
        progress = await self.progress()
        return progress is not None and all(
            partition in progress.partitions and progress.partitions[partition].position >= position
            for partition, position in positions.items()
        )

    async def ends(self) -> dict[str, int]:
        """The sequence number of the last event of each partition, -1 for none."""
        numbers: Iterable[str] = await self._producer.get_partition_ids()
        found = {number: await self._producer.get_partition_properties(number) for number in numbers}
        return {
            number: -1 if state["is_empty"] else state["last_enqueued_sequence_number"]
            for number, state in found.items()
        }


@asynccontextmanager
async def catalog_on(cloud: LocalCloud) -> AsyncIterator[Catalog]:
    """With all containers there."""
    async with (
        cosmos.client(read_cosmos(cloud.environment)) as database,
        blobs.client(read_blobs(cloud.environment)) as places,
        eventhubs.producer(read_eventhubs(cloud.environment), MUSIC_EVENTS) as producer,
    ):
        await cosmos.ensure(database, DATABASE, (CONTAINER,))
        await blobs.ensure(places, BLOB_CONTAINERS)
        yield Catalog(producer, cosmos.container(database, DATABASE, SONGS))
