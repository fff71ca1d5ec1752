"""Songs' days in Cosmos DB: the longest waiting first, never lowered, and not lost when they can't be written."""

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from azure.cosmos.aio import ContainerProxy, CosmosClient
from azure.cosmos.exceptions import CosmosHttpResponseError
from msgspec import structs

from songline.cloud import cosmos
from songline.cloud.cosmos import Container
from songline.cloud.service_fault import ServiceFault, fault_of
from songline.processors.trending.cells import wire as partials
from songline.processors.trending.cells.wire import CountRows
from songline.processors.trending.plays.refused_days import AGAIN_S, NAMED
from songline.processors.trending.plays.writer import WATERMARK_S, PlaysWriter, shard_reached
from songline.processors.trending.shards.state import Shard
from songline.processors.trending.song_index import SongIndex, pair
from songline.processors.trending.spans import HOUR_MS, Unit
from songline.processors.trending.watermark import ShardWatermark, position_at
from songline.schemas.channels import DATABASE
from songline.schemas.decoding import convert
from songline.schemas.moments import moment_at
from songline.schemas.plays import SHARDS_KEY, ShardProgressDocument
from songline.schemas.progress import Watermark
from tests.support.localcloud import LocalCloud
from tests.support.trending import KEY, hours
from tests.support.worker import shards_reached, song_days

HOUR = 494_222
CREATED = datetime(2026, 5, 1, tzinfo=UTC)
NOTED = {"0": Watermark(position=2, through=CREATED, created_at=CREATED, generation=0, resets=3)}
"""What the worker has noted of its partitions: behind what a shard has."""
NOON = "2026-05-19T14"


@pytest.fixture
async def client(shared_localcloud: LocalCloud) -> AsyncIterator[CosmosClient]:
    async with cosmos.client(shared_localcloud.settings().cosmos) as client:
        await cosmos.ensure(client, DATABASE, ())
        yield client


@pytest.fixture
async def container(client: CosmosClient) -> AsyncIterator[ContainerProxy]:
    place = new_place()
    await cosmos.ensure(client, DATABASE, (place,))
    yield cosmos.container(client, DATABASE, place.name)
    await client.get_database_client(DATABASE).delete_container(place.name)


async def test_what_waits_longest_is_written_first_and_no_more_than_so_many_a_round(container: ContainerProxy) -> None:
    shard = shard_with(Shard(0, "me", KEY), {"a": 1, "b": 2, "c": 3}, position=7)
    writer = writer_of(container, shard, writes=2)
    await writer.write()
    assert await listens(container) == {"a": 1, "b": 2}
    assert not await shards_reached(container, {"0": 7}), "one still waits"
    shard_with(shard, {"a": 5, "b": 2}, position=9)
    await writer.write()
    assert await listens(container) == {"a": 5, "b": 2, "c": 3}
    assert await shards_reached(container, {"0": 7}), "what it had when it was asked; 9 is told later"


async def test_of_which_hub_the_days_are_is_noted_with_how_far_they_go(container: ContainerProxy) -> None:
    shard = shard_with(Shard(0, "me", KEY), {"a": 1}, position=7)
    await writer_of(container, shard).write()
    found = await container.read_item("0", SHARDS_KEY)
    (known,) = convert(dict(found), ShardProgressDocument).partitions.values()
    assert known == Watermark(position=7, through=moment_at(HOUR * HOUR_MS), created_at=CREATED)
    later = {"0": structs.replace(NOTED["0"], generation=1)}
    (other,) = shard_reached(0, 1, shard.watermark(HOUR * HOUR_MS), later).partitions.values()
    assert other.created_at is None, "the shard has nothing of the hub that is noted"
    ahead = ShardWatermark(HOUR * HOUR_MS, {0: position_at(2, 4)}, {})
    (other,) = shard_reached(0, 1, ahead, later).partitions.values()
    assert (other.position, other.created_at, other.generation) == (4, CREATED, 1)


