"""Which of a shard's songs are of which genre, and which of them are removed."""

import numpy as np

from songline.processors.trending.song_index import Ints
from songline.schemas.documents import UNKNOWN_GENRE


class SongGenres:
    """Songs by their number. A song is of UNKNOWN_GENRE until it is placed."""

    def __init__(self) -> None:
        self._songs: dict[str, set[int]] = {}
        self._genre: list[str] = []
        self.removed: set[int] = set()

    def cover(self, count: int) -> None:
        """Know the songs below the number `count`."""
        if count > len(self._genre):
            added = range(len(self._genre), count)
            self._songs.setdefault(UNKNOWN_GENRE, set()).update(added)
            self._genre += [UNKNOWN_GENRE] * len(added)

    def place(self, number: int, genre: str, *, removed: bool) -> None:
        """Put a song into its genre, and out of the others."""
        self.cover(number + 1)
        self._songs[self._genre[number]].discard(number)
        self._songs.setdefault(genre, set()).add(number)
        self._genre[number] = genre
        if removed:
            self.removed.add(number)
        else:
            self.removed.discard(number)

    def all(self) -> list[str]:
        """The genres that any song is or was of."""
        return list(self._songs)

    def of(self, songs: set[int]) -> set[str]:
        """The genres of some songs."""
        return {self._genre[song] for song in songs}

    def songs(self, genre: str) -> Ints:
        """The songs of a genre."""
        return np.fromiter(self._songs[genre], np.int64, len(self._songs[genre]))
