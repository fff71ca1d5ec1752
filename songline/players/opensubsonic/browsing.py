"""The operations by which a player browses and searches."""

from collections.abc import Iterable, Mapping

from songline.players.opensubsonic.answer import Content, Value
from songline.players.opensubsonic.call import PlayerCall
from songline.players.opensubsonic.collection import ALBUM_PREFIX, ARTIST_PREFIX, Album, Artist
from songline.players.opensubsonic.elements import album_element, artist_element, genre_element, moment, song_element
from songline.players.opensubsonic.libraries import listener_marks
from songline.players.opensubsonic.marks import ListenerMarks
from songline.players.opensubsonic.searching import found_music, read_search
from songline.players.opensubsonic.songs import known_song, not_found
from songline.schemas.search import folded

FOLDER_ID = 1
FOLDER = "Songline"


async def music_folders(call: PlayerCall) -> Content:
    """One: a song is in no folder."""
    return {"musicFolders": {"musicFolder": [{"id": FOLDER_ID, "name": FOLDER}]}}


async def artists(call: PlayerCall) -> Content:
    collection = await call.state.collections.read()
    return {"artists": {"ignoredArticles": "", "index": _indexed(collection.artists.values())}}


async def indexes(call: PlayerCall) -> Content:
    collection = await call.state.collections.read()
    changed = max((song.uploaded_at for song in collection.songs.values()), default=None)
    changed_ms = 0 if changed is None else round(changed.timestamp() * 1000)
    indexed = _indexed(collection.artists.values())
    return {"indexes": {"lastModified": changed_ms, "ignoredArticles": "", "index": indexed}}


async def artist(call: PlayerCall) -> Content:
    wanted = call.parameters.required("id")
    collection = await call.state.collections.read()
    found = collection.artists.get(wanted)
    if found is None:
        raise not_found("artist", wanted)
    marks = await listener_marks(call)
    starred_at = marks.together(collection.songs_of(found.id)).starred_at
    starred: Content = {} if starred_at is None else {"starred": moment(starred_at)}
    return {"artist": {**artist_element(found), **starred, "album": albums_of(found, collection.albums, marks)}}


async def album(call: PlayerCall) -> Content:
    wanted = call.parameters.required("id")
    found = (await call.state.collections.read()).albums.get(wanted)
    if found is None:
        raise not_found("album", wanted)
    marks = await listener_marks(call)
    return {"album": {**album_element(found, marks), "song": [song_element(song, marks) for song in found.songs]}}


async def song(call: PlayerCall) -> Content:
    found = await known_song(call, call.parameters.required("id"))
    return {"song": song_element(found, await listener_marks(call))}


async def directory(call: PlayerCall) -> Content:
    """What is below a folder, for players that browse by folders: artists, below these albums, below these songs."""
    wanted = call.parameters.required("id")
    collection, marks = await call.state.collections.read(), await listener_marks(call)
    if wanted == str(FOLDER_ID):
        below: list[Content] = [
            {**artist_element(one), "title": one.name, "artist": one.name, "isDir": True}
            for one in collection.artists.values()
        ]
        return {"directory": {"id": wanted, "name": FOLDER, "child": below}}
    if wanted.startswith(ARTIST_PREFIX) and (by := collection.artists.get(wanted)) is not None:
        children = albums_of(by, collection.albums, marks)
        return {"directory": {"id": by.id, "parent": str(FOLDER_ID), "name": by.name, "child": children}}
    if wanted.startswith(ALBUM_PREFIX) and (on := collection.albums.get(wanted)) is not None:
        songs = [song_element(one, marks) for one in on.songs]
        return {"directory": {"id": on.id, "parent": on.artist_id, "name": on.name, "child": songs}}
    raise not_found("directory", wanted)


async def genres(call: PlayerCall) -> Content:
    found = (await call.state.collections.read()).genres
    return {"genres": {"genre": [genre_element(one) for one in found]}}


async def search3(call: PlayerCall) -> Content:
    return {"searchResult3": await _found(call)}


async def search2(call: PlayerCall) -> Content:
    return {"searchResult2": await _found(call)}


async def _found(call: PlayerCall) -> Content:
    search = read_search(call.parameters)
    found = found_music(await call.state.collections.read(), search)
    marks = await listener_marks(call) if found.albums or found.songs else ListenerMarks()
    return {
        "artist": [artist_element(one) for one in found.artists],
        "album": [album_element(one, marks) for one in found.albums],
        "song": [song_element(one, marks) for one in found.songs],
    }


def albums_of(by: Artist, albums: Mapping[str, Album], marks: ListenerMarks) -> list[Content]:
    """The albums that have songs of the artist."""
    return [album_element(albums[album_id], marks) for album_id in by.album_ids]


def _indexed(found: Iterable[Artist]) -> list[Content]:
    """Artists by the letter that their name begins with, in alphabetical order; `#` has all others."""
    letters: dict[str, list[Artist]] = {}
    for one in sorted(found, key=lambda one: (folded(one.name), one.id)):
        first = folded(one.name)[:1].upper()
        letters.setdefault(first if first.isalpha() else "#", []).append(one)
    return [_index(letter, letters[letter]) for letter in sorted(letters, key=lambda letter: (letter == "#", letter))]


def _index(letter: str, found: list[Artist]) -> dict[str, Value]:
    return {"name": letter, "artist": [artist_element(one) for one in found]}
