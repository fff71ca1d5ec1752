"""Libraries in Cosmos DB: a listener's changes are one transaction, under the ETag of his summary."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from azure.cosmos import CosmosList
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosBatchOperationError, CosmosResourceNotFoundError
from msgspec import Struct

from songline.cloud.cosmos import Container
from songline.processors.library.actions import UserAction
from songline.processors.library.fold import LibraryChange, apply, transaction_size
from songline.processors.library.library_cache import CachedLibrary, LibraryCache
from songline.schemas.channels import LIBRARY
from songline.schemas.library import SUMMARY, EntryDocument, SummaryDocument, entry_id

CONTAINER = Container(
    LIBRARY,
    partition_key="/userId",
    indexed=("/byRecent/?", "/byPlays/?", "/byLiked/?", "/byUploaded/?"),
)

_CHARGE = "x-ms-request-charge"
# Somebody was there before: to create what is there, to change what has changed, to change what has gone.
_LOST = (409, 412, 404)


class LibraryWriteCounts(Struct):
    """What it cost so far: transactions and the documents in them, reads, writes that came too late, request units."""

    writes: int = 0
    documents: int = 0
    reads: int = 0
    conflicts: int = 0
    charge: float = 0.0


class LibraryStore:
    """The container `library`. `room`: about how many documents may be remembered."""

    def __init__(self, container: ContainerProxy, room: int) -> None:
        self._container = container
        self._shelves = LibraryCache(room)
        self.figures = LibraryWriteCounts()

    async def apply(self, user_id: str, partition: str, acts: Sequence[UserAction]) -> None:
        """Returns when the listener has the acts, which are in the order of the partition, by this write or an earlier
        one. Raises AzureError; some of the acts may be in then, and all may be given again."""
        done = 0
        while done < len(acts):
            following = acts[done : done + transaction_size(acts[done:])]
            shelf = await self._shelf(user_id, {act.song_id for act in following})
            change = apply(user_id, shelf.summary, shelf.entries, partition, following)
            if change is None or await self._write(user_id, shelf, change):
                done += len(following)

    async def _shelf(self, user_id: str, songs: set[str]) -> CachedLibrary:
        """What there is of the listener, with the entries of `songs`."""
        shelf = self._shelves.get(user_id)
        if shelf is None:
            shelf = await self._read(user_id)
        if unknown := shelf.unknown(songs):
            found = {} if shelf.whole else await self._entries(user_id, unknown)
            for song_id in unknown:
                # Another partition's acts may have been written meanwhile: what is remembered then is newer.
                shelf.entries.setdefault(song_id, found.get(song_id))
        self._shelves.put(user_id, shelf)
        return shelf

    async def _write(self, user_id: str, shelf: CachedLibrary, change: LibraryChange) -> bool:
        """Whether the listener was still as `shelf` has him. The shelf is forgotten unless he is as it has him now."""
        self._shelves.drop(user_id)
        try:
            results = await self._container.execute_item_batch(operations(shelf.etag, change), partition_key=user_id)
        except CosmosBatchOperationError as error:
            if error.status_code not in _LOST:
                raise
            self.figures.conflicts += 1
            return False
        self._count(results, documents=1 + len(change.entries))
        shelf.etag, shelf.summary = results[0]["eTag"], change.summary
        shelf.entries.update(change.entries)
        self._shelves.put(user_id, shelf)
        return True

    async def _read(self, user_id: str) -> CachedLibrary:
        """Without entries. These are read after the summary: if they are newer than it is, the write finds out."""
        self.figures.reads += 1
        try:
            item = await self._container.read_item(SUMMARY, user_id)
        except CosmosResourceNotFoundError:
            self.figures.charge += 1
            return CachedLibrary(None, None, {}, whole=True)
        self.figures.charge += float(item.get_response_headers()[_CHARGE])
        return CachedLibrary(item["_etag"], msgspec.convert(dict(item), SummaryDocument), {}, whole=False)

    async def _entries(self, user_id: str, songs: Sequence[str]) -> dict[str, EntryDocument]:
        self.figures.reads += 1
        names = [f"@song{number}" for number in range(len(songs))]
        values = [entry_id(song_id) for song_id in songs]
        query = self._container.query_items(
            " ".join(("SELECT * FROM c WHERE c.id IN (", ", ".join(names), ")")),
            parameters=[{"name": name, "value": value} for name, value in zip(names, values, strict=True)],
            partition_key=user_id,
            response_hook=self._hear,
        )
        return {item["songId"]: msgspec.convert(dict(item), EntryDocument) async for item in query}

    def _hear(self, headers: Mapping[str, str], _: object) -> None:
        self.figures.charge += float(headers[_CHARGE])

    def _count(self, results: CosmosList, documents: int) -> None:
        self.figures.writes += 1
        self.figures.documents += documents
        self.figures.charge += float(results.get_response_headers()[_CHARGE])


def operations(etag: str | None, change: LibraryChange) -> list[tuple[Any, ...]]:
    """The change as a transactional batch, the summary first. It makes a new listener, or changes one that is as he
    was under `etag`; that is why entries need no ETag of their own."""
    summary = msgspec.to_builtins(change.summary)
    first: tuple[Any, ...] = ("create", (summary,))
    if etag is not None:
        first = ("replace", (SUMMARY, summary), {"if_match_etag": etag})
    return [first, *_upserts(change.entries.values())]


def _upserts(entries: Iterable[EntryDocument]) -> list[tuple[Any, ...]]:
    return [("upsert", (msgspec.to_builtins(entry),)) for entry in entries]
