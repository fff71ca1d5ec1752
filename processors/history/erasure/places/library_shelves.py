"""Libraries: the trees of all versions, and the documents of the version before trees."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
from azure.cosmos.aio import ContainerProxy, DatabaseProxy
from azure.cosmos.exceptions import CosmosResourceNotFoundError

from songline.processors.history.erasure.job import ErasureJob, HeldRecord, NotYetError, StepResult
from songline.processors.history.erasure.places.versions import VersionContainers
from songline.processors.library.shelf_store import ShelfStore
from songline.schemas.channels import LIBRARY
from songline.schemas.decoding import convert
from songline.schemas.library.action_run import decode_run
from songline.schemas.library.node import NodeDocument, RootDocument, TreeDocument
from songline.schemas.library.shelf import ROOT, child_of, is_on_path, shelf_key, shelf_of

ROOM_KB = 8 * 1024

_SHELVES = "SELECT VALUE c.shelf FROM c WHERE c.id = 'root'"
_FORMER = "SELECT * FROM c WHERE c.userId = @user"


class LibraryShelves:
    """The containers of libraries."""

    name = "libraries"

    def __init__(self, database: DatabaseProxy) -> None:
        self._versions = VersionContainers(database, LIBRARY, "shelf")
        self._former = database.get_container_client(LIBRARY)

    async def run(self, job: ErasureJob) -> StepResult:
        """Take the listener out of every version, once the live one has applied all of theirs up to the bounds. Their
        shelf takes nothing any more of what the version has applied: a worker that was stopped may go on. Nor does it
        take, in a version that is not live, what a rebuild or a worker was sending when it was stopped."""
        if behind := await self._versions.behind(job.bounds, job.erasure.hub_created_at):
            raise NotYetError(behind)
        actions = 0
        known = await self._versions.shelves()
        for container in await self._versions.all():
            bounds = await self._versions.lasting(container, job.erasure)
            applied = await self._versions.applied(container)
            store = ShelfStore(container, ROOM_KB)
            spread = known.get(container.id)
            own = shelf_key(spread.version, shelf_of(job.user_id, spread.count)) if spread and spread.count else ""
            for shelf in sorted({*await _shelves(container), own} - {""}):
                is_own = shelf == own
                actions += await store.forget(
                    shelf,
                    job.user_id,
                    bounds,
                    applied if is_own else {},
                    is_fenced=is_own and spread is not None and not spread.is_live,
                )
        documents = 0
        async for item in self._former_documents(job.user_id):
            await self._former.delete_item(item["id"], job.user_id)
            documents += 1
        return StepResult({"actions": actions, "former documents": documents})

    async def being_built(self, job: ErasureJob) -> str:
        """Which version a rebuild may still write the listener into, as a sentence; empty for none."""
        return await self._versions.being_built(job.erasure, job.now())

    async def held(self, user_id: str) -> AsyncIterator[HeldRecord]:
        """The listener's actions in every version, each once a version, and their documents of the former one."""
        for container in await self._versions.all():
            for shelf in await _shelves(container):
                async for node in _nodes(container, shelf, user_id):
                    for run in node.runs:
                        for action in decode_run(run):
                            if action.user_id == user_id:
                                value = {"container": container.id, **action._asdict()}
                                key = f"{action.partition}:{action.position}"
                                yield HeldRecord(place=self.name, kind=action.kind, id=key, value=value)
        async for item in self._former_documents(user_id):
            yield HeldRecord(place=self.name, kind="former document", id=item["id"], value=_plain(item))

    async def _former_documents(self, user_id: str) -> AsyncIterator[dict[str, Any]]:
        try:
            # Metadata, which every process may read: of a container that is not there, an identity may read no items.
            await self._former.read()
        except CosmosResourceNotFoundError:
            return
        parameters: list[dict[str, object]] = [{"name": "@user", "value": user_id}]
        async for item in self._former.query_items(_FORMER, parameters=parameters, partition_key=user_id):
            yield dict(item)


async def _shelves(container: ContainerProxy) -> list[str]:
    """The partition keys of all shelves: which one a listener's is depends on how many there are in the version."""
    return sorted({str(one) async for one in container.query_items(_SHELVES)})


async def _nodes(container: ContainerProxy, shelf: str, user_id: str) -> AsyncIterator[TreeDocument]:
    """The nodes that may have actions of the listener, as each is at some moment."""
    waiting = [ROOT]
    while waiting:
        node_id = waiting.pop()
        try:
            item = dict(await container.read_item(node_id, shelf))
        except CosmosResourceNotFoundError:
            continue
        kind: type[TreeDocument] = RootDocument if node_id == ROOT else NodeDocument
        node: TreeDocument = convert(item, kind)
        yield node
        children = (child_of(node_id, digit) for digit in node.pushed)
        waiting += [child for child in children if is_on_path(child, user_id)]


def _plain(item: dict[str, Any]) -> dict[str, Any]:
    """A document without what Cosmos DB adds to it."""
    return {name: value for name, value in msgspec.to_builtins(item).items() if not name.startswith("_")}
