"""The lists of albums that OpenSubsonic knows. Pure.

Nobody rates albums here, and no song has a year: such lists are empty. An album is liked whose songs all are.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from random import Random

from songline.players.opensubsonic.collection import Album, Collection, genres_of
from songline.players.opensubsonic.elements import created_at
from songline.players.opensubsonic.errors import ErrorCode, OpenSubsonicError
from songline.players.opensubsonic.marks import ListenerMarks
from songline.players.opensubsonic.parameters import Parameters
from songline.schemas.genres import asked_genre
from songline.schemas.search import folded
from songline.schemas.songs import Song

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)

EMPTY = frozenset({"highest", "byYear"})
_ALWAYS: dict[str, Callable[[Album], tuple[str, ...]]] = {
    "alphabeticalByName": lambda album: (folded(album.name), album.id),
    "alphabeticalByArtist": lambda album: (folded(album.artist), folded(album.name), album.id),
}
KINDS = ("random", "newest", "highest", "frequent", "recent", "starred", "byYear", "byGenre", *_ALWAYS)


def album_list(collection: Collection, parameters: Parameters, marks: ListenerMarks, random: Random) -> list[Album]:
    """All albums of the list that a request asks for; `marks` has what the listener plays. Raises OpenSubsonicError."""
    kind = parameters.required("type")
    albums = list(collection.albums.values())
    match kind:
        case "newest":
            return sorted(albums, key=lambda album: (created_at(album), album.id), reverse=True)
        case "random":
            random.shuffle(albums)
            return albums
        case "frequent":
            return _played(albums, marks, lambda plays, played_at: (plays, played_at))
        case "recent":
            return _played(albums, marks, lambda plays, played_at: (played_at, plays))
        case "starred":
            return starred_albums(albums, marks)
        case "byGenre":
            genre = wanted_genre(parameters)
            return sorted((album for album in albums if genre in album.genres), key=_ALWAYS["alphabeticalByName"])
        case _ if kind in _ALWAYS:
            return sorted(albums, key=_ALWAYS[kind])
        case _ if kind in EMPTY:
            return []
        case _:
            raise OpenSubsonicError(ErrorCode.GENERIC, f"type: saw {kind[:60]!r}, expected one of {', '.join(KINDS)}.")


def wanted_genre(parameters: Parameters) -> str | None:
    """The genre that is asked for, as songs have it; None for what names none. Raises OpenSubsonicError."""
    return asked_genre(parameters.required("genre"))


def songs_of_genre(collection: Collection, genre: str | None) -> list[Song]:
    """The songs that have the genre, alone or among others."""
    return [song for song in collection.songs.values() if genre in genres_of(song)]


def random_songs(collection: Collection, parameters: Parameters, count: int, random: Random) -> list[Song]:
    """Songs by chance, of one genre where one is named."""
    if parameters.text("genre"):
        songs = songs_of_genre(collection, wanted_genre(parameters))
    else:
        songs = list(collection.songs.values())
    return random.sample(songs, min(count, len(songs)))


def starred_albums(albums: Iterable[Album], marks: ListenerMarks) -> list[Album]:
    """The albums whose songs the listener all likes, the last one first."""
    found = [(marks.together(album.songs).starred_at, album) for album in albums]
    liked = [(at, album.id, album) for at, album in found if at is not None]
    return [album for _, _, album in sorted(liked, key=lambda one: one[:2], reverse=True)]


def _played(
    albums: list[Album], marks: ListenerMarks, order: Callable[[int, datetime], tuple[object, object]]
) -> list[Album]:
    """The albums that the listener has played, what `order` has most of first."""
    found = [(marks.together(album.songs), album) for album in albums]
    played = [(order(mark.plays, mark.played_at or _NEVER), album.id, album) for mark, album in found if mark.plays]
    return [album for _, _, album in sorted(played, key=lambda one: one[:2], reverse=True)]
