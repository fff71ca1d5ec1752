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

from songline.cloud import cosmos_bodies
from songline.cloud.credentials import entra
from songline.cloud.http_transport import Guard, HttpTransport
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


def client(settings: CosmosSettings, guard: Guard | None = None) -> CosmosClient:
    """An asynchronous client; close it, or use it as a context manager. `guard` as of HttpTransport."""
    credential = settings.key.reveal() if settings.key is not None else entra()
    transport = HttpTransport(tls=client_context(settings.authorities), guard=guard)
    return CosmosClient(settings.endpoint, credential=credential, transport=transport, **cosmos_bodies.install())


@asynccontextmanager
async def opened(settings: CosmosSettings, guard: Guard | None = None) -> AsyncIterator[CosmosClient]:
    """A client that is closed at the end. Nothing is asked before its first request, so that a process starts while
    the account is away; a client that is entered asks at once."""
    account = client(settings, guard)
    try:
        yield account
    finally:
        await account.close()


class NotByTokenError(CosmosHttpResponseError):
    """A container is missing, or is to go, and no role of data can create or delete one. `sentence` says who can, and
    how."""

    @property
    def sentence(self) -> str:
        return str(self.http_error_message)


async def ensure(cosmos: CosmosClient, database: str, containers: tuple[Container, ...]) -> None:
    """Create the containers that are missing. On Azure the infrastructure has created them all.

    Raises NotByTokenError where one is missing and a key would be needed, other kinds of AzureError.
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
            raise NotByTokenError(  # type: ignore[no-untyped-call]
                error.status_code, how_to_create(cosmos.client_connection.url_connection, database, container)
            ) from error


async def delete(cosmos: CosmosClient, database: str, name: str) -> None:
    """Delete the container of this name, if there is one.

    Raises NotByTokenError where it is there and a key would be needed, other kinds of AzureError.
    """
    try:
        await cosmos.get_database_client(database).delete_container(name)
    except CosmosResourceNotFoundError:
        return
    except CosmosHttpResponseError as error:
        if error.sub_status != _NOT_BY_TOKEN:
            raise
        # The service refuses before it looks.
        if not await exists(cosmos, database, name):
            return
        raise NotByTokenError(  # type: ignore[no-untyped-call]
            error.status_code, how_to_delete(cosmos.client_connection.url_connection, database, name)
        ) from error


def how_to_create(endpoint: str, database: str, container: Container) -> str:
    """Who creates the container of the account at `endpoint`, and how."""
    wanted = f"there is no container {container.name}, and a token can't create one: expected it from who manages the "
    if _is_here(endpoint):
        body = json.dumps(container.description(), separators=(",", ":"))
        return (
            f"{wanted}account, here {_at_control('POST', f'{database}/colls')} -d '{body}', {_CONTROL}. Then try again"
        )
    return (
        f"{wanted}account: `azd provision` makes it, with the workers' rights in it, once the parameter `versions` of "
        "infra/azure names it where it is a version of a projection (docs/deploy.md). Then try again"
    )


def how_to_delete(endpoint: str, database: str, name: str) -> str:
    """Who deletes a container of the account at `endpoint`, and how."""
    wanted = f"the container {name} is there still, and a token can't delete one: expected that of who manages the "
    if _is_here(endpoint):
        return f"{wanted}account, here {_at_control('DELETE', f'{database}/colls/{name}')}, {_CONTROL}"
    return (
        f"{wanted}account: take it out of the parameter `versions` of infra/azure, or `azd provision` makes it again; "
        f"then az cosmosdb sql container delete -g GROUP -a ACCOUNT -d {database} -n {name}"
    )


_CONTROL = "where KEY is `control` in DATA/keys.json and PORT is `control` in DATA/endpoints.json"


def _is_here(endpoint: str) -> bool:
    return urlsplit(endpoint).hostname in ("127.0.0.1", "localhost", "::1")


def _at_control(method: str, path: str) -> str:
    request = f"curl -X {method} -H 'Authorization: Bearer KEY' http://127.0.0.1:PORT/cosmos/dbs/{path}"
    return f"localcloud's control endpoint: {request}"


async def exists(cosmos: CosmosClient, database: str, name: str) -> bool:
    """Whether there is a container of this name. Raises AzureError."""
    try:
        await container(cosmos, database, name).read()
    except CosmosResourceNotFoundError:
        return False
    return True


def container(cosmos: CosmosClient, database: str, name: str) -> ContainerProxy:
    return cosmos.get_database_client(database).get_container_client(name)