async def test_a_former_owner_lowers_nothing(container: ContainerProxy) -> None:
    late = shard_with(Shard(0, "lost", KEY), {"a": 1, "b": 3}, position=3)
    await writer_of(container, shard_with(Shard(0, "me", KEY), {"a": 4, "b": 4}, position=4)).write()
    await writer_of(container, late).write()
    assert await listens(container) == {"a": 4, "b": 4}
    assert late.days.backlog.begin == late.days.backlog.end, "it need not try again"


async def test_a_late_event_changes_the_hour_that_it_is_of(container: ContainerProxy) -> None:
    shard = shard_with(Shard(0, "me", KEY), {"a": 4}, position=4)
    writer = writer_of(container, shard)
    await writer.write()
    shard_with(shard, {"a": 2}, position=5, hour=HOUR - 24)
    await writer.write()
    assert hours(await song_days(container)) == {("a", NOON): (4, 0, 0), ("a", "2026-05-18T14"): (2, 0, 0)}


@pytest.fixture
def patched(container: ContainerProxy, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The songs whose days were looked for by a patch."""
    found: list[str] = []
    patch_item = container.patch_item

    async def patch(item: str, partition_key: str, *rest: Any, **options: Any) -> Any:
        found.append(partition_key)
        return await patch_item(item, partition_key, *rest, **options)

    monkeypatch.setattr(container, "patch_item", patch)
    return found


async def test_a_day_that_is_new_is_not_looked_for(container: ContainerProxy, patched: list[str]) -> None:
    shard = shard_with(Shard(0, "me", KEY), {"a": 2, "b": 1}, position=3)
    await writer_of(container, shard).write()
    assert patched == []
    saved = {key: value for key, value in shard.flush().items() if value is not None}
    shard_with(shard, {"a": 5, "c": 2}, position=4)
    await writer_of(container, shard).write()
    assert patched == ["a"]
    next_owner = Shard(0, "next", KEY)
    next_owner.restore(saved.items())
    shard_with(next_owner, {"a": 6, "b": 2, "c": 3}, position=5)
    await writer_of(container, next_owner).write()
    assert patched[1:] == ["a", "b", "c"], "of c nothing is saved, so it seems to be new, and is there"
    assert await listens(container) == {"a": 6, "b": 2, "c": 3}


async def test_a_day_with_one_action_is_not_looked_for_by_the_next_owner(
    container: ContainerProxy, patched: list[str]
) -> None:
    saved = shard_with(Shard(0, "me", KEY), {"a": 1, "b": 2}, position=3).flush()
    next_owner = Shard(0, "next", KEY)
    next_owner.restore((key, value) for key, value in saved.items() if value is not None)
    await writer_of(container, next_owner).write()
    assert patched == ["b"]
    assert await listens(container) == {"a": 1, "b": 2}


async def test_what_could_not_be_written_waits(client: CosmosClient) -> None:
    place = new_place()
    container = cosmos.container(client, DATABASE, place.name)
    writer = writer_of(container, shard_with(Shard(0, "me", KEY), {"a": 1, "b": 2}, position=1))
    await writer.write()
    await cosmos.ensure(client, DATABASE, (place,))
    await writer.write()
    assert await listens(container) == {"a": 1, "b": 2}
    await client.get_database_client(DATABASE).delete_container(place.name)


@pytest.fixture
def refusing(container: ContainerProxy, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Songs whose days are refused."""
    songs: set[str] = set()
    create_item = container.create_item

    async def create(body: dict[str, Any], **options: Any) -> Any:
        if body["songId"] in songs:
            raise CosmosHttpResponseError(400, "no such document")  # type: ignore[no-untyped-call]
        return await create_item(body, **options)

    monkeypatch.setattr(container, "create_item", create)
    return songs


async def test_a_day_that_is_refused_costs_no_other_and_is_named(container: ContainerProxy, refusing: set[str]) -> None:
    refusing.add("a")
    shard = shard_with(Shard(0, "me", KEY), {"a": 1, "b": 2}, position=7)
    writer = writer_of(container, shard)
    await writer.write()
    assert await listens(container) == {"b": 2}
    assert await shards_reached(container, {"0": 7})
    assert await refused_songs(container) == ["a"], "how far the shard is does not hold for it"
    assert writer.last_error is None
    ((what, error),) = writer.refused.errors()
    assert what == "2026-05-19 of song a can't be written"
    assert fault_of(error) is ServiceFault.ITEM_REFUSED

    saved = {key: value for key, value in shard.flush().items() if value is not None}
    next_owner = Shard(0, "next", KEY)
    next_owner.restore(saved.items())
    now_s = 0.0
    following = writer_of(container, next_owner, steady=lambda: now_s)
    await following.write()
    assert await refused_songs(container) == ["a"], "the next owner tries it"
    assert len(following.refused) == 1

    refusing.clear()
    shard_with(next_owner, {"a": 2}, position=8)
    now_s = WATERMARK_S
    await following.write()
    assert await listens(container) == {"a": 2, "b": 2}
    assert not following.refused
    assert await refused_songs(container) == []


async def test_a_day_that_is_refused_and_does_not_change_is_tried_every_hour(
    container: ContainerProxy, refusing: set[str]
) -> None:
    refusing.add("a")
    now_s = 0.0
    shard = shard_with(Shard(0, "me", KEY), {"a": 1}, position=7)
    writer = writer_of(container, shard, steady=lambda: now_s)
    await writer.write()
    refusing.clear()
    now_s = AGAIN_S - 1
    await writer.write()
    assert await listens(container) == {}
    assert await refused_songs(container) == ["a"]
    now_s = AGAIN_S
    await writer.write()
    assert await listens(container) == {"a": 1}
    assert not writer.refused
    now_s += WATERMARK_S
    await writer.write()
    assert await refused_songs(container) == []


async def test_of_many_days_that_are_refused_the_first_ones_are_named(
    container: ContainerProxy, refusing: set[str]
) -> None:
    songs = [f"song-{number:02}" for number in range(NAMED + 2)]
    refusing.update(songs)
    shard = shard_with(Shard(0, "me", KEY), dict.fromkeys(songs, 1), position=7)
    shards = {0: shard}
    writer = writer_of(container, shards=shards)
    await writer.write()
    told = [what for what, _ in writer.refused.errors()]
    assert told[:2] == ["2026-05-19 of song song-00 can't be written", "2026-05-19 of song song-01 can't be written"]
    assert told[NAMED:] == ["other songs' days can't be written"]
    shards.clear()
    await writer.write()
    assert list(writer.refused.errors()) == [], "the shard is another worker's"


def new_place() -> Container:
    return Container(f"plays-{uuid4().hex}", partition_key="/songId", indexed=(), ttl=60)


def shard_with(shard: Shard, counts: dict[str, int], *, position: int, hour: int = HOUR) -> Shard:
    """The shard after its only source partition has sent how often songs were heard in an hour."""
    songs = SongIndex()
    pairs = pair(songs.numbers(list(counts)), np.zeros(len(counts), np.int64))
    rows = CountRows(pairs, np.full(len(counts), hour), np.array([[count, 0, 0] for count in counts.values()]))
    rows_of: dict[Unit, CountRows] = {"minute": partials.no_rows(), "hour": rows}
    for body in partials.partial_bodies(0, position, hour * HOUR_MS, rows_of, [], songs):
        shard.apply(partials.decode(body))
    return shard


def writer_of(
    container: ContainerProxy,
    shard: Shard | None = None,
    writes: int = 100,
    *,
    shards: Mapping[int, Shard] | None = None,
    steady: Callable[[], float] = lambda: 0.0,
) -> PlaysWriter:
    async def noted() -> dict[str, Watermark]:
        return NOTED

    held = shards if shard is None else {0: shard}
    assert held is not None
    return PlaysWriter(container, lambda: held, 1, lambda: writes, noted, lambda: HOUR * HOUR_MS, steady)


async def refused_songs(container: ContainerProxy) -> list[str]:
    """The songs of which the shard says that its progress does not hold for them."""
    return list(convert(dict(await container.read_item("0", SHARDS_KEY)), ShardProgressDocument).refused)


async def listens(container: ContainerProxy) -> dict[str, int]:
    return {song: counts[0] for (song, _), counts in hours(await song_days(container)).items()}
