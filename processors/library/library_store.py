"""Libraries in Cosmos DB: a change of a listener is one transaction under the ETag of their summary."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from azure.cosmos import CosmosList
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosBatchOperationError, CosmosResourceNotFoundError
from msgspec import Struct

from songline.cloud.cosmos import Container
from songline.processors.library.actions import ListenerAction
from songline.processors.library.fold import LibraryChange, apply_actions, transaction_size
from songline.processors.library.library_cache import CachedLibrary, LibraryCache
from songline.schemas.channels import LIBRARY
from songline.schemas.library.listener_documents import SUMMARY, EntryDocument, SummaryDocument, entry_id

CONTAINER = Container(
    LIBRARY,
    partition_key="/userId",
    indexed=("/byRecent/?", "/byPlays/?", "/byLiked/?", "/byUploaded/?"),
)

_CHARGE = "x-ms-request-charge"
# Another worker was first: what is created exists, what is replaced has changed, or has gone.
_OVERTAKEN = (409, 412, 404)


class LibraryWriteCounts(Struct):
    """What the writes cost so far: transactions (`writes`), the documents in them, reads, transactions that another
    worker overtook (`conflicts`), and request units (`charge`)."""

    writes: int = 0
    documents: int = 0
    reads: int = 0
    conflicts: int = 0
    charge: float = 0.0


class LibraryStore:
    """The container `library`. `room`: about how many documents are cached."""

    def __init__(self, container: ContainerProxy, room: int) -> None:
        self._container = container
        self._cache = LibraryCache(room)
        self.counts = LibraryWriteCounts()

    async def apply(self, user_id: str, partition: str, actions: Sequence[ListenerAction]) -> None:
        """Return once the listener's documents have `actions` of the partition, in its order, by this write or an
        earlier one. Raises AzureError; some of the actions may be written then, and all may be given again."""
        done = 0
        while done < len(actions):
            following = actions[done : done + transaction_size(actions[done:])]
            library = await self._load(user_id, {action.song_id for action in following})
            change = apply_actions(user_id, library.summary, library.entries, partition, following)
            if change is None or await self._write(user_id, library, change):
                done += len(following)

    async def _load(self, user_id: str, songs: set[str]) -> CachedLibrary:
        """The listener's library with the entries of `songs`, from the cache as far as it has them."""
        library = self._cache.find(user_id)
        if library is None:
            library = await self._read_summary(user_id)
        if unread := library.unread(songs):
            found = {} if library.is_complete else await self._read_entries(user_id, unread)
            for song_id in unread:
                # Another partition's actions may have been written meanwhile: an entry that is cached by now is newer.
                library.entries.setdefault(song_id, found.get(song_id))
        self._cache.put(user_id, library)
        return library

    async def _write(self, user_id: str, library: CachedLibrary, change: LibraryChange) -> bool:
        """Write `change` if the summary's ETag still matches; return whether it did. The library leaves the cache
        unless it is what the container holds afterwards."""
        self._cache.drop(user_id)
        try:
            results = await self._container.execute_item_batch(operations(library.etag, change), partition_key=user_id)
        except CosmosBatchOperationError as error:
            if error.status_code not in _OVERTAKEN:
                raise
            self.counts.conflicts += 1
            return False
        self._count_write(results, documents=1 + len(change.entries))
        library.etag, library.summary = results[0]["eTag"], change.summary
        library.entries.update(change.entries)
        self._cache.put(user_id, library)
        return True

    async def _read_summary(self, user_id: str) -> CachedLibrary:
        """The library without entries. Entries are read after it: where they are newer, the write is overtaken."""
        self.counts.reads += 1
        try:
            item = await self._container.read_item(SUMMARY, user_id)
        except CosmosResourceNotFoundError:
            self.counts.charge += 1
            return CachedLibrary(None, None, {}, is_complete=True)
        self.counts.charge += float(item.get_response_headers()[_CHARGE])
        summary = msgspec.convert(dict(item), SummaryDocument)
        return CachedLibrary(item["_etag"], summary, {}, is_complete=False)

    async def _read_entries(self, user_id: str, songs: Sequence[str]) -> dict[str, EntryDocument]:
        self.counts.reads += 1
        names = [f"@song{number}" for number in range(len(songs))]
        values = [entry_id(song_id) for song_id in songs]
        query = self._container.query_items(
            " ".join(("SELECT * FROM c WHERE c.id IN (", ", ".join(names), ")")),
            parameters=[{"name": name, "value": value} for name, value in zip(names, values, strict=True)],
            partition_key=user_id,
            response_hook=self._count_charge,
        )
        return {item["songId"]: msgspec.convert(dict(item), EntryDocument) async for item in query}

    def _count_charge(self, headers: Mapping[str, str], _: object) -> None:
        self.counts.charge += float(headers[_CHARGE])

    def _count_write(self, results: CosmosList, documents: int) -> None:
        self.counts.writes += 1
        self.counts.documents += documents
        self.counts.charge += float(results.get_response_headers()[_CHARGE])


def operations(etag: str | None, change: LibraryChange) -> list[tuple[Any, ...]]:
    """`change` as a transactional batch, the summary first.

    The summary is created where `etag` is None, else replaced under it. So entries need no ETag of their own.
    """
    summary = msgspec.to_builtins(change.summary)
    first: tuple[Any, ...] = ("create", (summary,))
    if etag is not None:
        first = ("replace", (SUMMARY, summary), {"if_match_etag": etag})
    return [first, *_upserts(change.entries.values())]


def _upserts(entries: Iterable[EntryDocument]) -> list[tuple[Any, ...]]:
    return [("upsert", (msgspec.to_builtins(entry),)) for entry in entries]
