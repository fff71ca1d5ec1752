"""The listeners of a simulated world: their places, hours and favourite genres."""

from typing import TypeAlias

import numpy as np
from msgspec import Struct
from numpy.random import Generator
from numpy.typing import NDArray

from songline.producers.simulation.catalogue import GENRES, Floats, Ints

Bytes: TypeAlias = NDArray[np.int8]

REMEMBERED_LIKES = 16


class HomePlace(Struct, frozen=True):
    """A country: its weight among the listeners, its standard time in hours from UTC, and its favourite genre."""

    region: str
    weight: float
    utc_offset: float
    favours: str


PLACES = (
    HomePlace("US", 22, -6, "hip hop"),
    HomePlace("BR", 11, -3, "latin"),
    HomePlace("MX", 8, -6, "latin"),
    HomePlace("GB", 8, 0, "indie"),
    HomePlace("DE", 8, 1, "electronic"),
    HomePlace("FR", 6, 1, "hip hop"),
    HomePlace("ES", 5, 1, "latin"),
    HomePlace("SE", 2, 1, "pop"),
    HomePlace("NG", 6, 1, "afrobeats"),
    HomePlace("ZA", 3, 2, "afrobeats"),
    HomePlace("IN", 12, 5.5, "pop"),
    HomePlace("KR", 4, 9, "k-pop"),
    HomePlace("JP", 4, 9, "rock"),
    HomePlace("AU", 3, 10, "rock"),
)
DEVICES = ("ios", "android", "web", "desktop", "speaker", "tv", "car")
_DEVICE_WEIGHTS = (0.34, 0.36, 0.1, 0.1, 0.05, 0.02, 0.03)

# The sessions that start in each local hour, relative to an average hour, from midnight on.
_BY_HOUR = (
    0.45, 0.28, 0.18, 0.13, 0.14, 0.28, 0.62, 1.10, 1.32, 1.12, 1.02, 1.05,
    1.15, 1.12, 1.08, 1.15, 1.28, 1.50, 1.58, 1.50, 1.42, 1.32, 1.08, 0.75,
)  # fmt: skip


class Listeners:
    """Listeners 0 to `count` - 1, sorted by place, with their sessions and their most recent likes.

    They are columns of the smallest types, so that a million listeners take less than 100 MB.
    """

    def __init__(self, count: int, random: Generator) -> None:
        share = np.array([place.weight for place in PLACES])
        self.place: Bytes = np.sort(random.choice(len(PLACES), size=count, p=share / share.sum()).astype(np.int8))
        self.device: Bytes = random.choice(len(DEVICES), size=count, p=_DEVICE_WEIGHTS).astype(np.int8)
        favoured = np.array([GENRES.index(place.favours) for place in PLACES], dtype=np.int8)
        anything = random.integers(len(GENRES), size=(count, 2)).astype(np.int8)
        at_home = random.random(count) < 0.4
        self._favourites: Bytes = anything
        self._favourites[at_home, 0] = favoured[self.place[at_home]]
        self._ends: Ints = np.searchsorted(self.place, np.arange(len(PLACES), dtype=np.int8), side="right")
        self._starts: Ints = np.searchsorted(self.place, np.arange(len(PLACES), dtype=np.int8), side="left")
        self._busy = np.zeros(count, dtype=np.bool_)
        self._tired: list[Ints] = []
        # Numbers of songs and one more: zeros take no memory until something is written over them.
        self._liked = np.zeros((count, REMEMBERED_LIKES), dtype=np.uint32)
        self._next_like = np.zeros(count, dtype=np.uint8)

    def __len__(self) -> int:
        return len(self.place)

    def shelves(self, who: Ints, taste: float, random: Generator) -> Ints:
        """A genre for a play of each of `who`: one of two favourites with probability `taste`, else -1 (all)."""
        favourite = self._favourites[who, (random.random(len(who)) < 0.35).astype(np.int64)].astype(np.int64)
        return np.where(random.random(len(who)) < taste, favourite, -1)

    def start_sessions(self, count: int, utc_s: float, random: Generator) -> Ints:
        """Start sessions of `count` listeners without one, chosen by the local time of day; return the listeners.

        At most half of all listeners may be in a session.
        """
        weights = self._awake(utc_s)
        started: Ints = np.empty(0, dtype=np.int64)
        for _ in range(6):
            wanted = count - len(started)
            if not wanted:
                return started
            place = np.searchsorted(weights, random.random(wanted) * weights[-1], side="right")
            # Some listeners have many more sessions than others: the share falls with the rank within a place.
            rank = ((self._ends - self._starts)[place] * random.random(wanted) ** 1.6).astype(np.int64)
            drawn = np.unique(self._starts[place] + rank)
            started = np.concatenate((started, self._take(drawn[~self._busy[drawn]])))
        if np.count_nonzero(~self._busy) < count - len(started):
            self.rest()
        free = np.flatnonzero(~self._busy)
        return np.concatenate((started, self._take(random.choice(free, size=count - len(started), replace=False))))

    def end_sessions(self, who: Ints) -> None:
        """End the sessions of `who`. They start none before the next `rest`, unless all others are in one."""
        self._tired.append(who)

    def rest(self) -> None:
        """Let the listeners whose sessions have ended start another."""
        for who in self._tired:
            self._busy[who] = False
        self._tired.clear()

    def like(self, who: int, song: int) -> bool:
        """Record the like; return False if the listener is known to have liked the song already."""
        liked, place = self._liked[who], int(self._next_like[who])
        if song + 1 in liked:
            return False
        liked[place] = song + 1
        self._next_like[who] = (place + 1) % REMEMBERED_LIKES
        return True

    def _take(self, who: Ints) -> Ints:
        self._busy[who] = True
        return who

    def _awake(self, utc_s: float) -> Floats:
        """The weights of the places, cumulated: listeners times the sessions at the local hour."""
        hours = [(utc_s / 3600 + place.utc_offset) % 24 for place in PLACES]
        now = np.interp(hours, np.arange(25) + 0.5, [*_BY_HOUR, _BY_HOUR[0]])
        return np.cumsum(now * (self._ends - self._starts))
