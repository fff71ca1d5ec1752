"""Songs in Cosmos DB, written under optimistic concurrency."""

from collections.abc import Sequence

import msgspec
from azure.core import MatchConditions
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import (
    CosmosResourceNotFoundError,
)
from msgspec import Struct

from songline.cloud.cosmos import OVERTAKEN, Container
from songline.processors.catalog.fold import apply_facts, document_of
from songline.schemas.channels import SONGS
from songline.schemas.search import FOLDING
from songline.schemas.songs import Fact, Song, SongDocument

CONTAINER = Container(SONGS, partition_key="/id", indexed=("/order/?", "/artist/?", "/genre/?", "/words/[]/?"))


class StoredSong(Struct, frozen=True):
    """The document of a song as it was read or written, with its ETag; `document` is None where there is none."""

    id: str
    document: SongDocument | None = None
    etag: str | None = None

    @property
    def song(self) -> Song | None:
        """The song; None where it is gone or nobody has uploaded it."""
        return None if self.document is None else self.document.song


class SongStore:
    """The container `songs`. Methods raise AzureError."""

    def __init__(self, container: ContainerProxy) -> None:
        self._container = container

    async def apply(
        self, song_id: str, partition: str, facts: Sequence[Fact], resubmitted: Sequence[Fact] = ()
    ) -> StoredSong:
        """The song's document once it has the facts of `partition`, by this write or an earlier one.

        `resubmitted` are facts that were parked and sent again. Most often an upload is the first fact about a song, so
        its document is created without a read before.
        """
        is_new = any(fact.song is not None for fact in facts)
        stored = StoredSong(song_id) if is_new else await self.read(song_id)
        while True:
            after = apply_facts(stored.document, song_id, partition, facts, resubmitted)
            if after == stored.document:
                return stored
            try:
                return await self._write(stored, after)
            except OVERTAKEN:
                stored = await self.read(song_id)

    async def refold(self, song_id: str) -> None:
        """Write the song's document as today's rules of search fold it."""
        while True:
            stored = await self.read(song_id)
            if stored.document is None or stored.document.folding == FOLDING:
                return
            try:
                await self._write(stored, document_of(song_id, stored.document.all_facts))
            except OVERTAKEN:
                continue
            return

    async def is_current(self, stored: StoredSong) -> bool:
        """Whether nobody has written the document since.

        Under session consistency a read may be answered by a replica that does not have another worker's write yet.
        Only a write is sure, so the document is written back as it is, under its ETag.
        """
        if stored.document is None:
            return (await self.read(stored.id)).document is None
        try:
            await self._write(stored, stored.document)
        except OVERTAKEN:
            return False
        return True

    async def read(self, song_id: str) -> StoredSong:
        """The song's document as a replica has it."""
        try:
            item = dict(await self._container.read_item(song_id, song_id))
        except CosmosResourceNotFoundError:
            return StoredSong(song_id)
        return StoredSong(song_id, msgspec.convert(item, SongDocument), item["_etag"])

    async def _write(self, before: StoredSong, document: SongDocument) -> StoredSong:
        body = msgspec.to_builtins(document)
        if before.document is None:
            written = await self._container.create_item(body, no_response=True)
        else:
            written = await self._container.replace_item(
                before.id, body, etag=before.etag, match_condition=MatchConditions.IfNotModified, no_response=True
            )
        return StoredSong(before.id, document, written.get_response_headers()["etag"])
