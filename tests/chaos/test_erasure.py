"""A listener is forgotten by a running system: in everything that its services hold, only the receipt is found."""

import asyncio
import io
import json
from base64 import b64decode
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cramjam
import fastavro
import httpx
import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from azure.eventhub import EventData
from azure.servicebus import ServiceBusSubQueue
from click.testing import CliRunner

from songline.cli import main
from songline.cloud.kafka import client_options
from songline.cloud.servicebus import peeked
from songline.cloud.settings import read_eventhubs
from songline.processes import emulator_files
from songline.processors.trending.action_hashes import id_hash
from songline.schemas.channels import ARCHIVE_BLOBS, CATALOG, HUBS, MUSIC_EVENTS, NAMES, SONG_COMMANDS
from songline.schemas.envelope import Event, encode
from songline.schemas.events import NameMatched, SongPlayed
from songline.schemas.library.action_run import RunFormatError, decode_run
from songline.schemas.song_names import song_name
from tests.support import audio
from tests.support.api import ApiProcess
from tests.support.catalog import CatalogWorker
from tests.support.erasure import ErasureSystem, erasure_system, events_of
from tests.support.histories import Heard, listenbrainz_row
from tests.support.ingestion import App
from tests.support.ingestion import WorkerProcess as IngestionWorker
from tests.support.library import LibraryWorker
from tests.support.localcloud import LocalCloud
from tests.support.process import WorkerProcess
from tests.support.waiting import wait_for_async
from tests.support.worker import TrendingWorker

USER, OTHER = "anna-of-the-hill", "benno-of-the-dale"
RETENTION_S = 120
BEGAN_MS = 1_616_432_100_000
QUIET_STREET = song_name("Quiet Street 0", ("Benno Falk",))
"""A song that both histories have, and nobody has uploaded."""
CATALOG_PLACE = f"hub {CATALOG}"
"""Where the uploader of a song that stays is until compaction has dropped the former record of the song."""

CODECS = (cramjam.gzip, cramjam.zlib, cramjam.deflate, cramjam.snappy, cramjam.lz4, cramjam.zstd)


def needles(user_id: str) -> tuple[bytes, ...]:
    """The id, and what is derived from it without a key."""
    words = id_hash(user_id)
    return user_id.encode(), b"".join(word.to_bytes(8, "little") for word in words)


async def everything(system: ErasureSystem) -> AsyncIterator[tuple[str, bytes]]:
    """All that the services hold: where it is, and its bytes, decoded and as they are."""
    async for container in system.database.list_containers():
        client = system.database.get_container_client(container["id"])
        async for item in client.query_items("SELECT * FROM c"):
            yield f"container {container['id']}", json.dumps(item).encode()
            for text in texts(item):
                yield f"container {container['id']}", unpacked(text)
    async for place in system.app.blobs.list_containers():
        blobs = system.app.blobs.get_container_client(place.name)
        async for blob in blobs.list_blobs():
            data = await (await blobs.download_blob(blob.name)).readall()
            yield f"blobs {place.name}", blob.name.encode() + data + str(blob.metadata).encode()
            if blob.name.endswith(".avro"):
                for record in fastavro.reader(io.BytesIO(data)):
                    yield f"blobs {place.name}", str(record).encode()
    for sub_queue in (None, ServiceBusSubQueue.DEAD_LETTER):
        options: dict[str, Any] = {} if sub_queue is None else {"sub_queue": sub_queue}
        async with system.app.bus.get_queue_receiver(SONG_COMMANDS, **options) as receiver:
            async for message in peeked(receiver, 20):
                yield "queue", str(message).encode() + str(message.application_properties).encode()
    for hub in HUBS:
        async for record in records(system, hub):
            yield f"hub {hub}", record


