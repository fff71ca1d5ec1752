"""The container `erasures`. Documents in it that are no erasures are passed over, and named once in the log."""

import logging
from collections.abc import AsyncIterator, Callable
from datetime import datetime

import msgspec
from azure.core import MatchConditions
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosResourceNotFoundError

from songline.cloud.cosmos import OVERTAKEN, Container
from songline.schemas.channels import ERASURES
from songline.schemas.decoding import convert
from songline.schemas.erasures import Erasure
from songline.schemas.errors import PoisonError

log = logging.getLogger(__name__)

CONTAINER = Container(ERASURES, partition_key="/id", indexed=("/state/?", "/userId/?", "/requestedAt/?"))

_ALL = "SELECT * FROM c ORDER BY c.requestedAt"
_OPEN = "SELECT * FROM c WHERE c.state IN ('waiting', 'running')"
_OF_USER = "SELECT * FROM c WHERE c.userId = @user"
_KEYED = "SELECT * FROM c WHERE IS_DEFINED(c.listener)"


class NoErasureError(Exception):
    """There is no erasure of this id."""


class ErasureStore:
    """Reads and writes erasures with optimistic concurrency. Methods raise AzureError."""

    def __init__(self, container: ContainerProxy) -> None:
        self._container = container
        self.foreign: set[str] = set()
        """The ids of documents that are no erasures, of those that were read."""

    async def create(self, erasure: Erasure) -> None:
        """Write the request; it is durable when this returns."""
        await self._container.create_item(msgspec.to_builtins(erasure), no_response=True)

    async def read(self, erasure_id: str) -> Erasure | None:
        """The erasure, None where there is none."""
        found = await self._find(erasure_id)
        return None if found is None else found[0]

    async def all(self) -> list[Erasure]:
        """All erasures, the first requested first."""
        return [one async for one in self._query(_ALL)]

    async def of(self, user_id: str) -> list[Erasure]:
        """The erasures of the listener that are not done."""
        return [one async for one in self._query(_OF_USER, user_id) if one.is_open]

    async def open(self) -> list[Erasure]:
        """Those that wait or run, the first requested first; none where the account has no erasures yet."""
        try:
            return sorted([one async for one in self._query(_OPEN)], key=lambda one: one.requested_at)
        except CosmosResourceNotFoundError:
            return []

    async def due(self, now: datetime) -> list[Erasure]:
        """Those that a worker may begin, or go on with, at `now`: the first that was due first. Of one listener's, the
        one that was asked for first: two at a time would give two names to one hour."""
        first: dict[str | None, Erasure] = {}
        async for one in self._query(_OPEN):
            before = first.setdefault(one.user_id, one)
            if (one.requested_at, one.id) < (before.requested_at, before.id):
                first[one.user_id] = one
        return sorted((one for one in first.values() if is_due(one, now)), key=lambda one: one.due_at)

    async def keyed(self) -> list[Erasure]:
        """Those that a reader of the hub must know: their listeners' events may be in its tail. None where the account
        has no erasures yet."""
        try:
            return [one async for one in self._query(_KEYED)]
        except CosmosResourceNotFoundError:
            return []

    async def change(self, erasure_id: str, step: Callable[[Erasure], Erasure]) -> Erasure:
        """Apply `step` and return the result. What `step` raises is raised, and so is NoErasureError."""
        while True:
            found = await self._find(erasure_id)
            if found is None:
                raise NoErasureError(f"there is no erasure {erasure_id}")
            before, etag = found
            after = step(before)
            if after == before:
                return before
            try:
                await self._container.replace_item(
                    erasure_id,
                    msgspec.to_builtins(after),
                    etag=etag,
                    match_condition=MatchConditions.IfNotModified,
                    no_response=True,
                )
            except OVERTAKEN:
                continue
            return after

    async def _find(self, erasure_id: str) -> tuple[Erasure, str] | None:
        try:
            item = await self._container.read_item(erasure_id, erasure_id)
        except CosmosResourceNotFoundError:
            return None
        erasure = self._erasure(dict(item))
        return None if erasure is None else (erasure, item["_etag"])

    async def _query(self, query: str, user_id: str | None = None) -> AsyncIterator[Erasure]:
        parameters: list[dict[str, object]] = [] if user_id is None else [{"name": "@user", "value": user_id}]
        async for item in self._container.query_items(query, parameters=parameters):
            if (erasure := self._erasure(dict(item))) is not None:
                yield erasure

    def _erasure(self, item: dict[str, object]) -> Erasure | None:
        try:
            return convert(item, Erasure)
        except PoisonError as error:
            name = str(item.get("id"))
            if name not in self.foreign:
                self.foreign.add(name)
                log.error("document %r of the container %s is no erasure: %s", name, ERASURES, error.detail)
            return None


def is_due(erasure: Erasure, now: datetime) -> bool:
    """Whether a worker may take it: its window has passed, and no other worker's lease lasts."""
    if erasure.state == "waiting":
        return erasure.due_at <= now
    return erasure.state == "running" and (erasure.lease_until or now) <= now
