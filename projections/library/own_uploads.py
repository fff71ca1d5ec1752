"""Filters the uploads in a listener's library by ownership.

A library is built from the listener's own events only. The owner of a song follows from the events of all users, which
the catalog has. So the owner is read from the catalog when the library is read.
"""

from collections.abc import Iterable, Mapping

from msgspec import structs

from songline.projections.songs.titles import CatalogSong, TitleCache
from songline.projections.store import DocumentStore
from songline.schemas.library.listener_documents import EntryDocument

MAX_COUNTED = 5_000
_UPLOADED = "SELECT VALUE c.songId FROM c WHERE IS_DEFINED(c.byUploaded)"


def is_stranger(user_id: str, known: CatalogSong) -> bool:
    """Whether the song is known to be another user's."""
    return known.owner is not None and known.owner != user_id


def judged(
    entries: Iterable[EntryDocument], known: Mapping[str, CatalogSong], uploads_only: bool
) -> list[EntryDocument]:
    """The entries, without uploads of songs that another user is known to own.

    An entry without plays and likes is then left out, and so is any such entry with `uploads_only`.
    """
    found = []
    for entry in entries:
        if entry.uploads and is_stranger(entry.user_id, known[entry.song_id]):
            if uploads_only or (not entry.plays and entry.liked_at is None):
                continue
            found.append(structs.replace(entry, uploads={}))
        else:
            found.append(entry)
    return found


async def strangers(store: DocumentStore, titles: TitleCache, user_id: str) -> int:
    """The number of songs among the listener's first MAX_COUNTED uploads that another user is known to own.

    Raises StoreUnavailableError.
    """
    songs = await store.find_within(user_id, _UPLOADED, [], MAX_COUNTED, str)
    known = await titles.known(songs)
    return sum(is_stranger(user_id, known[song_id]) for song_id in songs)
