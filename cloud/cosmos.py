"""Cosmos DB clients, and the containers with their indexing policies."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from azure.cosmos import PartitionKey
from azure.cosmos.aio import ContainerProxy, CosmosClient
from azure.cosmos.exceptions import (
    CosmosAccessConditionFailedError,
    CosmosHttpResponseError,
    CosmosResourceExistsError,
    CosmosResourceNotFoundError,
)
from msgspec import Struct

from songline.cloud.credentials import entra
from songline.cloud.http_transport import HttpTransport
from songline.cloud.settings import CosmosSettings
from songline.cloud.tls import client_context

_NOT_BY_TOKEN = 5300
"""The sub-status of a request that no token of data may make. Source: "Troubleshoot forbidden exceptions"."""

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

    def description(self) -> dict[str, Any]:
        """The body of the request that creates it."""
        return {
            "id": self.name,
            "partitionKey": {"paths": [self.partition_key], "kind": "Hash", "version": 2},
            "indexingPolicy": self.indexing_policy(),
            **({} if self.ttl is None else {"defaultTtl": self.ttl}),
        }


def client(settings: CosmosSettings) -> CosmosClient:
    """An asynchronous client; close it, or use it as a context manager."""
    credential = settings.key.reveal() if settings.key is not None else entra()
    return CosmosClient(
        settings.endpoint, credential=credential, transport=HttpTransport(tls=client_context(settings.authorities))
    )


@asynccontextmanager
async def opened(settings: CosmosSettings) -> AsyncIterator[CosmosClient]:
    """A client that is closed at the end. Nothing is asked before its first request, so that a process starts while
    the account is away; a client that is entered asks at once."""
    account = client(settings)
    try:
        yield account
    finally:
        await account.close()


class ContainerNotCreatedError(CosmosHttpResponseError):
    """A container is missing, and this identity can't create it: no role of data can. The message says how to."""


async def ensure(cosmos: CosmosClient, database: str, containers: tuple[Container, ...]) -> None:
    """Create the containers that are missing. On Azure the infrastructure has created them all.

    Raises ContainerNotCreatedError where one is missing and a key would be needed, other kinds of AzureError.
    """
    home = await cosmos.create_database_if_not_exists(database)
    for container in containers:
        try:
            await home.create_container_if_not_exists(
                container.name,
                partition_key=PartitionKey(path=container.partition_key),
                indexing_policy=container.indexing_policy(),
                default_ttl=container.ttl,
            )
        except CosmosHttpResponseError as error:
            if error.sub_status != _NOT_BY_TOKEN:
                raise
            raise ContainerNotCreatedError(  # type: ignore[no-untyped-call]
                error.status_code, _how_to_create(cosmos.client_connection.url_connection, database, container)
            ) from error


def _how_to_create(endpoint: str, database: str, container: Container) -> str:
    wanted = f"there is no container {container.name}, and a token can't create one: expected it from who manages the "
    if urlsplit(endpoint).hostname in ("127.0.0.1", "localhost", "::1"):
        body = json.dumps(container.description(), separators=(",", ":"))
        return (
            f"{wanted}account, here localcloud's control endpoint: curl -X POST -H 'Authorization: Bearer KEY' "
            f"http://127.0.0.1:PORT/cosmos/dbs/{database}/colls -d '{body}', where KEY is `control` in DATA/keys.json "
            "and PORT is `control` in DATA/endpoints.json. Then try again"
        )
    policy = json.dumps(container.indexing_policy(), separators=(",", ":"))
    ttl = "" if container.ttl is None else f" --ttl {container.ttl}"
    return (
        f"{wanted}account: az cosmosdb sql container create -g GROUP -a ACCOUNT -d {database} -n {container.name} "
        f"-p {container.partition_key}{ttl} --idx '{policy}'. Then try again"
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
