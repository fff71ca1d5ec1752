"""Which uploads in a listener's library are theirs.

A library holds what the listener's own events say, in their order and nothing else. Whose song it is takes all that
everybody says of it, which is the catalog's affair: so it is asked when the library is read.
"""

from collections.abc import Iterable, Mapping

from msgspec import structs

from songline.projections.songs.titles import CatalogSong, TitleCache
from songline.projections.store import DocumentStore
from songline.schemas.library import EntryDocument

MAX_COUNTED = 5_000
_UPLOADED = "SELECT VALUE c.songId FROM c WHERE IS_DEFINED(c.byUploaded)"


def is_stranger(user_id: str, known: CatalogSong) -> bool:
    """Whether the song is known to be another user's."""
    return known.owner is not None and known.owner != user_id


def judged(
    entries: Iterable[EntryDocument], known: Mapping[str, CatalogSong], uploads_only: bool
) -> list[EntryDocument]:
    """The entries without uploads of songs that are known to be another user's, and without those that were there for
    nothing else."""
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
    """How many songs the listener says to have uploaded that are known to be another user's, of the first MAX_COUNTED.
    Raises Unavailable."""
    songs = await store.find_within(user_id, _UPLOADED, [], MAX_COUNTED, str)
    known = await titles.known(songs)
    return sum(is_stranger(user_id, known[song_id]) for song_id in songs)
