"""Every kind of bad record among good ones, through the library and the catalog worker: parked once, neighbours in."""

from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from songline.audit.library_reference import Place, libraries
from songline.cloud import cosmos
from songline.cloud.kafka import client_options
from songline.processors.catalog import fold
from songline.processors.runtime.hub_record import HubRecord
from songline.schemas.channels import DATABASE, MUSIC_EVENTS, PARKED
from songline.schemas.envelope import Event, decode, encode
from songline.schemas.errors import PoisonError
from songline.schemas.events import SongPlayed, SongUploaded
from tests.support.bad_bytes import BAD_RECORDS, NULL_RECORD
from tests.support.catalog import CatalogWorker, catalog_on
from tests.support.library import LibraryWorker, libraries_on
from tests.support.localcloud import LocalCloud
from tests.support.projection import Projection
from tests.support.waiting import wait_for_async
from tests.support.worker import read_hub

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SENT_BYTES = 200_000
"""What goes into one batch: a hub takes a megabyte at a time."""


def good(number: int) -> bytes:
    """A play, or every third time an upload."""
    user, song = f"user-{number % 5}", f"song-{number}"
    if number % 3:
        play = SongPlayed(user_id=user, song_id=song, played_ms=40_000, duration_ms=200_000, region="DE")
        return encode(Event(id=f"event-{number}", source="/tests", time=NOON, data=play))
    upload = SongUploaded(user_id=user, song_id=song, title=f"Song {number}", artist="Nova Reed", duration_ms=1_000)
    return encode(Event(id=f"event-{number}", source="/tests", time=NOON, data=upload))


async def tell(hub: Projection, bodies: list[bytes]) -> None:
    batch: list[bytes] = []
    for body in bodies:
        if batch and sum(map(len, batch)) + len(body) > SENT_BYTES:
            await hub.tell(*batch, partition="1")
            batch = []
        batch.append(body)
    await hub.tell(*batch, partition="1")


async def tell_nothing(cloud: LocalCloud) -> None:
    """A record without a body, which only Kafka can send."""
    producer = AIOKafkaProducer(**client_options(cloud.settings().eventhubs))
    await producer.start()
    try:
        await producer.send_and_wait(MUSIC_EVENTS, NULL_RECORD, key=b"user-1", partition=1)
    finally:
        await producer.stop()


async def parked(cloud: LocalCloud) -> dict[int, dict[str, Any]]:
    """What is parked by position, and when by whom."""
    async with cosmos.client(cloud.settings().cosmos) as client:
        query = cosmos.container(client, DATABASE, PARKED).query_items("SELECT c.position, c.readers FROM c")
        return {item["position"]: item["readers"] async for item in query}


def is_poison(body: bytes | None) -> bool:
    try:
        decode(body or b"")
    except PoisonError:
        return True
    return False


async def test_each_kind_is_parked_once_and_its_neighbours_are_in(own_cloud: LocalCloud, tmp_path: Path) -> None:
    cloud = own_cloud
    bodies = [body for number, bad in enumerate(BAD_RECORDS.values()) for body in (good(number), bad)]
    workers = [LibraryWorker(cloud, tmp_path / "library"), CatalogWorker(cloud, tmp_path / "catalog")]
    try:
        async with libraries_on(cloud) as shelves, catalog_on(cloud) as songs:

            async def all_read() -> None:
                ends = await shelves.ends()
                for hub in (shelves, songs):
                    await wait_for_async(partial(hub.read_up_to, ends), f"{hub} to be at {ends}")

            await tell(shelves, bodies)
            await tell_nothing(cloud)
            for worker in workers:
                worker.start()
            await all_read()
            first = await parked(cloud)
            # Once more, by others that go on from there: nothing is parked or counted again.
            for worker in workers:
                worker.kill()
                worker.start()
            await tell(shelves, [good(1_000), b"\xff", good(1_002)])
            await all_read()

            log = await read_hub(cloud.settings())
            poison = {position for _, position, body in log if is_poison(body)}
            again = await parked(cloud)
            assert again.keys() == poison
            assert len(poison) == len(BAD_RECORDS) + 2
            assert {position: again[position] for position in first} == first
            records = [HubRecord(position, None, body or b"") for _, position, body in log]
            for name, expected in {"library": poison, "catalog": fold.parse_songs(records).poison.keys()}.items():
                assert {position for position, readers in again.items() if name in readers} == expected
            places: list[Place] = [(1, at, decode(body)) for _, at, body in log if at not in poison]
            assert await shelves.all() == libraries(places)
            uploaded = {event.data.song_id for _, _, event in places if isinstance(event.data, SongUploaded)}
            assert (await songs.songs()).keys() == uploaded
        assert [worker.stop() for worker in workers] == [0, 0], workers[0].said + workers[1].said
    finally:
        for worker in workers:
            worker.kill()
