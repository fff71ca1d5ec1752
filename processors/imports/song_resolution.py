"""Resolves the songs of listens against the catalog's live version, and keeps the words of those known by name only."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosHttpResponseError

from songline.cloud.concurrency import gather_or_cancel
from songline.cloud.cosmos import Container
from songline.processors.runtime import live_version
from songline.processors.runtime.match_watch import MatchWatch
from songline.schemas.channels import NAMES, PROJECTIONS, SONGS
from songline.schemas.decoding import convert
from songline.schemas.projections import DamagedVersionError, container_of
from songline.schemas.resolver import (
    SongCandidate,
    SongMatch,
    SongWords,
    candidate_of,
    candidate_word,
    resolve,
)
from songline.schemas.song_names import SongName, title_key
from songline.schemas.songs import SongDocument

CONTAINER = Container(NAMES, partition_key="/shard", indexed=("/kind/?",))

KEPT_S = 60.0
"""Seconds for which the live version is taken to be the same."""
MATCHES_KEPT_S = 2.0
"""Seconds for which the matches of names are taken to be the same."""
ROOM = 50_000
AT_ONCE = 50
"""Titles that one query asks for."""
MAX_OPERATIONS = 100
WRITES_AT_ONCE = 16
_RETRY_WITH = 449


class SongResolution:
    """Resolves songs. `open_container` gives a container by its name, `steady` returns monotonic seconds."""

    def __init__(
        self, open_container: Callable[[str], ContainerProxy], steady: Callable[[], float] = time.monotonic
    ) -> None:
        self._open_container = open_container
        self._steady = steady
        self._read_s = float("-inf")
        self._songs: ContainerProxy | None = None
        self._matches = MatchWatch(open_container(NAMES))
        self._matches_s = float("-inf")
        self._candidates: OrderedDict[str, list[SongCandidate]] = OrderedDict()
        self._written: OrderedDict[str, None] = OrderedDict()

    async def resolve(self, songs: Iterable[SongWords]) -> dict[SongWords, SongMatch]:
        """The song that each of these means. Raises AzureError."""
        wanted = list(dict.fromkeys(songs))
        container = await self._begin()
        missing: dict[str, str] = {}
        for song in wanted:
            key = title_key(song.title)
            if key in self._candidates:
                self._candidates.move_to_end(key)
            else:
                missing[key] = candidate_word(song.title)
        keys = list(missing)
        for start in range(0, len(keys), AT_ONCE):
            await self._read(container, {key: missing[key] for key in keys[start : start + AT_ONCE]})
        joined = self._matches.matches.joined
        found = {song: resolve(song, self._candidates[title_key(song.title)], joined) for song in wanted}
        while len(self._candidates) > ROOM:
            self._candidates.popitem(last=False)
        return found

    async def words_of(self, song_ids: Iterable[str]) -> dict[str, SongCandidate]:
        """The songs of the catalog with these ids. Raises AzureError."""
        container = await self._begin()
        found: dict[str, SongCandidate] = {}
        ids = sorted(set(song_ids))
        for start in range(0, len(ids), AT_ONCE):
            for document in await _in(container, "c.id", ids[start : start + AT_ONCE]):
                if document.song is not None:
                    found[document.id] = candidate_of(document.song)
        return found

    async def keep_names(self, names: Iterable[SongName]) -> None:
        """Write the words of songs that are known by name only, those that were not written lately. Raises
        AzureError."""
        by_shard: dict[str, list[SongName]] = {}
        for name in names:
            if name.id not in self._written:
                by_shard.setdefault(name.shard, []).append(name)
        gate = asyncio.Semaphore(WRITES_AT_ONCE)

        async def write(shard: str, some: Sequence[SongName]) -> None:
            async with gate:
                container = self._open_container(NAMES)
                operations = [("upsert", (msgspec.to_builtins(name),)) for name in some]
                await container.execute_item_batch(operations, shard, no_response=True)

        unique = {shard: list({name.id: name for name in reversed(some)}.values()) for shard, some in by_shard.items()}
        await gather_or_cancel(
            write(shard, some[start : start + MAX_OPERATIONS])
            for shard, some in unique.items()
            for start in range(0, len(some), MAX_OPERATIONS)
        )
        for some in by_shard.values():
            self._written.update(dict.fromkeys(name.id for name in some))
        while len(self._written) > ROOM:
            self._written.popitem(last=False)

    async def _begin(self) -> ContainerProxy:
        """The container of the live version's songs. What is cached is dropped after KEPT_S seconds, so that songs that
        came meanwhile are found."""
        now_s = self._steady()
        if now_s - self._matches_s >= MATCHES_KEPT_S:
            await self._matches.refresh()
            self._matches_s = now_s
        if self._songs is None or now_s - self._read_s >= KEPT_S:
            try:
                live = await live_version.read(self._open_container(PROJECTIONS), SONGS)
            except DamagedVersionError as error:
                raise CosmosHttpResponseError(status_code=_RETRY_WITH, message=str(error)) from None  # type: ignore[no-untyped-call]
            self._songs = self._open_container(container_of(SONGS, live.version))
            self._candidates.clear()
            self._read_s = now_s
        return self._songs

    async def _read(self, container: ContainerProxy, missing: Mapping[str, str]) -> None:
        """Read the candidates of titles, by a word of each."""
        for key in missing:
            self._candidates[key] = []
        for document in await _with_words(container, sorted(set(missing.values()))):
            song = document.song
            if song is not None and (key := title_key(song.title)) in missing:
                self._candidates[key].append(candidate_of(song))


async def _with_words(container: ContainerProxy, words: Sequence[str]) -> list[SongDocument]:
    """The songs that have one of the words. A removed song has none."""
    names = ", ".join(f"@p{number}" for number in range(len(words)))
    where = f"EXISTS(SELECT VALUE word FROM word IN c.words WHERE word IN ({names}))"  # noqa: S608 - parameters
    return await _documents(container, where, words)


async def _in(container: ContainerProxy, path: str, values: Sequence[str]) -> list[SongDocument]:
    names = ", ".join(f"@p{number}" for number in range(len(values)))
    return await _documents(container, f"{path} IN ({names})", values)


async def _documents(container: ContainerProxy, where: str, values: Sequence[str]) -> list[SongDocument]:
    parameters: list[dict[str, object]] = [
        {"name": f"@p{number}", "value": value} for number, value in enumerate(values)
    ]
    query = f"SELECT c.id, c.facts, c.order FROM c WHERE {where}"  # noqa: S608 - names of parameters alone
    found = container.query_items(query, parameters=parameters)
    return [convert(dict(item), SongDocument) async for item in found]
