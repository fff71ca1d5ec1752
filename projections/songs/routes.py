"""Songs and their audio over HTTP."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from starlette.responses import Response

from songline.projections.freshness import freshness, read_watermarks
from songline.projections.http import openapi
from songline.projections.http.ids import SongId
from songline.projections.http.numbers import IS_WHOLE
from songline.projections.http.problems import Fault, Problem, answer, refused
from songline.projections.http.responses import plain, shown
from songline.projections.hub_creation import known
from songline.projections.live_version import VersionGoneError
from songline.projections.matches.named_songs import named_song
from songline.projections.page_size import MAX_LIMIT
from songline.projections.songs import queries as songs
from songline.projections.songs.audio import AudioLostError
from songline.projections.songs.audio_response import NoAudioError, audio_response
from songline.projections.songs.queries import (
    MAX_WORDS,
    NoGenreError,
    SongCursorError,
    SongGoneError,
    SongSearch,
)
from songline.projections.songs.served_songs import SongVersions
from songline.projections.staleness import MaxStaleness, StalenessCheck
from songline.projections.store import DocumentStore
from songline.projections.version_cursor import VersionCursorError, split_versions, with_versions
from songline.schemas.genres import GENRE_RULE
from songline.schemas.match_answers import NamedSongAnswer
from songline.schemas.song_names import is_name_id
from songline.schemas.songs import SongAnswer, SongsAnswer

GONE = "`next` of the page before; its version of the list was dropped: begin with the first page"


def routes(app: FastAPI, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
    """Add the routes of songs. The app's state has `songs`, the SongVersions, and `audio`, a SongAudio or None."""
    _one(app, now)
    _list(app, now)
    _audio(app, now)

    @app.exception_handler(SongGoneError)
    async def gone(request: Request, error: SongGoneError) -> Response:
        return answer(Problem("Song taken away", 410, f"{error}."))


def _one(app: FastAPI, now: Callable[[], datetime]) -> None:
    responses = openapi.either(("SongAnswer", "NamedSongAnswer"), 404, 410, 503)

    @app.get("/v1/songs/{song_id}", summary="A song", responses=responses)
    async def one(request: Request, song_id: SongId, max_staleness: MaxStaleness = None) -> Response:
        """A song that was uploaded a moment ago may be missing: `completeThrough` says up to when uploads are known.
        Of one that is known by name only, whose id begins with `name:`, the words are answered."""
        store = (await _versions(request).live()).store
        fresh = await _fresh(request, store, now, max_staleness)
        if is_name_id(song_id):
            named = await named_song(request.app.state.names, song_id)
            return _no_words(song_id) if named is None else plain(NamedSongAnswer(song=named, **fresh))
        found = await songs.song(store, song_id)
        return _unknown(song_id) if found is None else plain(SongAnswer(song=found, **fresh))


def _list(app: FastAPI, now: Callable[[], datetime]) -> None:
    @app.get("/v1/songs", summary="Songs, newest first", responses=openapi.answers("SongsAnswer", 400, 503))
    async def find(
        request: Request,
        artist: Annotated[
            str | None,
            Query(
                max_length=300,
                description="Only songs by this artist, alone or among several; case, accents and signs don't count",
            ),
        ] = None,
        genre: Annotated[
            str | None,
            Query(max_length=300, description="Only songs of this genre, without regard to case and width"),
        ] = None,
        q: Annotated[
            str | None,
            Query(max_length=200, description=f"At most {MAX_WORDS} beginnings of words of title, artist and album"),
        ] = None,
        cursor: Annotated[str | None, Query(max_length=400, description="`next` of the previous page")] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="The most songs on a page"), IS_WHOLE] = 20,
        max_staleness: MaxStaleness = None,
    ) -> Response:
        """A song must match all conditions. `next` is the cursor of the next page, and null on the last page."""
        try:
            (version,), place = split_versions(cursor, 1)
            search = songs.search(artist, genre, q, place)
        except (SongCursorError, VersionCursorError):
            return refused(400, "No such page", (Fault("cursor", shown(cursor), "`next` of the page before"),))
        except NoGenreError:
            return refused(400, "Nothing to look for", (Fault("genre", shown(genre), GENRE_RULE),))
        if fault := _fault(q, search):
            return refused(400, "Nothing to look for", (fault,))
        try:
            served = await _versions(request).of(version)
        except VersionGoneError:
            return refused(400, "No such page", (Fault("cursor", shown(cursor), GONE),))
        fresh = await _fresh(request, served.store, now, max_staleness)
        found, following = await songs.page(served.store, search, limit)
        return plain(SongsAnswer(songs=found, next=with_versions(following, served.version), **fresh))


def _audio(app: FastAPI, now: Callable[[], datetime]) -> None:
    @app.get(
        "/v1/songs/{song_id}/audio",
        summary="A song's audio",
        responses=openapi.audio(404, 410, 416, 503),
        response_class=Response,
    )
    @app.head("/v1/songs/{song_id}/audio", include_in_schema=False)
    async def audio(request: Request, song_id: SongId, max_staleness: MaxStaleness = None) -> Response:
        """The file as it was uploaded, or, with `Range`, a part of it (RFC 9110 section 14), so that a player can seek.
        The `ETag` is the file's SHA-256."""
        store = (await _versions(request).live()).store
        if max_staleness is not None:
            await _fresh(request, store, now, max_staleness)
        if is_name_id(song_id):
            return answer(Problem("No audio", 404, f"Song {song_id} is known by name only, so it has no audio."))
        found = await songs.song(store, song_id)
        if found is None:
            return _unknown(song_id)
        try:
            return await audio_response(request, found)
        except NoAudioError as error:
            return answer(Problem("No audio", 404, f"{error}"))
        except AudioLostError as error:
            return answer(Problem("Audio lost", 404, f"The sound of song {song_id} is not there: {error}."))


async def _fresh(
    request: Request, store: DocumentStore, now: Callable[[], datetime], max_staleness: str | None
) -> dict[str, Any]:
    """The fields of Freshness of the catalog in `store`. Raises StoreUnavailableError and TooStaleError."""
    check: StalenessCheck = request.app.state.staleness
    reached = await read_watermarks(store, known(request.app.state))
    through = await check.through("songs", max_staleness, reached)
    return freshness(now(), through, reached)


def _versions(request: Request) -> SongVersions:
    versions: SongVersions = request.app.state.songs
    return versions


def _fault(q: str | None, search: SongSearch) -> Fault | None:
    if q is not None and not 1 <= len(search.words) <= MAX_WORDS:
        return Fault("q", shown(q), f"1 to {MAX_WORDS} words")
    return None


def _no_words(song_id: str) -> Response:
    detail = f"Nobody has named {song_id} in words: no import and no player brought it along."
    return answer(Problem("No such song", 404, detail))


def _unknown(song_id: str) -> Response:
    detail = f"There is no song {song_id}. One that was uploaded a moment ago: see /v1/ingestions/{song_id}."
    return answer(Problem("No such song", 404, detail))
