"""The songs that can be streamed, as players browse them: by artist, by album, by genre. Pure.

The catalog has songs alone. An album is what its songs say: the name, and the first of their artists. Songs without an
album are together in one of each artist, so that who browses by albums finds them.
"""

from collections.abc import Iterable, Mapping
from functools import cached_property
from hashlib import blake2b

from msgspec import Struct

from songline.schemas.search import Alternatives, folded, name_key, words
from songline.schemas.songs import Song

NO_ALBUM = "[Unknown Album]"
"""The name that other servers give to the album of songs without one."""
ALBUM_PREFIX = "al-"
ARTIST_PREFIX = "ar-"
_EDGE = "\n"


class Listed(Struct, frozen=True, gc=False):
    """A song, and the words by which it is found, each between line feeds."""

    song: Song
    words: str


class Album(Struct, frozen=True):
    """An album: its songs in the order in which they were uploaded."""

    id: str
    name: str
    artist: str
    songs: tuple[Song, ...]

    @property
    def artist_id(self) -> str:
        return artist_id(self.artist)

    @property
    def genres(self) -> tuple[str, ...]:
        """The genres of its songs, the most frequent first."""
        counts: dict[str, int] = {}
        for song in self.songs:
            for genre in genres_of(song):
                counts[genre] = counts.get(genre, 0) + 1
        return tuple(sorted(counts, key=lambda genre: (-counts[genre], genre)))


class Artist(Struct, frozen=True):
    """An artist, alone or among several, and the ids of the albums that have songs of theirs."""

    id: str
    name: str
    album_ids: tuple[str, ...]


class GenreCount(Struct, frozen=True):
    """A genre, and how many songs and albums have it."""

    name: str
    songs: int
    albums: int


class Collection:
    """All of it, as it was at one moment. What is derived is made when it is asked for."""

    def __init__(self, listed: Iterable[Listed] = ()) -> None:
        self._listed = sorted(listed, key=lambda one: (one.song.uploaded_at, one.song.id))
        self.songs: Mapping[str, Song] = {one.song.id: one.song for one in self._listed}
        """By id, the one that was uploaded first before all others: a page stays where it is when songs come."""

    def found_songs(self, asked: tuple[Alternatives, ...]) -> list[Song]:
        """The songs whose words match all that is asked for."""
        return [one.song for one in self._listed if has_words(asked, one.words)]

    def songs_of(self, item_id: str) -> tuple[Song, ...]:
        """The songs of an album or an artist; none where neither has this id."""
        if (album := self.albums.get(item_id)) is not None:
            return album.songs
        artist = self.artists.get(item_id)
        held = () if artist is None else (song for one in artist.album_ids for song in self.albums[one].songs)
        return tuple(song for song in held if item_id in map(artist_id, artists_of(song)))

    def song_ids(self, item_ids: Iterable[str]) -> tuple[str, ...]:
        """The ids, with those of the songs in place of an album and an artist, each once."""
        named = ([song.id for song in self.songs_of(item_id)] or [item_id] for item_id in item_ids)
        return tuple(dict.fromkeys(song_id for some in named for song_id in some))

    @cached_property
    def albums(self) -> Mapping[str, Album]:
        """By id, in the order of their first songs."""
        songs: dict[str, list[Song]] = {}
        for song in self.songs.values():
            songs.setdefault(album_id_of(song), []).append(song)
        return {
            album_id: Album(album_id, some[0].album or NO_ALBUM, first_artist(some[0]), tuple(some))
            for album_id, some in songs.items()
        }

    @cached_property
    def artists(self) -> Mapping[str, Artist]:
        """By id, in the order of their first songs."""
        names: dict[str, str] = {}
        albums: dict[str, dict[str, None]] = {}
        for song in self.songs.values():
            for name in artists_of(song):
                one = artist_id(name)
                names.setdefault(one, name)
                albums.setdefault(one, {})[album_id_of(song)] = None
        return {one: Artist(one, name, tuple(albums[one])) for one, name in names.items()}

    @cached_property
    def genres(self) -> tuple[GenreCount, ...]:
        """In their alphabetical order."""
        songs: dict[str, int] = {}
        albums: dict[str, set[str]] = {}
        for song in self.songs.values():
            for genre in genres_of(song):
                songs[genre] = songs.get(genre, 0) + 1
                albums.setdefault(genre, set()).add(album_id_of(song))
        return tuple(GenreCount(genre, songs[genre], len(albums[genre])) for genre in sorted(songs))

    @cached_property
    def album_words(self) -> Mapping[str, str]:
        """The words by which each album is found."""
        return {album.id: edged(words(album.name, album.artist)) for album in self.albums.values()}

    @cached_property
    def artist_words(self) -> Mapping[str, str]:
        """The words by which each artist is found."""
        return {artist.id: edged(words(artist.name)) for artist in self.artists.values()}


def derived(listed: Iterable[Listed]) -> Collection:
    """The collection of these songs, with all that searches and lists need of it."""
    collection = Collection(listed)
    for ready in (collection.album_words, collection.artist_words, collection.genres):
        len(ready)
    return collection


def edged(found: Iterable[str]) -> str:
    """The words between line feeds, which no word has."""
    return "".join((_EDGE, *(f"{word}{_EDGE}" for word in found)))


def has_words(asked: tuple[Alternatives, ...], held: str) -> bool:
    """Whether `held`, words between line feeds, has what is asked for: what `schemas.search.matches` says of words."""
    return all(
        any(all(f"{_EDGE}{term.word}{_EDGE if term.whole else ''}" in held for term in choice) for choice in choices)
        for choices in asked
    )


def artists_of(song: Song) -> tuple[str, ...]:
    """Each of the song's artists."""
    return song.artists or (song.artist,)


def first_artist(song: Song) -> str:
    """The artist whose album the song is on."""
    return artists_of(song)[0]


def genres_of(song: Song) -> tuple[str, ...]:
    """Each of the song's genres."""
    return song.genres or (() if song.genre is None else (song.genre,))


def artist_id(name: str) -> str:
    """The same for all spellings of a name that are one (`schemas.search.name_key`)."""
    return _id(ARTIST_PREFIX, name_key(name))


def album_id_of(song: Song) -> str:
    """The id of the album that the song is on. Of two names only case, width and accents may differ."""
    return _id(ALBUM_PREFIX, name_key(first_artist(song)), "" if song.album is None else folded(song.album))


def _id(prefix: str, *parts: str) -> str:
    return prefix + blake2b("\0".join(parts).encode("utf-8", "replace"), digest_size=12).hexdigest()
