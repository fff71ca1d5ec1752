"""Answers about listeners' libraries: pages of lists, the last listens, the summary."""

import asyncio
from collections.abc import Mapping
from itertools import islice
from typing import Any

from songline.projections.library.lists import (
    LibraryLists,
    LibraryQuery,
    TitleKey,
    cursor_after,
    cursor_after_title,
)
from songline.projections.library.own_uploads import JudgedSong, judged, strangers
from songline.projections.songs.titles import Title, TitleCache
from songline.schemas.library.action import moment_of
from songline.schemas.library.answers import Library, LibraryEntry, LibrarySummary, Recent, RecentListen
from songline.schemas.library.fold import FoldedSong
from songline.schemas.search import folded

TITLE_LIMIT = 5_000
"""The most songs of a library that can be sorted by title: all their titles are read from the catalog."""

TITLE_LETTERS = 300
"""So many letters of a folded title are sorted by, as many as a title has: cursors have them, and some letters become
eighteen where they are folded."""

MORE = 1_000
"""Songs that are judged at a time, when many of the first ones are another user's uploads."""

LARGE_SONGS = 5_000
"""A library of more songs is sorted in a thread."""


class LibraryTooLargeError(Exception):
    """A library has too many songs to be sorted by title. The caller chooses another order."""


async def page(
    lists: LibraryLists, titles: TitleCache, user_id: str, query: LibraryQuery, limit: int, fresh: dict[str, Any]
) -> Library:
    """At most `limit` entries of a list. `fresh` has the fields of Freshness, read before the library.

    Raises LibraryTooLargeError and StoreUnavailableError.
    """
    if query.sort == "title":
        songs, names = await _by_title(lists, titles, user_id, query)
        following = cursor_after_title(_title_key(songs[limit - 1].listed, names)) if len(songs) > limit else None
    else:
        songs = await _following(lists, titles, user_id, query, limit + 1)
        names = await titles.of(song.listed.song_id for song in songs[:limit])
        following = cursor_after(query, songs[limit - 1].listed) if len(songs) > limit else None
    entries = [_entry(song.shown, names[song.listed.song_id]) for song in songs[:limit]]
    return Library(user_id=user_id, entries=entries, next=following, **fresh)


async def recent(lists: LibraryLists, titles: TitleCache, user_id: str, limit: int, fresh: dict[str, Any]) -> Recent:
    """The last `limit` listens, newest first. Raises StoreUnavailableError."""
    listens = lists.library.recent[:limit]
    names = await titles.of(song_id for _, song_id, _ in listens)
    return Recent(
        user_id=user_id,
        listens=[
            RecentListen(at=moment_of(at_us), song_id=song_id, ms_played=ms_played, **_called(names[song_id]))
            for at_us, song_id, ms_played in listens
        ],
        **fresh,
    )


async def summary(
    lists: LibraryLists, titles: TitleCache | None, user_id: str, fresh: dict[str, Any]
) -> LibrarySummary:
    """The summary of a library; without `titles` all uploads in it count. Raises StoreUnavailableError."""
    library = lists.library
    others = await strangers(lists, titles, user_id) if library.uploaded and titles is not None else 0
    return LibrarySummary(
        user_id=user_id,
        listens=library.listens,
        ms_played=library.ms_played,
        songs=library.heard,
        liked=library.liked,
        uploaded=max(0, library.uploaded - others),
        first_listen_at=_moment(library.first_us),
        last_listen_at=_moment(library.last_us),
        **fresh,
    )


async def _by_title(
    lists: LibraryLists, titles: TitleCache, user_id: str, query: LibraryQuery
) -> tuple[list[JudgedSong], dict[str, Title | None]]:
    """The songs of a list by title after the query's place, and the titles of all songs of the list."""
    found = list(islice(lists.following(query), TITLE_LIMIT + 1))
    if len(found) > TITLE_LIMIT:
        raise LibraryTooLargeError(f"the library of {user_id} has more than {TITLE_LIMIT} songs of this kind")
    known = await titles.known(song.song_id for song in found)
    names = {song_id: each.title for song_id, each in known.items()}
    songs = sorted(judged(found, known, user_id, query.filter), key=lambda song: _title_key(song.listed, names))
    after = query.after_title
    return [song for song in songs if after is None or _title_key(song.listed, names) > after], names


async def _following(
    lists: LibraryLists, titles: TitleCache, user_id: str, query: LibraryQuery, limit: int
) -> list[JudgedSong]:
    """The next `limit` songs of a sorted list, without uploads of songs that another user owns."""
    if len(lists.library.songs) > LARGE_SONGS:
        await asyncio.to_thread(lists.following, query)
    songs = lists.following(query)
    found: list[JudgedSong] = []
    size = limit
    while some := list(islice(songs, size)):
        known = await titles.known(song.song_id for song in some if song.uploaded_us is not None)
        found += judged(some, known, user_id, query.filter)
        if len(found) >= limit:
            break
        size = MORE
    return found[:limit]


def _entry(song: FoldedSong, title: Title | None) -> LibraryEntry:
    return LibraryEntry(
        song_id=song.song_id,
        plays=song.plays,
        ms_played=song.ms_played,
        first_played_at=_moment(song.first_us),
        last_played_at=_moment(song.last_us),
        liked=song.liked_us is not None,
        liked_at=_moment(song.liked_us),
        uploaded=song.uploaded_us is not None,
        uploaded_at=_moment(song.uploaded_us),
        **_called(title),
    )


def _moment(at_us: int | None) -> Any:
    return None if at_us is None else moment_of(at_us)


def _called(title: Title | None) -> dict[str, Any]:
    if title is None:
        return {"title": None, "artist": None, "genre": None}
    return {"title": title.title, "artist": title.artist, "genre": title.genre}


def _title_key(song: FoldedSong, names: Mapping[str, Title | None]) -> TitleKey:
    """The sort key by title. Songs without a title come last."""
    title = names[song.song_id]
    return ("1", "", song.song_id) if title is None else ("0", folded(title.title)[:TITLE_LETTERS], song.song_id)
