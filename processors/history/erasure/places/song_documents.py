"""The catalog: in what they said of songs, a forgotten listener becomes a name that only the song has."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any

import msgspec
from azure.core import MatchConditions
from azure.cosmos.aio import ContainerProxy, DatabaseProxy
from msgspec import structs

from songline.cloud.cosmos import OVERTAKEN
from songline.processors.catalog.compacted_topic_writer import CompactedTopicWriter
from songline.processors.catalog.fold import document_of
from songline.processors.catalog.refolding import MARK
from songline.processors.catalog.song_store import SongStore, StoredSong
from songline.processors.history.erasure.job import ErasureJob, HeldRecord, NotYetError, StepResult
from songline.processors.history.erasure.places.versions import VersionContainers
from songline.schemas.channels import SONGS
from songline.schemas.decoding import convert
from songline.schemas.errors import PoisonError
from songline.schemas.ownership import Key, merge
from songline.schemas.progress import PROGRESS
from songline.schemas.songs import Fact, SongDocument

OpenTopic = Callable[[SongStore], AbstractAsyncContextManager[CompactedTopicWriter]]
"""Opens the writer of the compacted hub `catalog`."""

_ALL = "SELECT * FROM c WHERE c.id NOT IN (@progress, @mark)"


class SongDocuments:
    """The containers of songs, and the hub `catalog`, which has the live one's songs."""

    name = "catalog"

    def __init__(self, database: DatabaseProxy, open_topic: OpenTopic) -> None:
        self._versions = VersionContainers(database, SONGS, "id")
        self._open_topic = open_topic

    async def run(self, job: ErasureJob) -> StepResult:
        """Rename the listener in every version, once the live one has applied all of theirs up to the bounds."""
        if behind := await self._versions.behind(job.bounds, job.erasure.hub_created_at):
            raise NotYetError(behind)
        live, songs = await self._versions.live(), 0
        for container in await self._versions.all():
            bounds = await self._versions.lasting(container, job.erasure)
            store = SongStore(container)
            is_live = container.id == live.id
            found = [
                stored
                async for stored in _songs(container)
                if _renamed(stored, job, bounds) != stored.document or (is_live and _is_renamed(stored, job))
            ]
            if not found:
                continue
            async with self._open_topic(store) as topic:
                for stored in found:
                    written = await _rename(container, store, stored, job, bounds)
                    songs += written.document != stored.document
                    if is_live:
                        await topic.publish(written)
        return StepResult({"songs": songs})

    async def being_built(self, job: ErasureJob) -> str:
        """Which version a rebuild may still write the listener into, as a sentence; empty for none."""
        return await self._versions.being_built(job.erasure, job.now())

    async def held(self, user_id: str) -> AsyncIterator[HeldRecord]:
        """The listener's facts about songs, in every version."""
        for container in await self._versions.all():
            async for stored in _songs(container):
                assert stored.document is not None
                for (partition, user), fact in stored.document.all_facts.items():
                    if user == user_id:
                        value = {"container": container.id, "partition": partition, **msgspec.to_builtins(fact)}
                        yield HeldRecord(place=self.name, kind="fact", id=stored.id, value=value)

    async def behind(self, bounds: Mapping[str, int], created_at: datetime) -> str:
        """Which partition of the hub that was created at `created_at` the live version has not applied up to `bounds`
        yet, as a sentence; empty for none."""
        return await self._versions.behind(bounds, created_at)

    async def owned(self, user_id: str) -> list[str]:
        """The ids of the songs that are the listener's and available, in the live version."""
        return [
            stored.id
            async for stored in _songs(await self._versions.live())
            if stored.document is not None and stored.document.song is not None and stored.document.owner == user_id
        ]


def renamed_song(document: SongDocument, user_id: str, name: str, bounds: Mapping[int, int]) -> SongDocument:
    """The document in which the listener's facts up to the bounds are of `name`; the same where there are none. It may
    have facts of `name` already: a version was built while the listener was forgotten."""
    facts: dict[Key, Fact] = {}
    is_changed = False
    for (partition, user), fact in document.all_facts.items():
        is_theirs = user == user_id and fact.position <= bounds.get(partition, fact.position)
        is_changed = is_changed or is_theirs
        key = (partition, name if is_theirs else user)
        named = _renamed_fact(fact, name) if is_theirs else fact
        facts[key] = merge(facts[key], named) if key in facts else named
    return document_of(document.id, facts) if is_changed else document


def _renamed_fact(fact: Fact, name: str) -> Fact:
    song = None if fact.song is None else structs.replace(fact.song, user_id=name)
    return structs.replace(fact, user_id=name, song=song)


def _renamed(stored: StoredSong, job: ErasureJob, bounds: Mapping[int, int]) -> SongDocument | None:
    if stored.document is None:
        return None
    return renamed_song(stored.document, job.user_id, job.names.of_song(stored.id), bounds)


def _is_renamed(stored: StoredSong, job: ErasureJob) -> bool:
    """Whether the document has the listener's name already. A crash may have come before the hub was told."""
    name = job.names.of_song(stored.id)
    return stored.document is not None and any(user == name for _, user in stored.document.all_facts)


async def _rename(
    container: ContainerProxy, store: SongStore, stored: StoredSong, job: ErasureJob, bounds: Mapping[int, int]
) -> StoredSong:
    while True:
        after = _renamed(stored, job, bounds)
        if after is None or after == stored.document:
            return stored
        try:
            written = await container.replace_item(
                stored.id,
                msgspec.to_builtins(after),
                etag=stored.etag,
                match_condition=MatchConditions.IfNotModified,
                no_response=True,
            )
        except OVERTAKEN:
            stored = await store.read(stored.id)
            continue
        return StoredSong(stored.id, after, written.get_response_headers()["etag"])


async def _songs(container: ContainerProxy) -> AsyncIterator[StoredSong]:
    parameters: list[dict[str, object]] = [{"name": "@progress", "value": PROGRESS}, {"name": "@mark", "value": MARK}]
    async for item in container.query_items(_ALL, parameters=parameters):
        document: dict[str, Any] = dict(item)
        try:
            yield StoredSong(document["id"], convert(document, SongDocument), document["_etag"])
        except PoisonError:
            continue  # Not ours: nothing of it is served either.
