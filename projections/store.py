"""Documents in Cosmos DB, read by id and partition key and decoded into their types."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from azure.core import MatchConditions
from azure.core.exceptions import AzureError
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosHttpResponseError, CosmosResourceNotFoundError

from songline.cloud.items_by_id import items_by_id
from songline.projections.passed_over import PassedOver
from songline.schemas.decoding import convert
from songline.schemas.errors import PoisonError

T = TypeVar("T")

_PAGE = 1_000
_passed_over = PassedOver(logging.getLogger(__name__))


class StoreUnavailableError(Exception):
    """The store can't answer now. The caller may ask again later."""


class DocumentStore:
    """One container of documents.

    Every method raises StoreUnavailableError if Cosmos DB doesn't answer within `patience` seconds or answers with an
    error. `read` and `read_if_changed` also raise it for a document that breaks its contract.
    """

    def __init__(self, container: ContainerProxy, patience: float = 5.0) -> None:
        self._container = container
        self._patience = patience

    async def read(self, item: str, partition_key: str, kind: type[T]) -> T | None:
        """The document as `kind`, None if there is none. Cosmos DB's own fields, such as `_etag`, are ignored."""
        async with self._guarded():
            try:
                found: Mapping[str, Any] = await self._container.read_item(item, partition_key)
            except CosmosResourceNotFoundError:
                return None
        return self._converted(found, kind)

    async def read_if_changed(self, item: str, partition_key: str, kind: type[T], etag: str) -> list[T] | None:
        """The document in a list, which is empty if there is none; None if its ETag still is `etag`."""
        async with self._guarded():
            try:
                found: Mapping[str, Any] = await self._container.read_item(
                    item, partition_key, etag=etag, match_condition=MatchConditions.IfModified
                )
            except CosmosResourceNotFoundError:
                return []
        # An answer 304 has no body.
        return [self._converted(found, kind)] if found else None

    async def find(self, query: str, parameters: list[dict[str, object]], limit: int, kind: type[T]) -> list[T]:
        """The first `limit` documents that the query finds in all partitions. One that is no `kind` is skipped."""
        return await self._some(query, parameters, limit, kind)

    async def values(self, query: str, parameters: list[dict[str, object]], limit: int, kind: type[T]) -> list[T]:
        """The first `limit` values of a query that begins with SELECT VALUE, in all partitions."""
        return await self._some(query, parameters, limit, kind)

    async def find_within(
        self, partition_key: str, query: str, parameters: list[dict[str, object]], limit: int, kind: type[T]
    ) -> list[T]:
        """The first `limit` documents that the query finds in one partition."""
        return await self._some(query, parameters, limit, kind, partition_key=partition_key)

    async def read_many(self, ids: Sequence[str], partition_key: str, kind_of: Callable[[str], type[T]]) -> list[T]:
        """The documents with these ids that exist in one partition, each as the type that `kind_of` gives for its id.

        They are read at no one moment. Also raises StoreUnavailableError for a document that breaks its contract.
        """
        async with self._guarded():
            items = [item async for item in items_by_id(self._container, ids, partition_key)]
        return [self._converted(item, kind_of(item["id"])) for item in items]

    def _converted(self, item: Mapping[str, Any], kind: type[T]) -> T:
        try:
            return convert(dict(item), kind)
        except PoisonError as poison:
            raise StoreUnavailableError(
                f"document {item['id']!r} of {self._container.id!r} can't be understood: {poison}"
            ) from None

    async def _some(
        self, query: str, parameters: list[dict[str, object]], limit: int, kind: type[T], **within: Any
    ) -> list[T]:
        found: list[T] = []
        async with self._guarded():
            pages = self._container.query_items(
                query, parameters=parameters, max_item_count=min(limit, _PAGE), **within
            )
            async for item in pages:
                try:
                    found.append(convert(item, kind))
                except PoisonError as poison:
                    # A foreign document, or one of another version, must not hide the others from the caller.
                    _passed_over.report(f"a document of {self._container.id!r}", poison)
                if len(found) == limit:
                    break
        return found

    async def check(self) -> None:
        """Return if the container exists and can be read."""
        async with self._guarded():
            await self._container.read()

    @asynccontextmanager
    async def _guarded(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._patience):
                yield
        except CosmosResourceNotFoundError as error:
            raise StoreUnavailableError(
                f"container {self._container.id!r} is not there: create it, or run `songline doctor`"
            ) from error
        except CosmosHttpResponseError as error:
            raise StoreUnavailableError(f"Cosmos DB answered {error.status_code}") from error
        except TimeoutError as error:
            raise StoreUnavailableError(f"Cosmos DB gave no answer within {self._patience:g} s") from error
        except AzureError as error:
            raise StoreUnavailableError(f"Cosmos DB can't be reached ({type(error).__name__})") from error
