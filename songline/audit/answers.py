"""Reads everything that the API answers, to be held against the reference."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeVar

import httpx
from azure.cosmos.aio import ContainerProxy

from songline.audit.api_access import REQUEST_FAILURES
from songline.audit.library_check import LibraryAnswers
from songline.audit.upload_check import UploadAnswer
from songline.cloud.concurrency import gather_or_cancel
from songline.processors.runtime.parked_store import ParkedStore
from songline.schemas.decoding import Decoder
from songline.schemas.documents import Chart
from songline.schemas.errors import PoisonError
from songline.schemas.ingestions import IngestionAnswer
from songline.schemas.library.answers import Library, LibrarySummary, Recent
from songline.schemas.plays import SongPlays
from songline.schemas.songs import Song, SongAnswer, SongsAnswer

SIDE_BY_SIDE = 4
PLAYS_HOURS = 160
"""Hours of a song's plays that are compared: in older ones an event may be too late to count."""
TRIES = 20
WAIT_S = 10
PAUSE_S = 1.0
PATIENCE_S = 600.0
"""Of some answers that are asked for, the next one has to come within so long."""
TELL_EACH_S = 10.0
T = TypeVar("T")


class NoAnswerError(Exception):
    """The API did not answer a question that it must answer, however often it was asked."""


def covers(position: Mapping[str, int], least: Mapping[str, int]) -> bool:
    """Whether an answer at `position` has everything up to `least`."""
    return all(position.get(partition, -1) >= number for partition, number in least.items())


