"""The running listening sessions, and the ends of their plays."""

import numpy as np
from msgspec import Struct
from numpy.random import Generator

from songline.producers.simulation.catalogue import Catalogue, Floats, Ints
from songline.producers.simulation.config import SimulationConfig
from songline.producers.simulation.listeners import Listeners

HEARD = 0.5
HEARD_OUT = 0.8
LEFT_AFTER = 0.15
HEARD_SHARE = HEARD_OUT + (1 - HEARD_OUT) * (1 - HEARD) / (1 - LEFT_AFTER)
"""The share of the plays without a skip in which at least HEARD of the song is heard."""

_PAUSE_SIGMA = 1.1
_SAMPLE = 20_000


class DuePlays(Struct):
    """Columns of plays: the end in seconds since the start, listener, song, played and whole milliseconds."""

    at: Floats
    who: Ints
    song: Ints
    played_ms: Ints
    duration_ms: Ints

    def __len__(self) -> int:
        return len(self.at)

    def take(self, index: Ints) -> "DuePlays":
        """Copies of the rows at `index`."""
        return DuePlays(
            self.at[index], self.who[index], self.song[index], self.played_ms[index], self.duration_ms[index]
        )

    def put(self, index: Ints, rows: "DuePlays") -> None:
        """Replace the rows at `index` by `rows`."""
        for column, values in zip(self.columns(), rows.columns(), strict=True):
            column[index] = values

    def columns(self) -> tuple[Floats, Ints, Ints, Ints, Ints]:
        """The columns, in the order of the fields."""
        return self.at, self.who, self.song, self.played_ms, self.duration_ms


class ListeningSessions:
    """A fixed number of running sessions. When one ends, a session of another listener begins.

    The number follows from `plays_per_s`, but at most half of all listeners are in a session at a time. By real pacing
    each listener has one, which never ends. Plays and pauses take `time_scale` of their normal time, which is not 1
    where that number of sessions does not make the rate.
    """

    def __init__(
        self,
        plays_per_s: float,
        catalogue: Catalogue,
        listeners: Listeners,
        config: SimulationConfig,
        utc_s: float,
        random: Generator,
    ) -> None:
        self._catalogue, self._listeners, self._config, self._random = catalogue, listeners, config, random
        self.time_scale = 1.0
        nobody = np.zeros(_SAMPLE)
        gap_s = float(np.mean(self._next_plays(nobody, random.integers(len(listeners), size=_SAMPLE)).at))
        if config.pacing == "real":
            who: Ints = np.arange(len(listeners))
        else:
            count = max(1, min(round(plays_per_s * gap_s), len(listeners) // 2))
            who = listeners.start_sessions(count, utc_s, random)
        self.time_scale = len(who) / (plays_per_s * gap_s)
        self._left: Ints = random.geometric(1 / config.session_songs, size=len(who))
        self._running = self._plays_under_way(who)

    def __len__(self) -> int:
        return len(self._running)

    def play_until(self, end_s: float, utc_s: float) -> DuePlays:
        """The plays that end before `end_s`, ordered by their ends; `utc_s` is the time of day."""
        self._listeners.rest()
        waves = []
        while True:
            ending = np.flatnonzero(self._running.at < end_s)
            ended = self._running.take(ending)
            waves.append(ended)
            if not len(ended):
                break
            self._running.put(ending, self._next_plays(ended.at, self._relieved(ending, utc_s)))
        at, *rest = (np.concatenate(column) for column in zip(*(wave.columns() for wave in waves), strict=True))
        return DuePlays(at, *rest).take(np.argsort(at, kind="stable"))

    def _relieved(self, slots: Ints, utc_s: float) -> Ints:
        """The next listener of each of `slots`: the same, or another if the session is over."""
        who = self._running.who
        if self._config.pacing == "real":
            return who[slots]
        self._left[slots] -= 1
        over = slots[self._left[slots] == 0]
        if len(over):
            self._listeners.end_sessions(who[over])
            who[over] = self._listeners.start_sessions(len(over), utc_s, self._random)
            self._left[over] = self._random.geometric(1 / self._config.session_songs, size=len(over))
        return who[slots]

    def _plays_under_way(self, who: Ints) -> DuePlays:
        """A play of each of `who`, at a random moment of it, as if all had listened for long before the start.

        Long plays are met more often, so these are drawn again, by their lengths, from one new play of each.
        """
        new = self._next_plays(np.zeros(len(who)), who)
        ends = np.cumsum(new.at)
        met = np.searchsorted(ends, self._random.random(len(who)) * ends[-1], side="right")
        plays = new.take(np.minimum(met, len(who) - 1))
        return DuePlays(plays.at * self._random.random(len(who)), who, plays.song, plays.played_ms, plays.duration_ms)

    def _next_plays(self, since: Floats, who: Ints) -> DuePlays:
        """The next play of each of `who`, from `since` on.

        A skip comes within 30 s and before half of the song. Of the other plays, 4 in 5 last to the end.
        """
        count, random = len(who), self._random
        songs = self._catalogue.draw(self._listeners.shelves(who, self._config.taste, random), random)
        duration = self._catalogue.durations(songs)
        skip = np.minimum(1_000 * 29 ** random.random(count), duration * 0.45)
        part = np.where(random.random(count) < HEARD_OUT, 1.0, LEFT_AFTER + (1 - LEFT_AFTER) * random.random(count))
        played = np.where(random.random(count) < self._config.skips, skip, duration * part)
        pause = random.lognormal(np.log(self._config.pause), _PAUSE_SIGMA, size=count)
        ends = since + (pause + played / 1000) * self.time_scale
        return DuePlays(ends, who, songs, played.astype(np.int64), duration)
