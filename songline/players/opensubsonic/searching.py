"""What a search of OpenSubsonic finds in a collection. Pure."""

from typing import TypeVar

from msgspec import Struct

from songline.players.opensubsonic.collection import Album, Artist, Collection, has_words
from songline.players.opensubsonic.parameters import Parameters
from songline.projections.songs.queries import MAX_WORDS
from songline.schemas.search import terms
from songline.schemas.songs import Song

T = TypeVar("T")

DEFAULT_COUNT = 20
MAX_COUNT = 500
"""So many of a kind an answer has at most."""
_MOST_OFFSET = 10**9
_QUOTES = ('""', "''")


class PageOf(Struct, frozen=True):
    """Which part of a list is asked for."""

    count: int
    offset: int

    def of(self, found: list[T]) -> list[T]:
        return found[self.offset : self.offset + self.count]


class MusicSearch(Struct, frozen=True):
    """The words that are looked for, "" for everything, and which part of each list is asked for."""

    query: str
    artists: PageOf
    albums: PageOf
    songs: PageOf


class FoundMusic(Struct, frozen=True):
    """What a search found."""

    artists: list[Artist]
    albums: list[Album]
    songs: list[Song]


def read_search(parameters: Parameters) -> MusicSearch:
    """The search that a request asks for. Raises OpenSubsonicError.

    An empty query means everything: that is how players make a copy of the whole collection. Clients also write it as
    two quotation marks. A `*` at the end of a word is what a beginning of a word is here anyway.
    """
    query = (parameters.text("query") or "").strip()
    return MusicSearch(
        "" if query in _QUOTES else " ".join(word.rstrip("*") for word in query.split()),
        *(read_page(parameters, f"{kind}Count", f"{kind}Offset") for kind in ("artist", "album", "song")),
    )


def read_page(parameters: Parameters, count: str, offset: str, default: int = DEFAULT_COUNT) -> PageOf:
    """Raises OpenSubsonicError."""
    return PageOf(parameters.number(count, default, MAX_COUNT), parameters.number(offset, 0, _MOST_OFFSET))


def found_music(collection: Collection, search: MusicSearch) -> FoundMusic:
    """What is found, in the order in which it was uploaded. A search for signs finds them or nothing."""
    if not search.query:
        artists, albums = list(collection.artists.values()), list(collection.albums.values())
        return FoundMusic(
            search.artists.of(artists), search.albums.of(albums), search.songs.of(list(collection.songs.values()))
        )
    asked = terms(search.query)[:MAX_WORDS]
    if not asked:
        return FoundMusic([], [], [])
    artists = [collection.artists[one] for one, held in collection.artist_words.items() if has_words(asked, held)]
    albums = [collection.albums[one] for one, held in collection.album_words.items() if has_words(asked, held)]
    return FoundMusic(
        search.artists.of(artists), search.albums.of(albums), search.songs.of(collection.found_songs(asked))
    )
