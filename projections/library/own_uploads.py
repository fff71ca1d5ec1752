"""Filters the uploads in a listener's library by ownership.

A library is built from the listener's own events only. The owner of a song follows from the events of all users, which
the catalog has. So the owner is read from the catalog when the library is read.
"""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import NamedTuple

from msgspec import structs

from songline.projections.library.lists import Filter, LibraryLists, library_query
from songline.projections.songs.titles import CatalogSong, TitleCache
from songline.schemas.library.fold import FoldedSong

MAX_COUNTED = 5_000


class JudgedSong(NamedTuple):
    """A song of a list: as it is `listed`, which says where its place is, and as it is `shown`."""

    listed: FoldedSong
    shown: FoldedSong


def is_stranger(user_id: str, known: CatalogSong) -> bool:
    """Whether the song is known to be another user's."""
    return known.owner is not None and known.owner != user_id


def judged(
    songs: Iterable[FoldedSong],
    known: Mapping[str, CatalogSong],
    user_id: str,
    filter: Filter | None,  # noqa: A002  # as the API has it
) -> list[JudgedSong]:
    """The listener's songs, shown without uploads of songs that another user is known to own.

    A song without plays and likes is then left out, and so is any such song of a list of uploads; any other keeps its
    place, which may be by the moment of the upload. `known` has the songs that are uploaded.
    """
    found = []
    for song in songs:
        if song.uploaded_us is not None and is_stranger(user_id, known[song.song_id]):
            if filter == "uploaded" or (not song.plays and song.liked_us is None):
                continue
            found.append(JudgedSong(song, structs.replace(song, uploaded_us=None)))
        else:
            found.append(JudgedSong(song, song))
    return found


async def strangers(lists: LibraryLists, titles: TitleCache, user_id: str) -> int:
    """The number of songs among the listener's last MAX_COUNTED uploads that another user is known to own.

    Raises StoreUnavailableError.
    """
    uploads = lists.following(library_query("uploaded", "recent", None))
    songs = [song.song_id for song in islice(uploads, MAX_COUNTED)]
    known = await titles.known(songs)
    return sum(is_stranger(user_id, known[song_id]) for song_id in songs)
