"""Cosmos DB clients, and the containers with their indexing policies."""

from typing import Any

from azure.cosmos import PartitionKey
from azure.cosmos.aio import ContainerProxy, CosmosClient
from azure.cosmos.exceptions import (
    CosmosAccessConditionFailedError,
    CosmosResourceExistsError,
    CosmosResourceNotFoundError,
)
from msgspec import Struct

from songline.cloud.credentials import entra
from songline.cloud.http_transport import HttpTransport
from songline.cloud.settings import CosmosSettings
from songline.cloud.tls import client_context

OVERTAKEN = (CosmosAccessConditionFailedError, CosmosResourceExistsError, CosmosResourceNotFoundError)
"""What a write gets when another one came between it and what it had read."""


class Container(Struct, frozen=True):
    """A container: its partition key path and the only paths that are indexed (every other costs writes). Documents
    that were not written for `ttl` seconds go; None: they stay."""

    name: str
    partition_key: str
    indexed: tuple[str, ...]
    ttl: int | None = None

    def indexing_policy(self) -> dict[str, Any]:
        return {
            "indexingMode": "consistent",
            "automatic": True,
            "includedPaths": [{"path": path} for path in self.indexed],
            "excludedPaths": [{"path": "/*"}],
        }


def client(settings: CosmosSettings) -> CosmosClient:
    """An asynchronous client; close it, or use it as a context manager."""
    credential = settings.key.reveal() if settings.key is not None else entra()
    return CosmosClient(
        settings.endpoint, credential=credential, transport=HttpTransport(tls=client_context(settings.authorities))
    )


async def ensure(cosmos: CosmosClient, database: str, containers: tuple[Container, ...]) -> None:
    """Create the containers that are missing. On Azure the infrastructure has created them all."""
    home = await cosmos.create_database_if_not_exists(database)
    for container in containers:
        await home.create_container_if_not_exists(
            container.name,
            partition_key=PartitionKey(path=container.partition_key),
            indexing_policy=container.indexing_policy(),
            default_ttl=container.ttl,
        )


async def exists(cosmos: CosmosClient, database: str, name: str) -> bool:
    """Whether there is a container of this name. Raises AzureError."""
    try:
        await container(cosmos, database, name).read()
    except CosmosResourceNotFoundError:
        return False
    return True


def container(cosmos: CosmosClient, database: str, name: str) -> ContainerProxy:
    return cosmos.get_database_client(database).get_container_client(name)
