"""Reads what ListenBrainz' API answers of a listener's library, in the live version, and of what plays now."""

from datetime import datetime
from itertools import islice
from typing import Any

from fastapi import FastAPI

from songline.players.listenbrainz.answers import feedback_answer, is_current, listens_answer, picked, window_of
from songline.players.own_writes import WrittenPositions, wait_for_libraries
from songline.projections.library.library_reader import LibraryReader
from songline.projections.library.lists import LibraryQuery
from songline.projections.live.now_playing import Broadcast
from songline.projections.live_version import ServedVersion, VersionedStores
from songline.projections.songs.served_songs import SongVersions
from songline.projections.songs.titles import Title, TitleCache
from songline.schemas.channels import LIBRARY
from songline.schemas.library.fold import RECENT

PLAYS_S = 600.0
"""A song that a player began is taken to play for so long: ListenBrainz' own bound where no length is known."""
_LIKED = LibraryQuery("liked", "recent")


class PlayerLibrary:
    """Answers from what `app` has in its state, once libraries have what the listener's players have just `written`.
    All methods raise StoreUnavailableError."""

    def __init__(self, app: FastAPI, written: WrittenPositions, now: datetime) -> None:
        self._app, self._written, self._now = app, written, now
        self._versions: VersionedStores = app.state.versions
        self._libraries: LibraryReader = app.state.libraries
        self._songs: SongVersions = app.state.songs
        self._broadcast: Broadcast | None = getattr(app.state, "broadcast", None)

    async def listens(self, user_id: str, count: int, max_ts: int | None, min_ts: int | None) -> dict[str, Any]:
        """At most `count` listens: the last before `max_ts`, or the first after `min_ts`, or the last of all."""
        served = await self._served(user_id)
        library = (await self._libraries.read(served, user_id)).library
        if max_ts is None and min_ts is None and count <= RECENT:
            found = list(library.recent[:count])
        else:
            every = await self._libraries.read_listens(served, user_id, *window_of(max_ts, min_ts))
            found = picked(every, count, is_upwards=min_ts is not None and max_ts is None)
        titles = await (await self._titles()).of(song_id for _, song_id, _ in found)
        return listens_answer(user_id, found, titles, library.last_us, library.first_us)

    async def count(self, user_id: str) -> int:
        """How many listens the listener has."""
        served = await self._served(user_id)
        return (await self._libraries.read(served, user_id)).library.listens

    async def playing(self, user_id: str) -> tuple[str | None, Title | None]:
        """The song that the listener plays, and its words; None for none."""
        playing = None if self._broadcast is None else self._broadcast.last_of(user_id)
        if playing is None or not is_current(playing.at, PLAYS_S, self._now):
            return None, None
        titles = await (await self._titles()).of((playing.song_id,))
        return playing.song_id, titles[playing.song_id]

    async def feedback(
        self, user_id: str, count: int, offset: int, with_metadata: bool, score: int | None
    ) -> dict[str, Any]:
        """Songs that the listener likes, the last liked first."""
        served = await self._served(user_id)
        lists = await self._libraries.read(served, user_id)
        found = list(islice(lists.following(_LIKED), offset, offset + count))
        titles = await (await self._titles()).of(song.song_id for song in found) if with_metadata else None
        return feedback_answer(user_id, found, titles, offset, 0 if score == -1 else lists.library.liked)

    async def _served(self, user_id: str) -> ServedVersion:
        await wait_for_libraries(self._app, self._written.of(user_id, self._now))
        return await self._versions.live(LIBRARY)

    async def _titles(self) -> TitleCache:
        return (await self._songs.live()).titles
