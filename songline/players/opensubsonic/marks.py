"""What a listener's library says of songs: how often they were played, when last, since when they are liked."""

from bisect import bisect_left
from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct

from songline.schemas.library.action import moment_of
from songline.schemas.library.fold import FoldedSong
from songline.schemas.songs import Song


class SongMark(Struct, frozen=True):
    """Of one song, or of the songs of an album together."""

    plays: int = 0
    played_at: datetime | None = None
    starred_at: datetime | None = None


class ListenerMarks:
    """The marks of one listener; `songs` are those of the library, sorted by id."""

    def __init__(self, songs: tuple[FoldedSong, ...] = ()) -> None:
        self._songs = songs

    def of(self, song_id: str) -> SongMark:
        """The mark of a song; one without anything where the library does not have it."""
        place = bisect_left(self._songs, song_id, key=lambda song: song.song_id)
        if place == len(self._songs) or self._songs[place].song_id != song_id:
            return SongMark()
        found = self._songs[place]
        return SongMark(found.plays, _moment(found.last_us), _moment(found.liked_us))

    def together(self, songs: Iterable[Song]) -> SongMark:
        """All plays, and the last one; since when all are liked."""
        marks = [self.of(song.id) for song in songs]
        played = [mark.played_at for mark in marks if mark.played_at is not None]
        starred = [mark.starred_at for mark in marks if mark.starred_at is not None]
        starred_at = max(starred) if starred and len(starred) == len(marks) else None
        return SongMark(sum(mark.plays for mark in marks), max(played, default=None), starred_at)

    @property
    def starred(self) -> list[str]:
        """The ids of the songs that the listener likes, the last one first."""
        liked = [(song.liked_us, song.song_id) for song in self._songs if song.liked_us is not None]
        return [song_id for _, song_id in sorted(liked, reverse=True)]


def _moment(at_us: int | None) -> datetime | None:
    return None if at_us is None else moment_of(at_us)
