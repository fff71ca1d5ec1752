"""The songs of a simulated world: their names, their popularity, new releases and viral songs."""

from array import array
from random import Random
from typing import TypeAlias

import numpy as np
from msgspec import Struct
from numpy.random import Generator
from numpy.typing import NDArray

from songline.producers.simulation.invented_names import artist_name, song_title

Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]

GENRES = (
    "pop", "hip hop", "rock", "electronic", "latin", "r&b", "indie", "afrobeats",
    "k-pop", "metal", "jazz", "country", "classical", "folk", "reggae",
)  # fmt: skip
SONGS_AN_ARTIST = 7
_NO_GENRE = -1


class SimulatedSong(Struct, frozen=True, kw_only=True):
    """A song: `genre` is an index of GENRES, or None where its uploader named none."""

    song_id: str
    uploader: str
    title: str
    artist: str
    genre: int | None
    duration_ms: int


def invented_song(number: int) -> SimulatedSong:
    """Song `number` of the endless catalogue that all simulations share, with any seed.

    So two runs never publish different facts about the same song id.
    """
    artist = number // SONGS_AN_ARTIST
    of_artist = Random(f"artist {artist}")
    of_song = Random(f"song {number}")
    name, genre = artist_name(of_artist), of_artist.choices(range(len(GENRES)), weights=range(len(GENRES) + 5, 5, -1))
    return SimulatedSong(
        song_id=f"song-{number}",
        uploader=f"artist-{artist}",
        title=song_title(of_song),
        artist=name,
        genre=None if of_song.random() < 0.02 else genre[0],
        duration_ms=round(min(max(of_song.lognormvariate(5.3, 0.3), 45), 900) * 1000),
    )


class Catalogue:
    """Songs by number, ranked by popularity. Draws songs from all or from a genre, by Zipf's law.

    Within a list of n songs the song of rank r is drawn with weight r^-exponent. Songs are announced for as long as a
    simulation runs, so of each only its length, its genre and its rank are kept: all else follows from its number.
    """

    def __init__(self, size: int, exponent: float, random: Generator) -> None:
        self._exponent = exponent
        self._lengths_ms = array("i")
        self._genres = array("b")
        for number in range(size):
            self._keep(invented_song(number))
        self._ranking: array[int] = array("i", random.permutation(size).tolist())
        self._viral: Ints = np.empty(0, dtype=np.int64)
        self._viral_shares: Floats = np.empty(0)
        self._arrange()

    def __len__(self) -> int:
        """The number of songs that can be played now."""
        return len(self._ranking)

    @property
    def announced(self) -> int:
        """The number of songs that were ever announced: those from 0 on."""
        return len(self._lengths_ms)

    def announce(self, random: Generator) -> SimulatedSong:
        """Add the next song to the catalogue and return it. Its rank is log-uniform."""
        new = invented_song(self.announced)
        self._ranking.insert(int(len(self._ranking) ** random.random()), self.announced)
        self._keep(new)
        self._stale = True
        return new

    def withdraw(self, random: Generator) -> SimulatedSong | None:
        """Remove a random song and return it; None if only one is left."""
        if len(self._ranking) == 1:
            return None
        self._stale = True
        return invented_song(self._ranking.pop(int(random.integers(len(self._ranking)))))

    def obscure(self, random: Generator) -> int:
        """The number of a random song from the less popular half, which may go viral."""
        half = len(self._ranking) // 2
        return self._ranking[half + int(random.integers(len(self._ranking) - half))]

    def go_viral(self, shares: dict[int, float]) -> None:
        """From now on, draw each song number in `shares` with that probability, for every genre."""
        self._viral = np.array(list(shares), dtype=np.int64)
        self._viral_shares = np.cumsum(list(shares.values()))

    def draw(self, shelves: Ints, random: Generator) -> Ints:
        """A song number for each of `shelves`: an index of GENRES, or -1 for all songs.

        A genre without a song is played from all songs.
        """
        if self._stale:
            self._arrange()
        sizes = self._sizes[shelves]
        shelves = np.where(sizes == 0, -1, shelves)
        weights = self._cumulated[self._sizes[shelves]]
        ranks = np.searchsorted(self._cumulated, random.random(len(shelves)) * weights, side="right") - 1
        drawn: Ints = self._shelved[self._starts[shelves] + ranks]
        if len(self._viral):
            which = np.searchsorted(self._viral_shares, random.random(len(shelves)), side="right")
            drawn = np.where(which < len(self._viral), np.append(self._viral, 0)[which], drawn)
        return drawn

    def durations(self, numbers: Ints) -> Ints:
        """The lengths of the songs `numbers`, in milliseconds."""
        return np.asarray(self._durations[numbers])

    def length_ms(self, number: int) -> int:
        """The length of one song, in milliseconds."""
        return self._lengths_ms[number]

    def _keep(self, new: SimulatedSong) -> None:
        self._lengths_ms.append(new.duration_ms)
        self._genres.append(_NO_GENRE if new.genre is None else new.genre)

    def _arrange(self) -> None:
        """Rebuild the arrays: the songs of each genre by popularity, genre after genre, then all songs."""
        ranking = np.array(self._ranking, dtype=np.int64)
        self._durations: Ints = np.array(self._lengths_ms, dtype=np.int64)
        genres = np.array(self._genres)[ranking]
        shelves = [ranking[genres == genre] for genre in range(len(GENRES))] + [ranking]
        self._sizes: Ints = np.array([len(shelf) for shelf in shelves])
        self._starts: Ints = np.cumsum(self._sizes) - self._sizes
        self._shelved: Ints = np.concatenate(shelves)
        weights = np.arange(1, len(ranking) + 1, dtype=np.float64) ** -self._exponent
        self._cumulated: Floats = np.concatenate(([0.0], np.cumsum(weights)))
        self._stale = False
