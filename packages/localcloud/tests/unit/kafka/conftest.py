"""A Kafka endpoint inside the test's own loop."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from localcloud.config import HubConfig
from localcloud.kafka.server import KafkaServer
from localcloud.log.store import LogStore
from localcloud.sas import Keys
from localcloud_tests.support.kafka import RawClient

HUBS = [
    HubConfig("events", 2),
    HubConfig("Other", 1),
    HubConfig("tables", 1, compacted=True, retention_ms=None),
]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LogStore]:
    async with LogStore.open(tmp_path / "hubs", HUBS, lambda: 1_700_000_000_000) as store:
        yield store


@pytest.fixture
async def server(store: LogStore) -> AsyncIterator[KafkaServer]:
    async with KafkaServer(store, Keys(), port=0, session_ms=(100, 300_000)) as server:
        yield server


Connect = Callable[..., Awaitable[RawClient]]


@pytest.fixture
async def connect(server: KafkaServer) -> AsyncIterator[Connect]:
    clients: list[RawClient] = []

    async def connected(**options: object) -> RawClient:
        client = await RawClient.connect(server.port, **options)  # type: ignore[arg-type] # passed on as they are
        clients.append(client)
        return client

    yield connected
    for client in clients:
        await client.close()
