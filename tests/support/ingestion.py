"""The way of a song from outside: an app that uploads, a worker that is a process, and what readers then see."""

import asyncio
import hashlib
import io
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Self

import msgspec
from azure.cosmos.aio import CosmosClient
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient
from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient, ServiceBusSender
from azure.storage.blob.aio import BlobServiceClient

from songline.cloud import blobs, cosmos, eventhubs, servicebus
from songline.cloud.settings import read_blobs, read_cosmos, read_eventhubs, read_servicebus
from songline.processes import emulator_files
from songline.processors.catalog.song_store import CONTAINER as CATALOG
from songline.processors.ingestion.catalog_reader import CatalogReader
from songline.processors.ingestion.ingestion_store import CONTAINER, IngestionStore
from songline.schemas.channels import (
    BLOB_CONTAINERS,
    DATABASE,
    INGESTIONS,
    MUSIC_EVENTS,
    SONG_BLOBS,
    SONG_COMMANDS,
    SONGS,
    UPLOAD_BLOBS,
)
from songline.schemas.commands import PROPERTY, Command, IngestSong, RemoveSong, Upload, encode, read_metadata
from songline.schemas.envelope import Event, decode
from songline.schemas.ingestions import Ingestion
from songline.schemas.songs import Song, SongDocument
from tests.support import process
from tests.support.catalog import stated
from tests.support.localcloud import LocalCloud
from tests.support.waiting import wait_for_async

PEEKED = 50


def queue_with(folder: Path, **properties: object) -> list[str]:
    """Arguments of a localcloud that has the product's queue with other properties; the overlay is made in `folder`."""
    queue = {"Name": SONG_COMMANDS, "Properties": properties}
    overlay = folder / "queue.json"
    overlay.write_text(json.dumps({"UserConfig": {"Namespaces": [{"Name": "sbemulatorns", "Queues": [queue]}]}}))
    return [
        part for file in (*emulator_files.files("servicebus"), overlay) for part in ("--servicebus-config", str(file))
    ]


class App:
    """Everything that a sender and a reader of songs need, against one localcloud."""

    def __init__(self, cloud: LocalCloud) -> None:
        self.environment = cloud.environment
        self.bus: ServiceBusClient = servicebus.client(read_servicebus(self.environment))
        self._sender: ServiceBusSender | None = None
        self.blobs: BlobServiceClient = blobs.client(read_blobs(self.environment))
        self.cosmos: CosmosClient = cosmos.client(read_cosmos(self.environment))
        self.ingestions = IngestionStore(cosmos.container(self.cosmos, DATABASE, INGESTIONS))
        self.catalog = CatalogReader(partial(cosmos.container, self.cosmos, DATABASE))

    async def __aenter__(self) -> Self:
        await cosmos.ensure(self.cosmos, DATABASE, (CONTAINER, CATALOG))
        await blobs.ensure(self.blobs, BLOB_CONTAINERS)
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._sender is not None:
            await self._sender.close()
        await self.bus.close()
        await self.blobs.close()
        await self.cosmos.close()

    async def send(self, command: Command, body: bytes = b"", message_id: str | None = None) -> None:
        message = ServiceBusMessage(
            body,
            message_id=message_id or command.id,
            subject=command.type,
            application_properties={PROPERTY: encode(command).decode()},
        )
        # One for all: to open one takes the SDK longer than a song takes the worker.
        if self._sender is None:
            self._sender = self.bus.get_queue_sender(SONG_COMMANDS)
        await self._sender.send_messages(message)

    async def upload(
        self,
        ingestion_id: str,
        content: bytes,
        *,
        user: str = "user-7",
        name: str | None = None,
        inline: bool = True,
        sha256: str | None = None,
        **metadata: str,
    ) -> Command:
        """Send the command for a file, and the file with it or staged; returns the command."""
        if not inline:
            await self.blobs.get_blob_client(UPLOAD_BLOBS, ingestion_id).upload_blob(
                io.BytesIO(content), overwrite=True
            )
        upload = Upload(
            sha256=sha256 or hashlib.sha256(content).hexdigest(),
            size=len(content),
            content_type="application/octet-stream",
            blob=None if inline else ingestion_id,
        )
        order = IngestSong(user_id=user, upload=upload, file_name=name, metadata=read_metadata(metadata))
        command = Command(id=ingestion_id, source="/tests", time=datetime.now(UTC), data=order)
        await self.send(command, content if inline else b"")
        return command

    async def remove(self, song_id: str, user: str = "user-7") -> None:
        order = RemoveSong(user_id=user, song_id=song_id)
        await self.send(Command(id=f"remove-{song_id}", source="/tests", time=datetime.now(UTC), data=order))

    async def announce(self, song: Song) -> None:
        """Put a song into the catalog that never was an ingestion."""
        container = cosmos.container(self.cosmos, DATABASE, SONGS)
        await container.upsert_item(msgspec.to_builtins(SongDocument(id=song.id, facts={"0": stated(song)})))

    async def settled(self, ingestion_id: str, deadline: float = 60.0) -> Ingestion:
        """The ingestion when its outcome is known and said."""

        async def look() -> Ingestion | None:
            found = await self.ingestions.read(ingestion_id)
            return found if found and (found.settled or found.state == "dead") and not found.outbox else None

        found = await wait_for_async(look, f"ingestion {ingestion_id} to be settled", deadline)
        assert found is not None
        return found

    async def song(self, sha256: str) -> bytes | None:
        """The bytes of a stored song."""
        blob = self.blobs.get_blob_client(SONG_BLOBS, sha256)
        return await (await blob.download_blob()).readall() if await blob.exists() else None

    async def staged(self) -> list[str]:
        return [blob.name async for blob in self.blobs.get_container_client(UPLOAD_BLOBS).list_blobs()]

    async def waiting(self) -> int:
        """How many commands the queue holds."""
        async with self.bus.get_queue_receiver(SONG_COMMANDS) as receiver:
            return len([message async for message in servicebus.peeked(receiver, PEEKED)])

    async def dead_letters(self) -> list[ServiceBusReceivedMessage]:
        queue = self.bus.get_queue_receiver(SONG_COMMANDS, sub_queue=ServiceBusSubQueue.DEAD_LETTER)
        async with queue as receiver:
            return [message async for message in servicebus.peeked(receiver, PEEKED)]

    async def events(self) -> list[Event]:
        """Every event in the hub, partition by partition, in order."""
        consumer = eventhubs.consumer(read_eventhubs(self.environment), MUSIC_EVENTS, "$Default")
        found: list[Event] = []
        async with consumer:
            for partition in await consumer.get_partition_ids():
                state = await consumer.get_partition_properties(partition)
                if state["is_empty"]:
                    continue
                found += await _read(consumer, partition, state["last_enqueued_sequence_number"])
        return found


async def _read(consumer: EventHubConsumerClient, partition: str, last: int) -> list[Event]:
    found: list[Event] = []
    done = asyncio.Event()

    async def take(_: object, event: EventData | None) -> None:
        if event is not None:
            found.append(decode(event.body_as_str().encode()))
            if (event.sequence_number or 0) >= last:
                done.set()

    reading = asyncio.create_task(consumer.receive(take, partition_id=partition, starting_position="-1"))
    await asyncio.wait_for(done.wait(), 60)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    return found


class WorkerProcess(process.WorkerProcess):
    """`python -m songline.processors.ingestion`; what it says goes to `log`."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        super().__init__("songline.processors.ingestion", environment, log)
