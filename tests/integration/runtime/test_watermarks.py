"""Watermarks of several partitions that move at about the same time are one request, and each keeps its rules."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import cast

import pytest
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosResourceNotFoundError
from msgspec import structs

from songline.cloud import cosmos
from songline.cloud.settings import read_cosmos
from songline.processors.runtime.watermark_store import PositionResetError, WatermarkStore
from songline.schemas.channels import DATABASE
from songline.schemas.progress import Watermark
from tests.support.counted import CountedContainer
from tests.support.localcloud import LocalCloud

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
NUMBERS = [str(number) for number in range(12)]
HERE = cosmos.Container("watermarks", partition_key="/id", indexed=("/id/?",))


def at(position: int) -> Watermark:
    return Watermark(position=position, through=NOON, created_at=NOON)


@pytest.fixture
async def container(shared_localcloud: LocalCloud) -> AsyncIterator[CountedContainer]:
    async with cosmos.client(read_cosmos(shared_localcloud.environment)) as client:
        await cosmos.ensure(client, DATABASE, (HERE,))
        yield CountedContainer(cosmos.container(client, DATABASE, HERE.name))
        await client.get_database_client(DATABASE).delete_container(HERE.name)


async def test_they_are_written_together(container: CountedContainer) -> None:
    store = WatermarkStore(cast("ContainerProxy", container))
    await store.add(NUMBERS, NOON)
    container.requests.clear()
    await asyncio.gather(*(store.advance(number, at(7)) for number in NUMBERS))
    # A patch has ten operations at most.
    assert container.requests == ["patch_item"] * 2
    assert {number: one.position for number, one in (await store.read_all()).items()} == dict.fromkeys(NUMBERS, 7)


async def test_one_that_may_not_move_holds_up_no_other(container: CountedContainer) -> None:
    store, other = (WatermarkStore(cast("ContainerProxy", container)) for _ in range(2))
    await store.add(NUMBERS[:3], NOON)
    await other.advance("0", at(9))
    before = await store.read("1")
    assert await other.reset("1", before, structs.replace(at(3), resets=1))
    moves = [store.advance(number, at(7)) for number in NUMBERS[:3]]
    results = await asyncio.gather(*moves, return_exceptions=True)
    assert [type(result) for result in results] == [type(None), PositionResetError, type(None)]
    assert [one.position for one in (await store.read_all()).values()] == [9, 3, 7]


async def test_one_that_gives_up_holds_up_no_other_and_all_get_the_stores_error(container: CountedContainer) -> None:
    store = WatermarkStore(cast("ContainerProxy", container))
    await store.add(NUMBERS[:2], NOON)
    given_up = asyncio.create_task(store.advance("0", at(7)))
    await asyncio.sleep(0)
    given_up.cancel()
    await store.advance("1", at(7))
    assert (await store.read_all())["1"].position == 7
    await cast("ContainerProxy", container).delete_item("@progress", "@progress")
    moves = [store.advance(number, at(8)) for number in NUMBERS[:2]]
    results = await asyncio.gather(*moves, return_exceptions=True)
    assert [type(result) for result in results] == [CosmosResourceNotFoundError] * 2