class ApiAnswers:
    """Asks the API. Every question is asked again while it is answered 503 or not at all. `say` shows a line of
    progress.

    Each question raises NoAnswerError where no answer comes.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        say: Callable[[str], None] = lambda line: None,
        *,
        patience_s: float = PATIENCE_S,
        tell_each_s: float = TELL_EACH_S,
    ) -> None:
        self._http, self._say, self._patience_s, self._tell_each_s = http, say, patience_s, tell_each_s

    async def charts(self, keys: Iterable[str], position: Mapping[str, int]) -> dict[str, Chart]:
        """Charts by key, each with everything up to the position."""
        least = ",".join(f"{partition}:{number}" for partition, number in position.items())

        async def read(key: str) -> Chart:
            kind, window, scope = key.split(":", 2)
            query = {"scope": scope, "min_position": least, "wait": WAIT_S}
            return await self._ask(f"/v1/charts/{kind}/{window}", Chart, query)

        return await self._all("charts", keys, read)

    async def plays(self, songs: Iterable[str], position: Mapping[str, int]) -> dict[str, SongPlays]:
        """The hours of songs, with everything up to the position, which is waited for; without those of songs that were
        removed."""

        async def read(song: str) -> SongPlays | None:
            path = f"/v1/songs/{song}/plays"
            found = await self._find(path, SongPlays, {"hours": PLAYS_HOURS})
            # Hours are written behind charts, and this question has no `min_position`.
            while found is not None and not covers(found.position, position):
                await asyncio.sleep(PAUSE_S)
                found = await self._find(path, SongPlays, {"hours": PLAYS_HOURS})
            return found

        return {song: one for song, one in (await self._all("songs' hours", songs, read)).items() if one is not None}

    async def libraries(self, listeners: Iterable[str]) -> dict[str, LibraryAnswers]:
        """All that is said of listeners' libraries."""
        return await self._all("libraries", listeners, self._library)

    async def songs(self) -> dict[str, Song]:
        """All songs of the catalog."""
        found: dict[str, Song] = {}
        cursor: str | None = None
        while True:
            query = {"limit": 100, **({} if cursor is None else {"cursor": cursor})}
            page = await self._ask("/v1/songs", SongsAnswer, query)
            found |= {one.id: one for one in page.songs}
            cursor = page.next
            if cursor is None:
                return found

    async def songs_of(self, ids: Iterable[str]) -> dict[str, Song]:
        """Songs of the catalog by id; without those that are not there."""

        async def read(song: str) -> SongAnswer | None:
            return await self._find(f"/v1/songs/{song}", SongAnswer, {})

        return {song: one.song for song, one in (await self._all("songs", ids, read)).items() if one is not None}

    async def summary(self, listener: str) -> LibrarySummary:
        """The totals of a listener."""
        return await self._ask(f"/v1/users/{listener}/summary", LibrarySummary, {})

    async def uploads(self, ingestions: Iterable[str]) -> dict[str, UploadAnswer]:
        """What became of uploads; without those that are not there."""
        found = await self._all("uploads", ingestions, self._upload)
        return {name: one for name, one in found.items() if one is not None}

    async def ingestion(self, ingestion: str) -> IngestionAnswer | None:
        """An upload, None where there is none."""
        return await self._find(f"/v1/ingestions/{ingestion}", IngestionAnswer, {})

    async def has_song(self, song: str) -> bool:
        """Whether the catalog has the song."""
        return await self._find(f"/v1/songs/{song}", SongAnswer, {}) is not None

    async def _all(self, what: str, names: Iterable[str], read: Callable[[str], Awaitable[T]]) -> dict[str, T]:
        """What `read` returns for each name, some at a time."""
        found: dict[str, T] = {}
        wanted = list(names)
        left = iter(wanted)
        now_s = asyncio.get_running_loop().time
        told_s = now_s()

        async def some() -> None:
            nonlocal told_s
            for name in left:
                found[name] = await read(name)
                if not patience.expired():
                    patience.reschedule(now_s() + self._patience_s)
                if now_s() - told_s >= self._tell_each_s:
                    told_s = now_s()
                    self._say(f"read {len(found):,} of {len(wanted):,} {what}")

        try:
            async with asyncio.timeout(self._patience_s) as patience:
                await gather_or_cancel(some() for _ in range(SIDE_BY_SIDE))
        except TimeoutError:
            raise NoAnswerError(
                f"{len(found):,} of {len(wanted):,} {what} were answered, and no other within {self._patience_s:g} s"
            ) from None
        return found

    async def _library(self, listener: str) -> LibraryAnswers:
        entries = []
        cursor: str | None = None
        while True:
            query = {"limit": 100, **({} if cursor is None else {"cursor": cursor})}
            page = await self._ask(f"/v1/users/{listener}/library", Library, query)
            entries += page.entries
            cursor = page.next
            if cursor is None:
                break
        recent = await self._ask(f"/v1/users/{listener}/recent", Recent, {})
        summary = await self.summary(listener)
        return LibraryAnswers(tuple(entries), tuple(recent.listens), summary)

    async def _upload(self, ingestion: str) -> UploadAnswer | None:
        found = await self.ingestion(ingestion)
        if found is None:
            return None
        sound: str | None = None
        if found.state == "ready" and found.song_id is not None:
            answer = await self._get(f"/v1/songs/{found.song_id}/audio", {})
            sound = hashlib.sha256(answer.content).hexdigest() if answer.status_code == 200 else None
        return UploadAnswer(found.state, None if found.reason is None else found.reason.cause, sound)

    async def _ask(self, path: str, kind: type[T], query: Mapping[str, Any]) -> T:
        found = await self._find(path, kind, query)
        if found is None:
            raise NoAnswerError(f"GET {path}: there is none, expected one")
        return found

    async def _find(self, path: str, kind: type[T], query: Mapping[str, Any]) -> T | None:
        answer = await self._get(path, query)
        if answer.status_code in (404, 410):
            return None
        try:
            return Decoder(kind, "not-an-answer").decode(answer.content)
        except PoisonError as error:
            raise NoAnswerError(f"GET {path}: saw {answer.status_code}, {answer.text[:200]!r} ({error})") from None

    async def _get(self, path: str, query: Mapping[str, Any]) -> httpx.Response:
        saw = ""
        for _ in range(TRIES):
            try:
                answer = await self._http.get(path, params=dict(query))
                if answer.status_code < 500:
                    return answer
                saw = f"{answer.status_code}, {answer.text[:200]!r}"
            except REQUEST_FAILURES as error:
                saw = type(error).__name__
            await asyncio.sleep(PAUSE_S)
        raise NoAnswerError(f"GET {path}: saw {saw} {TRIES} times, expected an answer")


async def parked_readers(container: ContainerProxy) -> dict[str, tuple[str, ...]]:
    """The readers of each parked record, by its id. Raises AzureError."""
    return {one.id: tuple(one.readers) async for one in ParkedStore(container).entries()}
