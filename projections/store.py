"""Documents in Cosmos DB, read by id and partition key and decoded into their types."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgspec
from azure.core.exceptions import AzureError
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosHttpResponseError, CosmosResourceNotFoundError

T = TypeVar("T")


class Unavailable(Exception):
    """The store can't answer now. The outside must mend it; asking again later may do."""


class Store:
    """One container. Every method raises Unavailable when Cosmos DB gives no answer within `patience` seconds, or
    refuses for a cause that the caller can't mend."""

    def __init__(self, container: ContainerProxy, patience: float = 5.0) -> None:
        self._container = container
        self._patience = patience

    async def read(self, item: str, partition_key: str, kind: type[T]) -> T | None:
        """The document, None when there is none; fields of Cosmos DB itself (`_etag` and the like) are passed over."""
        async with self._asking():
            try:
                found: Mapping[str, Any] = await self._container.read_item(item, partition_key)
            except CosmosResourceNotFoundError:
                return None
        return msgspec.convert(dict(found), kind)

    async def find(self, query: str, parameters: list[dict[str, object]], limit: int, kind: type[T]) -> list[T]:
        """The first `limit` documents that the query finds, in all partitions."""
        return [msgspec.convert(dict(item), kind) for item in await self._some(query, parameters, limit)]

    async def values(self, query: str, parameters: list[dict[str, object]], limit: int, kind: type[T]) -> list[T]:
        """The first `limit` values of a query that begins with SELECT VALUE, in all partitions."""
        return [msgspec.convert(item, kind) for item in await self._some(query, parameters, limit)]

    async def _some(self, query: str, parameters: list[dict[str, object]], limit: int) -> list[Any]:
        found: list[Any] = []
        async with self._asking():
            async for item in self._container.query_items(query, parameters=parameters, max_item_count=limit):
                found.append(item)
                if len(found) == limit:
                    break
        return found

    async def find_within(
        self, partition_key: str, query: str, parameters: list[dict[str, object]], limit: int, kind: type[T]
    ) -> list[T]:
        """The first `limit` documents that the query finds in one partition."""
        found: list[T] = []
        async with self._asking():
            pages = self._container.query_items(
                query, parameters=parameters, max_item_count=min(limit, 1_000), partition_key=partition_key
            )
            async for item in pages:
                found.append(msgspec.convert(dict(item), kind))
                if len(found) == limit:
                    break
        return found

    async def check(self) -> None:
        """Returns when the container is there and can be read."""
        async with self._asking():
            await self._container.read()

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._patience):
                yield
        except CosmosResourceNotFoundError as error:
            raise Unavailable(
                f"container {self._container.id!r} is not there: create it, or run `songline doctor`"
            ) from error
        except CosmosHttpResponseError as error:
            raise Unavailable(f"Cosmos DB answered {error.status_code}") from error
        except TimeoutError as error:
            raise Unavailable(f"Cosmos DB gave no answer within {self._patience:g} s") from error
        except AzureError as error:
            raise Unavailable(f"Cosmos DB can't be reached ({type(error).__name__})") from error
