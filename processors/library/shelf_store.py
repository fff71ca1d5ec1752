"""Shelves in Cosmos DB: a flush is one transaction under the ETag of the shelf's root."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec
from azure.cosmos import CosmosList
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosBatchOperationError, CosmosHttpResponseError, CosmosResourceNotFoundError
from msgspec import Struct

from songline.cloud.cosmos import Container
from songline.cloud.items_by_id import items_by_id
from songline.processors.library.forgetting import ForgettingFlush, plan_forgetting
from songline.processors.library.node_cache import CachedShelf, NodeCache
from songline.processors.library.tree import KB, FlushPlan, MissingNodes, TreeCapacity, TreeFlush, flush_sizes
from songline.schemas.channels import LIBRARY_SHELVES
from songline.schemas.decoding import convert
from songline.schemas.errors import PoisonError
from songline.schemas.library.action import UserAction
from songline.schemas.library.action_run import RunFormatError
from songline.schemas.library.node import NodeDocument, RootDocument
from songline.schemas.library.shelf import ROOT

T = TypeVar("T")
P = TypeVar("P")

# Nodes are asked for by id within a shelf, which needs no path; every path would cost writes.
CONTAINER = Container(LIBRARY_SHELVES, partition_key="/shelf", indexed=())

_CHARGE = "x-ms-request-charge"
# Another worker was first: what is created exists, what is replaced has changed, or has gone.
_OVERTAKEN = (409, 412, 404)
_TORN_READS = 3
"""So often in a row nodes are read that do not fit their parents, before the caller has to wait and try again."""
_RETRY_WITH = 449


class ShelfWriteCounts(Struct):
    """What the writes cost so far: transactions (`writes`), the documents in them, documents that were read, flushes
    that another worker overtook (`conflicts`), and request units (`charge`)."""

    writes: int = 0
    documents: int = 0
    reads: int = 0
    conflicts: int = 0
    charge: float = 0.0


class ShelfStore:
    """The container `library-shelves`. Nodes that take `room_kb` kilobytes of memory are cached."""

    def __init__(self, container: ContainerProxy, room_kb: int, capacity: TreeCapacity | None = None) -> None:
        self._container = container
        self._cache = NodeCache(room_kb * KB)
        self._capacity = capacity or TreeCapacity()
        # Partitions that share a shelf would overtake each other for nothing.
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.counts = ShelfWriteCounts()

    async def apply(self, shelf: str, partition: int, actions: Sequence[UserAction]) -> None:
        """Return once `actions` of the partition, in its order, are on the shelf, by this write or an earlier one.

        `shelf` is a partition key. Raises AzureError; some of the actions may be written then, and all may be given
        again.
        """
        await self._apply(shelf, partition, actions)

    async def add(self, shelf: str, rows: Sequence[UserAction]) -> None:
        """Return once `rows`, which are of no position, are on the shelf. What is added again changes nothing.

        Raises AzureError; some of the rows may be written then, and all may be given again.
        """
        await self._apply(shelf, None, rows)

    async def forget(
        self,
        shelf: str,
        user_id: str,
        bounds: Mapping[int, int],
        applied: Mapping[int, int],
        *,
        is_fenced: bool = False,
    ) -> int:
        """Return once the shelf has none of the listener's actions up to `bounds`, and takes none up to `applied` (see
        `plan_forgetting`); and how many were taken out of it. With `is_fenced` it takes nothing either that another
        process has planned, or was sending, before.

        A worker that writes the shelf meanwhile is overtaken, or overtakes: each is written under the root's ETag.
        Raises AzureError, and may be called again.
        """
        removed = 0
        async with self._locks[shelf]:
            while True:
                planned = await self._plan(shelf, partial(_forgetting, user_id, bounds, applied, is_fenced))
                if planned is None:
                    return removed
                cached, found = planned
                if await self._write(shelf, cached, found.flush):
                    removed, is_fenced = removed + found.removed, False
                    if not found.flush.is_urgent:
                        return removed

    async def _apply(self, shelf: str, partition: int | None, actions: Sequence[UserAction]) -> None:
        async with self._locks[shelf]:
            start = 0
            for count in flush_sizes(actions):
                following = actions[start : start + count]
                while await self._flush(shelf, partition, following):
                    following = ()
                start += count

    async def _flush(self, shelf: str, partition: int | None, actions: Sequence[UserAction]) -> bool:
        """Write a flush with `actions`; return whether another one must come before more actions."""
        while True:
            planned = await self._plan(
                shelf, lambda known: FlushPlan(known.root, known.nodes, partition, actions, self._capacity).advance
            )
            if planned is None:
                return False
            cached, flush = planned
            if await self._write(shelf, cached, flush):
                return flush.is_urgent

    async def _plan(
        self, shelf: str, begin: Callable[[CachedShelf], Callable[[], P | MissingNodes | None]]
    ) -> tuple[CachedShelf, P] | None:
        """What the plan that `begin` gives makes of the shelf, once all nodes that it needs are read, and the shelf
        that it is made of; None where it makes nothing. The plan goes on with the nodes that were read for it."""
        torn = 0
        cached, advance = None, None
        while True:
            found = self._cache.find(shelf) or await self._read_root(shelf)
            try:
                if cached is not found or advance is None:
                    cached, advance = found, begin(found)
                planned = advance()
            except RunFormatError as error:
                self._cache.drop(shelf)
                raise _unreadable(shelf, str(error)) from error
            if not isinstance(planned, MissingNodes):
                return None if planned is None else (cached, planned)
            if not await self._read_nodes(shelf, cached, planned.ids):
                torn += 1
            if torn == _TORN_READS:
                nodes = ", ".join(sorted(planned.ids))
                raise _unreadable(shelf, f"of {nodes}, one is missing, or older than its parent")

    async def _write(self, shelf: str, cached: CachedShelf, flush: TreeFlush) -> bool:
        """Write `flush` if the root's ETag still matches; return whether it did. The shelf leaves the cache unless it
        is what the container holds afterwards."""
        try:
            # Of each document its ETag comes back, and not the document: a flush has up to 1.5 MB of them.
            results = await self._container.execute_item_batch(
                operations(cached.etag, flush), partition_key=shelf, no_response=True
            )
        except CosmosBatchOperationError as error:
            self._cache.drop(shelf)
            if error.status_code not in _OVERTAKEN:
                raise
            self.counts.conflicts += 1
            return False
        except BaseException:
            # Whether it was written is not known.
            self._cache.drop(shelf)
            raise
        self._count_write(results, documents=1 + len(flush.nodes))
        cached.etag, cached.root = results[0]["eTag"], flush.root
        self._cache.add(shelf, flush.nodes.values())
        self._cache.shrink()
        return True

    async def _read_root(self, shelf: str) -> CachedShelf:
        """The shelf with nothing but its root. Nodes are read later: where they are newer, the write is overtaken."""
        item = await self._read_item(shelf, ROOT)
        if item is None:
            found = CachedShelf(RootDocument(shelf=shelf), None, {})
        else:
            found = CachedShelf(_converted(shelf, item, RootDocument), item["_etag"], {})
        self._cache.put(shelf, found)
        return found

    async def _read_nodes(self, shelf: str, cached: CachedShelf, ids: Collection[str]) -> bool:
        """Read nodes into the cache; return whether all were there, as new as their parents. If not, the shelf leaves
        the cache: another worker was first, or the account answered with an older state."""
        nodes = [_converted(shelf, item, NodeDocument) for item in await self._read_items(shelf, sorted(ids))]
        if len(nodes) < len(ids) or not all(_has_received(cached, node) for node in nodes):
            self._cache.drop(shelf)
            return False
        self._cache.add(shelf, nodes)
        return True

    async def _read_items(self, shelf: str, ids: Sequence[str]) -> list[dict[str, Any]]:
        """Those of the items that exist."""
        if len(ids) == 1:
            item = await self._read_item(shelf, ids[0])
            return [] if item is None else [item]
        found = [item async for item in items_by_id(self._container, ids, shelf, self._count_page)]
        self.counts.reads += len(found)
        return found

    def _count_page(self, headers: Mapping[str, str], _: object) -> None:
        self.counts.charge += float(headers[_CHARGE])

    async def _read_item(self, shelf: str, node_id: str) -> dict[str, Any] | None:
        self.counts.reads += 1
        try:
            item = await self._container.read_item(node_id, shelf)
        except CosmosResourceNotFoundError:
            self.counts.charge += 1
            return None
        self.counts.charge += float(item.get_response_headers()[_CHARGE])
        return dict(item)

    def _count_write(self, results: CosmosList, documents: int) -> None:
        headers: Mapping[str, str] = results.get_response_headers()
        self.counts.writes += 1
        self.counts.documents += documents
        self.counts.charge += float(headers[_CHARGE])


def _forgetting(
    user_id: str, bounds: Mapping[int, int], applied: Mapping[int, int], is_fenced: bool, known: CachedShelf
) -> Callable[[], ForgettingFlush | MissingNodes | None]:
    return partial(plan_forgetting, known.root, known.nodes, user_id, bounds, applied, is_fenced=is_fenced)


def _unreadable(shelf: str, what: str) -> CosmosHttpResponseError:
    """What a caller gets who may try again later: nothing is written over a document that can't be read."""
    sentence = (
        f"shelf {shelf}: {what}. It is read again; where it stays so, restore the container {LIBRARY_SHELVES} from a "
        "backup, or run the version that wrote it"
    )
    return CosmosHttpResponseError(status_code=_RETRY_WITH, message=sentence)  # type: ignore[no-untyped-call]


def _converted(shelf: str, item: Mapping[str, Any], kind: type[T]) -> T:
    try:
        return convert(dict(item), kind)
    except PoisonError as poison:
        raise _unreadable(shelf, f"document {item['id']!r} can't be understood: {poison}") from None


def _has_received(cached: CachedShelf, node: NodeDocument) -> bool:
    """Whether the node has what its parent pushed to it; true where the parent is not known."""
    parent = cached.root if len(node.id) == 1 else cached.nodes.get(node.id[:-1])
    return parent is None or node.received >= parent.pushed.get(node.id[-1], 0)


def operations(etag: str | None, flush: TreeFlush) -> list[tuple[Any, ...]]:
    """`flush` as a transactional batch, the root first.

    The root is created where `etag` is None, else replaced under it. So nodes need no ETag of their own.
    """
    root = msgspec.to_builtins(flush.root)
    first: tuple[Any, ...] = ("create", (root,))
    if etag is not None:
        first = ("replace", (ROOT, root), {"if_match_etag": etag})
    return [first, *(("upsert", (msgspec.to_builtins(node),)) for node in flush.nodes.values())]
