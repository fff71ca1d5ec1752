"""The container `parked` over the real SDK: each record once, whoever parks it at the same time."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from azure.cosmos.aio import ContainerProxy

from songline.cloud import cosmos
from songline.cloud.settings import read_cosmos
from songline.processes.entities import CONTAINERS
from songline.processors.runtime.parked_store import ParkedStore
from songline.schemas.channels import DATABASE, PARKED
from songline.schemas.parked import ParkedEvent, parked_event
from tests.support.localcloud import LocalCloud

NOW = datetime(2026, 11, 22, 14, tzinfo=UTC)
READERS = ("trending", "library", "catalog")


@pytest.fixture
async def container(shared_localcloud: LocalCloud) -> AsyncIterator[ContainerProxy]:
    async with cosmos.client(read_cosmos(shared_localcloud.environment)) as client:
        await cosmos.ensure(client, DATABASE, CONTAINERS)
        yield cosmos.container(client, DATABASE, PARKED)


def parked(reader: str, position: int, enqueued_at: datetime = NOW) -> ParkedEvent:
    return parked_event(reader, "parking-test", "0", position, enqueued_at, b"\xff" * 900_000, "not-an-event", "x", NOW)


async def test_three_readers_at_once_make_one_document(container: ContainerProxy) -> None:
    store = ParkedStore(container)
    jobs = [store.park(parked(reader, 1)) for reader in READERS for _ in range(3)]
    assert sorted(await asyncio.gather(*jobs)) == [False] * 6 + [True] * 3
    found = await store.read("parking-test:0:1")
    assert found is not None
    document, _ = found
    assert document.readers.keys() == set(READERS)
    assert (document.body_bytes, document.complete, document.state) == (900_000, False, "parked")


async def test_the_same_position_of_a_hub_made_anew_is_parked_beside(container: ContainerProxy) -> None:
    store = ParkedStore(container)
    later = NOW + timedelta(days=1)
    for moment in (NOW, later, NOW, later):
        await store.park(parked("library", 2, moment))
    query = container.query_items(
        "SELECT VALUE c.enqueuedAt FROM c WHERE c.hub = 'parking-test' AND c.position = 2 ORDER BY c.parkedAt"
    )
    assert sorted([str(one) async for one in query]) == ["2026-11-22T14:00:00Z", "2026-11-23T14:00:00Z"]
