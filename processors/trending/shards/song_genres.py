"""Which of a shard's songs are of which genres, and which of them are removed."""

from collections.abc import Iterable

import numpy as np

from songline.processors.trending.song_index import Ints, Which
from songline.schemas.documents import UNKNOWN_GENRE

_UNKNOWN = (UNKNOWN_GENRE,)


class SongGenres:
    """Songs by their number. A song is of UNKNOWN_GENRE until it is placed."""

    def __init__(self) -> None:
        self._songs: dict[str, set[int]] = {}
        self._genres: list[tuple[str, ...]] = []
        self.removed: set[int] = set()

    def cover(self, count: int) -> None:
        """Know the songs below the number `count`."""
        if count > len(self._genres):
            added = range(len(self._genres), count)
            self._songs.setdefault(UNKNOWN_GENRE, set()).update(added)
            self._genres += [_UNKNOWN] * len(added)

    def place(self, number: int, genres: tuple[str, ...], *, removed: bool) -> bool:
        """Put a song into its genres, and out of the others; return whether it was in others, or removed or not."""
        self.cover(number + 1)
        moves = self._genres[number] != genres or (number in self.removed) != removed
        for genre in self._genres[number]:
            self._songs[genre].discard(number)
        for genre in genres:
            self._songs.setdefault(genre, set()).add(number)
        self._genres[number] = genres
        if removed:
            self.removed.add(number)
        else:
            self.removed.discard(number)
        return moves

    def all(self) -> list[str]:
        """The genres that any song is or was of."""
        return list(self._songs)

    def of(self, songs: Iterable[int]) -> set[str]:
        """The genres of some songs."""
        return {genre for song in songs for genre in self._genres[song]}

    def songs(self, genre: str) -> Ints:
        """The songs of a genre."""
        return np.fromiter(self._songs[genre], np.int64, len(self._songs[genre]))

    def shown(self, count: int) -> Which:
        """Of each song below the number `count`, whether it is not removed."""
        found = np.ones(count, np.bool_)
        found[[number for number in self.removed if number < count]] = False
        return found
