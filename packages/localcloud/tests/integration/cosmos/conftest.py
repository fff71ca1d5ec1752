"""Containers of their own for each test, in a database of its own for each module."""

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from azure.cosmos import ContainerProxy, CosmosClient, DatabaseProxy, PartitionKey

from localcloud.testing import LocalCloudProcess

FOUR_RANGES = 24_000
"""A container that begins with so many request units a second has four physical partitions."""

CreateContainer = Callable[..., ContainerProxy]


@pytest.fixture(scope="module")
def client(shared_localcloud: LocalCloudProcess) -> Iterator[CosmosClient]:
    with CosmosClient(shared_localcloud.cosmos_endpoint, shared_localcloud.cosmos_key) as client:
        yield client


@pytest.fixture(scope="module")
def database(client: CosmosClient) -> DatabaseProxy:
    return client.create_database(f"tests-{uuid.uuid4().hex}")


@pytest.fixture(scope="module")
def create_container(database: DatabaseProxy) -> CreateContainer:
    def create(key: str | list[str] = "/pk", **options: Any) -> ContainerProxy:
        options.setdefault("offer_throughput", FOUR_RANGES)
        partition_key = PartitionKey(key) if isinstance(key, str) else PartitionKey(key, kind="MultiHash")
        container: ContainerProxy = database.create_container(f"c{uuid.uuid4().hex}", partition_key, **options)
        return container

    return create


@pytest.fixture
def container(create_container: CreateContainer) -> ContainerProxy:
    return create_container()