async def records(system: ErasureSystem, hub: str) -> AsyncIterator[bytes]:
    """Each record of a hub over Kafka: key, value and headers, as they are and decoded."""
    options = client_options(read_eventhubs(system.app.environment))
    consumer = AIOKafkaConsumer(**options, enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = [TopicPartition(hub, number) for number in await partitions_of(consumer, hub)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        while any([await consumer.position(one) < ends[one] for one in partitions]):
            for batch in (await consumer.getmany(timeout_ms=500)).values():
                for record in batch:
                    yield (record.key or b"") + b" " + str(record.headers).encode()
                    for layer in layers(record.value or b""):
                        yield layer
    finally:
        await consumer.stop()


async def partitions_of(consumer: AIOKafkaConsumer, hub: str) -> list[int]:
    await consumer._client.force_metadata_update()
    consumer.subscribe([hub])
    found = consumer.partitions_for_topic(hub) or set()
    consumer.unsubscribe()
    return sorted(found)


def layers(data: bytes) -> Iterator[bytes]:
    """`data`, what it is unpacked by any codec, and the bytes and texts in what it holds as MessagePack."""
    yield data
    for codec in CODECS:
        with suppress(Exception):
            yield bytes(codec.decompress(data))
    with suppress(msgspec.DecodeError, UnicodeDecodeError):
        yield from inner(msgspec.msgpack.decode(data))


def inner(value: Any) -> Iterator[bytes]:
    match value:
        case bytes() if len(value) > 8:
            yield from layers(value)
        case str():
            yield value.encode()
        case dict():
            for key, item in value.items():
                yield from (*inner(key), *inner(item))
        case list():
            for item in value:
                yield from inner(item)


def texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for item in value.values():
                yield from texts(item)
        case list():
            for item in value:
                yield from texts(item)


def unpacked(text: str) -> bytes:
    """What a text holds as a run of a library, or as base64."""
    with suppress(RunFormatError):
        return str(decode_run(text)).encode()
    with suppress(ValueError):
        return b64decode(text, validate=True)
    return b""


async def places_of(system: ErasureSystem, user_id: str) -> set[str]:
    """Where the listener's id is found, or what is derived from it."""
    wanted = needles(user_id)
    return {place async for place, data in everything(system) if any(one in data for one in wanted)}


@pytest.mark.timeout(1_200)
async def test_only_the_receipt_is_found(tmp_path: Path, start_localcloud: Callable[..., LocalCloud]) -> None:
    short = {"Properties": {"RetentionInSeconds": RETENTION_S, "TimestampType": "AppendTime"}}
    entities = [{"Name": name, **short} for name in (MUSIC_EVENTS, "now-playing")]
    overlay = tmp_path / "short.json"
    overlay.write_text(json.dumps({"UserConfig": {"NamespaceConfig": [{"Entities": entities}]}}))
    configs = [part for file in (*emulator_files.files("eventhubs"), overlay) for part in ("--config", str(file))]
    cloud = start_localcloud("--blobs", "--capture-interval", "1", *configs)
    workers: list[WorkerProcess] = []
    async with App(cloud) as app, erasure_system(app, tmp_path, versions=False) as system:
        try:
            quick = {**cloud.environment, "SONGLINE_ERASURE_LOOK": "0.5"}
            workers += [
                LibraryWorker(cloud, tmp_path / "library.log").start(),
                CatalogWorker(cloud, tmp_path / "catalog.log").start(),
                TrendingWorker(cloud, tmp_path / "trending.log").start(),
                IngestionWorker(quick, tmp_path / "ingestion.log").start(),
            ]
            api = ApiProcess(
                {**cloud.environment, "SONGLINE_OUTBOX": str(tmp_path / "outbox.sqlite")}, tmp_path / "api.log"
            )
            try:
                async with api.start().client() as client:
                    for user_id in (USER, OTHER):
                        await bring_along(client, system, user_id)
            finally:
                # What it holds in memory, and in its outbox, is for its own tests.
                api.kill()
            await forget_one(system)
            assert await places_of(system, USER) <= {CATALOG_PLACE}
            assert await places_of(system, OTHER) > {CATALOG_PLACE, f"blobs {ARCHIVE_BLOBS}"}
            rebuilt = await asyncio.to_thread(
                CliRunner().invoke, main, ["rebuild", "library"], env=dict(cloud.environment)
            )
            assert rebuilt.exit_code == 0, rebuilt.output
            assert await places_of(system, USER) <= {CATALOG_PLACE}
            assert "container library-shelves-v2" in await places_of(system, OTHER)
            await words_stay(system)
        finally:
            for worker in workers:
                worker.kill()


async def bring_along(client: httpx.AsyncClient, system: ErasureSystem, user_id: str) -> None:
    """Import a history that names the listener in every place, and say which song a name in it is."""
    rows = [
        listenbrainz_row(Heard(BEGAN_MS + 240_000 * number, f"Quiet Street {number}", "Benno Falk"))
        for number in range(3)
    ]
    history = "".join(json.dumps({**row, "user_name": user_id}) + "\n" for row in rows).encode()
    fields = {"userId": user_id, "fileName": f"listenbrainz_{user_id}.jsonl"}
    taken = await client.post("/v1/imports", params=fields, content=history)
    assert taken.status_code == 202, taken.text
    where = taken.json()["href"]

    async def is_done() -> bool:
        return bool((await client.get(where)).json()["state"] == "done")

    await wait_for_async(is_done, "the import to be done", 120)
    counts = (await client.get(where)).json()["counts"]
    # Of one of them somebody else has said already which song it is.
    assert counts["byName"] + counts["matched"] == 3, counts
    matched = NameMatched(user_id=user_id, name=QUIET_STREET.id, song_id="song-1")
    await system.tell(Event(id=f"match-of-{user_id}", source=f"/apps/{user_id}", time=datetime.now(UTC), data=matched))


async def words_stay(system: ErasureSystem) -> None:
    """The words of names, and which songs these are, are of no listener."""
    names = system.database.get_container_client(NAMES)
    found = [item async for item in names.query_items("SELECT * FROM c")]
    assert QUIET_STREET.id in {item["id"] for item in found}
    assert [item["songId"] for item in found if item.get("name") == QUIET_STREET.id] == ["song-1"]


async def forget_one(system: ErasureSystem) -> None:
    """Have both listeners do the same, forget one, and wait until the hub has nothing of them."""
    for user_id in (USER, OTHER):
        await system.tell(*events_of(user_id))
        await system.app.upload(f"song-{user_id[::-1]}", audio.song("wav", 0.2, pitch=200 + len(user_id)), user=user_id)
        batch = await system.producer.create_batch(partition_key=user_id)
        batch.add(EventData(json.dumps({"type": "songline.song.hummed.v1", "userId": user_id}).encode()))
        await system.producer.send_batch(batch)

    async def is_everywhere() -> bool:
        found = {record.place for record in await system.held(USER)}
        return found >= {"libraries", "catalog", "uploads", "records", "archive", "imports"}

    await wait_for_async(is_everywhere, "the listener to be in every place", 120)
    erasure = await system.request(USER, "remove")

    async def is_done() -> bool:
        return (await system.read(erasure.id)).state == "done"

    await wait_for_async(is_done, "the erasure to be done", 180)
    number = 0

    async def has_ended() -> bool:
        nonlocal number
        number += 1
        played = SongPlayed(user_id=OTHER, song_id="song-1")
        body = encode(Event(id=f"later-{number}", source="/tests", time=datetime.now(UTC), data=played))
        for partition in await system.producer.get_partition_ids():
            await system.producer.send_batch([EventData(body)], partition_id=partition)
        await asyncio.sleep(2)
        return not (await system.read(erasure.id)).key

    await wait_for_async(has_ended, "the hub to have nothing of the listener any more", 5 * RETENTION_S)
    receipt = msgspec.json.encode(await system.read(erasure.id))
    assert USER.encode() not in receipt
