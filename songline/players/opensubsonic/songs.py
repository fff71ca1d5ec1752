"""The songs of the catalog, one by one, for handlers."""

import re

from songline.players.opensubsonic.call import PlayerCall
from songline.players.opensubsonic.collection import ALBUM_PREFIX, ARTIST_PREFIX
from songline.players.opensubsonic.errors import ErrorCode, OpenSubsonicError
from songline.projections.songs import queries
from songline.projections.songs.queries import SongGoneError
from songline.projections.songs.served_songs import SongVersions
from songline.projections.songs.titles import CatalogSong
from songline.projections.store import StoreUnavailableError
from songline.schemas.song_names import is_name_id
from songline.schemas.songs import Song
from songline.schemas.types import ID_PATTERN

OUR_PREFIXES = (ALBUM_PREFIX, ARTIST_PREFIX)
"""Ids of albums and artists begin so."""
_ID = re.compile(ID_PATTERN)


async def known_song(call: PlayerCall, song_id: str) -> Song:
    """The song, as the catalog has it now. Raises OpenSubsonicError where there is none, and StoreUnavailableError."""
    if not _ID.search(song_id):
        # It would be another address in the store.
        raise not_found("song", song_id)
    versions: SongVersions = call.request.app.state.songs
    try:
        found = await queries.song((await versions.live()).store, song_id)
    except SongGoneError:
        found = None
    if found is None:
        raise not_found("song", song_id)
    return found


async def are_songs(call: PlayerCall, song_ids: tuple[str, ...]) -> tuple[str, ...]:
    """Those of `song_ids` that are songs, also ones that were taken away since. While the catalog is away all are, but
    ids of albums and artists: a play is worth more than the certainty that its song exists."""
    versions: SongVersions = call.request.app.state.songs
    try:
        titles = (await versions.live()).titles
        known = await titles.known(song_ids)
        missing = [song_id for song_id in song_ids if not _is_song(song_id, known[song_id])]
        # It may have been uploaded since it was asked for last.
        known |= await titles.within(0.0).known(missing) if missing else {}
    except StoreUnavailableError:
        return tuple(song_id for song_id in song_ids if not song_id.startswith(OUR_PREFIXES))
    return tuple(song_id for song_id in song_ids if _is_song(song_id, known[song_id]))


def _is_song(song_id: str, known: CatalogSong) -> bool:
    return known.owner is not None or known.title is not None or is_name_id(song_id)


def not_found(kind: str, item_id: str, status: int = 200) -> OpenSubsonicError:
    """The error where there is no such thing."""
    return OpenSubsonicError(ErrorCode.NOT_FOUND, f"There is no {kind} {item_id[:128]!r}.", status)
