"""Who is listening now, and when each one's song ends."""

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
"""Share of the plays that aren't skipped in which at least HEARD of the song is heard."""

_PAUSE_SIGMA = 1.1
_SAMPLE = 20_000
_WARM_UP_GAPS = 10


class DuePlays(Struct):
    """Columns of plays: when each ended (seconds since the start), who, which song, how much of it."""

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
        return self.at, self.who, self.song, self.played_ms, self.duration_ms


class ListeningSessions:
    """A fixed number of running sessions; when one ends, another listener's begins.

    `plays_per_s` sets how many there are: as many as real listeners need, but at most half of all listeners are in
    one at a time. Where that is too few for the rate, everyone lives faster (`pace` < 1): a song is over sooner than
    its length says.
    """

    def __init__(
        self,
        plays_per_s: float,
        catalogue: Catalogue,
        listeners: Listeners,
        dials: SimulationConfig,
        utc_s: float,
        random: Generator,
    ) -> None:
        self._catalogue, self._listeners, self._dials, self._random = catalogue, listeners, dials, random
        self.pace = 1.0
        nobody = np.zeros(_SAMPLE)
        gap_s = float(np.mean(self._next_plays(nobody, random.integers(len(listeners), size=_SAMPLE)).at))
        count = max(1, min(round(plays_per_s * gap_s), len(listeners) // 2))
        self.pace = count / (plays_per_s * gap_s)
        self._left = random.geometric(1 / dials.session_songs, size=count)
        # All begin at once, long enough ago that by the start they are at as many different points as in real life.
        since = np.full(count, -_WARM_UP_GAPS * gap_s * self.pace)
        self._running = self._next_plays(since, listeners.start_sessions(count, utc_s, random))
        self.play_until(0.0, utc_s)

    def __len__(self) -> int:
        return len(self._running)

    def play_until(self, end_s: float, utc_s: float) -> DuePlays:
        """Every play that ends before `end_s`, in the order in which they end; `utc_s` is the time of day."""
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
        """Who goes on in each of `slots`: the same listener, or another where the session is over."""
        self._left[slots] -= 1
        over = slots[self._left[slots] == 0]
        who = self._running.who
        if len(over):
            self._listeners.end_sessions(who[over])
            who[over] = self._listeners.start_sessions(len(over), utc_s, self._random)
            self._left[over] = self._random.geometric(1 / self._dials.session_songs, size=len(over))
        return who[slots]

    def _next_plays(self, since: Floats, who: Ints) -> DuePlays:
        """What each of `who` plays next, from `since` on, and when it ends.

        A skip comes within 30 s and before the song's half; of the rest 4 in 5 hear the song out.
        """
        count, random = len(who), self._random
        songs = self._catalogue.draw(self._listeners.shelves(who, self._dials.taste, random), random)
        duration = self._catalogue.durations(songs)
        skip = np.minimum(1_000 * 29 ** random.random(count), duration * 0.45)
        part = np.where(random.random(count) < HEARD_OUT, 1.0, LEFT_AFTER + (1 - LEFT_AFTER) * random.random(count))
        played = np.where(random.random(count) < self._dials.skips, skip, duration * part)
        pause = random.lognormal(np.log(self._dials.pause), _PAUSE_SIGMA, size=count)
        ends = since + (pause + played / 1000) * self.pace
        return DuePlays(ends, who, songs, played.astype(np.int64), duration)
