"""Songs, albums, artists and genres as OpenSubsonic's elements.

What an element has beyond the original protocol is there also where it is empty: that is how a client learns that the
server knows it. There are no covers, so nothing names one.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from songline.players.opensubsonic.answer import Content, Value
from songline.players.opensubsonic.collection import (
    NO_ALBUM,
    Album,
    Artist,
    GenreCount,
    album_id_of,
    artist_id,
    artists_of,
    first_artist,
    genres_of,
)
from songline.players.opensubsonic.marks import ListenerMarks, SongMark
from songline.projections.songs.served_audio import ENDINGS, served_type
from songline.schemas.songs import Song


def song_element(song: Song, marks: ListenerMarks) -> dict[str, Value]:
    """A song, as `child` or under another name."""
    album, artist = song.album or NO_ALBUM, first_artist(song)
    ending = ENDINGS.get(song.content_type or "", "bin")
    genres = genres_of(song)
    path = "/".join(part.replace("/", "_") for part in (artist, album, f"{song.title}.{ending}"))
    return {
        "id": song.id,
        "parent": album_id_of(song),
        "isDir": False,
        "title": song.title,
        "album": album,
        "artist": song.artist,
        **({"genre": genres[0]} if genres else {}),
        **_file(song),
        "contentType": served_type(song.content_type),
        "suffix": ending,
        "duration": seconds(song.duration_ms),
        "path": path,
        "isVideo": False,
        "created": moment(song.uploaded_at),
        "albumId": album_id_of(song),
        "artistId": artist_id(artist),
        "type": "music",
        "mediaType": "song",
        **_marked(marks.of(song.id)),
        "genres": _genres(genres),
        "artists": _named(artists_of(song)),
        "displayArtist": song.artist,
        "albumArtists": _named([artist]),
        "displayAlbumArtist": artist,
    }


def album_element(album: Album, marks: ListenerMarks) -> dict[str, Value]:
    """An album, without its songs. It has a name and a title: older lists ask for the one, newer for the other."""
    genres = album.genres
    return {
        "id": album.id,
        "parent": album.artist_id,
        "isDir": True,
        "name": album.name,
        "title": album.name,
        "album": album.name,
        "artist": album.artist,
        "artistId": album.artist_id,
        "songCount": len(album.songs),
        "duration": sum(seconds(song.duration_ms) for song in album.songs),
        **({"genre": genres[0]} if genres else {}),
        "created": moment(created_at(album)),
        **_marked(marks.together(album.songs)),
        "genres": _genres(genres),
        "artists": _named([album.artist]),
        "displayArtist": album.artist,
    }


def artist_element(artist: Artist) -> dict[str, Value]:
    """An artist, without their albums."""
    return {"id": artist.id, "name": artist.name, "albumCount": len(artist.album_ids)}


def genre_element(genre: GenreCount) -> Content:
    """A genre with its counts."""
    return {"songCount": genre.songs, "albumCount": genre.albums, "value": genre.name}


def created_at(album: Album) -> datetime:
    """When the last of the album's songs was uploaded."""
    return album.songs[-1].uploaded_at


def seconds(duration_ms: int) -> int:
    """Whole seconds: the nearest, and not none of a song that has some."""
    return max(1, round(duration_ms / 1000)) if duration_ms else 0


def moment(at: datetime) -> str:
    """ISO 8601 in UTC, to the millisecond: some clients read no finer one."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _file(song: Song) -> dict[str, Value]:
    if song.size is None:
        return {}
    rate: dict[str, Value] = {"bitRate": round(song.size * 8 / song.duration_ms)} if song.duration_ms else {}
    return {"size": song.size, **rate}


def _marked(mark: SongMark) -> dict[str, Value]:
    found: dict[str, Value] = {"playCount": mark.plays}
    if mark.played_at is not None:
        found["played"] = moment(mark.played_at)
    if mark.starred_at is not None:
        found["starred"] = moment(mark.starred_at)
    return found


def _genres(genres: Iterable[str]) -> list[Content]:
    return [{"name": genre} for genre in genres]


def _named(artists: Iterable[str]) -> list[Content]:
    return [{"id": artist_id(name), "name": name} for name in artists]
