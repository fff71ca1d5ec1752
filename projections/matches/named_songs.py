"""Reads songs that are known by name only."""

import asyncio

from songline.projections.matches.queries import match_of, name_words
from songline.projections.store import DocumentStore
from songline.schemas.match_answers import NamedSong


async def named_song(names: DocumentStore, name: str) -> NamedSong | None:
    """The song of this name, None where nobody knows its words. Raises StoreUnavailableError."""
    words, match = await asyncio.gather(name_words(names, name), match_of(names, name))
    if words is None:
        return None
    return NamedSong(
        id=name,
        title=words.title,
        artist=", ".join(words.artists),
        artists=words.artists,
        album=words.album,
        matched_with=None if match is None else match.song_id,
    )
