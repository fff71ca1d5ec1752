"""The operations that answer lists: of albums, of songs, of what is liked, of what plays now."""

from datetime import timedelta
from itertools import islice

from songline.players.opensubsonic.album_lists import (
    album_list,
    random_songs,
    songs_of_genre,
    starred_albums,
    wanted_genre,
)
from songline.players.opensubsonic.answer import Content
from songline.players.opensubsonic.call import PlayerCall
from songline.players.opensubsonic.collection import Collection, album_id_of, artist_id, artists_of
from songline.players.opensubsonic.elements import album_element, artist_element, moment, song_element
from songline.players.opensubsonic.libraries import listener_marks
from songline.players.opensubsonic.marks import ListenerMarks
from songline.players.opensubsonic.searching import MAX_COUNT, read_page
from songline.projections.live.now_playing import Broadcast, Playing
from songline.schemas.songs import Song

DEFAULT_SIZE = 10
LINGERS = timedelta(minutes=1)
"""A song counts as playing so long after it should be over: players pause."""


async def albums2(call: PlayerCall) -> Content:
    return {"albumList2": {"album": await _albums(call)}}


async def albums(call: PlayerCall) -> Content:
    return {"albumList": {"album": await _albums(call)}}


async def random(call: PlayerCall) -> Content:
    size = call.parameters.number("size", DEFAULT_SIZE, MAX_COUNT)
    collection, marks = await call.state.collections.read(), await listener_marks(call)
    songs = random_songs(collection, call.parameters, size, call.state.random)
    return {"randomSongs": {"song": _elements(songs, marks)}}


async def of_genre(call: PlayerCall) -> Content:
    genre = wanted_genre(call.parameters)
    page = read_page(call.parameters, "count", "offset", DEFAULT_SIZE)
    collection, marks = await call.state.collections.read(), await listener_marks(call)
    return {"songsByGenre": {"song": _elements(page.of(songs_of_genre(collection, genre)), marks)}}


async def starred2(call: PlayerCall) -> Content:
    return {"starred2": await _starred(call)}


async def starred(call: PlayerCall) -> Content:
    return {"starred": await _starred(call)}


async def now_playing(call: PlayerCall) -> Content:
    collection, marks = await call.state.collections.read(), await listener_marks(call)
    broadcast: Broadcast = call.request.app.state.broadcast
    entries = (_entry(call, playing, collection, marks) for playing in broadcast.last)
    shown = islice((entry for entry in entries if entry is not None), MAX_COUNT)
    return {"nowPlaying": {"entry": list(shown)}}


async def _albums(call: PlayerCall) -> list[Content]:
    page = read_page(call.parameters, "size", "offset", DEFAULT_SIZE)
    collection, marks = await call.state.collections.read(), await listener_marks(call)
    found = album_list(collection, call.parameters, marks, call.state.random)
    return [album_element(one, marks) for one in page.of(found)]


async def _starred(call: PlayerCall) -> Content:
    collection, marks = await call.state.collections.read(), await listener_marks(call)
    songs = [song for song_id in marks.starred if (song := collection.songs.get(song_id)) is not None]
    albums = dict.fromkeys(map(album_id_of, songs))
    artists = dict.fromkeys(artist_id(name) for song in songs for name in artists_of(song))
    return {
        "artist": [
            {**artist_element(collection.artists[one]), "starred": moment(at)}
            for one in artists
            if (at := marks.together(collection.songs_of(one)).starred_at) is not None
        ],
        "album": [
            album_element(album, marks) for album in starred_albums(map(collection.albums.__getitem__, albums), marks)
        ],
        "song": _elements(songs, marks),
    }


def _elements(songs: list[Song], marks: ListenerMarks) -> list[Content]:
    return [song_element(song, marks) for song in songs]


def _entry(call: PlayerCall, playing: Playing, collection: Collection, marks: ListenerMarks) -> Content | None:
    """What a listener plays; None where it is over, or no player could play it."""
    song = collection.songs.get(playing.song_id)
    if song is None or call.now - playing.at > timedelta(milliseconds=song.duration_ms) + LINGERS:
        return None
    minutes = max(0, round((call.now - playing.at) / timedelta(minutes=1)))
    return {**song_element(song, marks), "username": playing.user_id, "minutesAgo": minutes, "playerId": 0}
