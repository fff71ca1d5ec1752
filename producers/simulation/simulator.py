"""The events of simulated listeners: a pure function of a seed, a start and a configuration.

Listeners and ListeningSessions choose who listens, Catalogue and ViralSpikes to what. This module advances time in
blocks and makes the events of a block: plays and the likes that follow, bots, uploads and removals. Then it simulates
the network: late, out of order, repeated.

The same seed, start and configuration give the same bytes under the same version of numpy. Its random streams may
change between versions.
"""

import heapq
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TypeAlias

import numpy as np
from numpy.random import Generator

from songline.producers.simulation.catalogue import GENRES, Catalogue, Floats, SimulatedSong, invented_song
from songline.producers.simulation.config import SimulationConfig
from songline.producers.simulation.listeners import DEVICES, PLACES, Listeners
from songline.producers.simulation.sessions import HEARD, HEARD_SHARE, DuePlays, ListeningSessions
from songline.producers.simulation.spikes import ViralSpikes
from songline.schemas.envelope import Event, uuid7
from songline.schemas.events import Payload, SongLiked, SongPlayed, SongRemoved, SongUnliked, SongUploaded

SOURCE = "/songline/simulator"
EARLIEST_START = datetime(2001, 1, 1, tzinfo=UTC)
LATE_LIMIT_S = 7 * 86_400

_BLOCK_EVENTS = 2_000
_LONGEST_BLOCK_S = 60.0
_BOT_PLAYED_MS = 31_000
_CATALOGUE_AGE_MS = 30 * 86_400_000

Due: TypeAlias = tuple[datetime, Event]
"""The moment at which an event reaches its sender, and the event. Its own `time` may be much earlier."""
_Happened: TypeAlias = tuple[int, Event]
_Held: TypeAlias = tuple[int, int, Event]
_WHO_BITS, _SONG_BITS = 25, 32
"""Half an hour of unlikes waits. So each is one number, of which the first bits are its millisecond."""


class Simulation:
    """An endless iterator of (due, event), ordered by the due time; iterate over it once.

    `start` is its beginning: aware, 2001 or later, cut to milliseconds. The first events announce the existing songs.
    Several processes share one world as `part` of `parts`: each has its own listeners, and only part 0 publishes
    uploads and removals. Raises ValueError for an invalid `start` or too few listeners.
    """

    def __init__(self, seed: int, start: datetime, config: SimulationConfig, *, part: int = 0, parts: int = 1) -> None:
        if parts > config.listeners:
            raise ValueError(f"listeners: saw {config.listeners}, expected at least one for each of {parts} processes")
        if start < EARLIEST_START:
            raise ValueError(f"start: saw {start.isoformat()}, expected {EARLIEST_START.isoformat()} or later")
        self._config, self._part, self._parts = config, part, parts
        self._start = start.replace(microsecond=start.microsecond // 1000 * 1000)
        self._start_ms = round(self._start.timestamp() * 1000)
        # One random stream for what all parts must agree on, and others for this part alone.
        self._world = _stream(seed, 0)
        self._random = _stream(seed, 1, part)
        self._entropy = _entropy(_stream(seed, 2, part))
        self._catalogue = Catalogue(config.songs, config.popularity, self._world)
        self._spikes = ViralSpikes(config, self._world)
        bot_songs = self._catalogue.draw(np.full(config.bots, -1), self._world).tolist()
        self._bots = list(enumerate(bot_songs))[part::parts]
        self._listeners = Listeners(len(range(part, config.listeners, parts)), self._random)
        self._sessions = ListeningSessions(
            _plays_per_s(config) / parts,
            self._catalogue,
            self._listeners,
            config,
            self._start.timestamp(),
            self._random,
        )
        self._held: list[_Held] = []
        self._unlikes: list[int] = []
        self._numbers = count()

    def __iter__(self) -> Iterator[Due]:
        if self._part == 0:
            yield from self._announcements()
        block_s = min(_LONGEST_BLOCK_S, _BLOCK_EVENTS / self._config.events_per_s)
        for block in count():
            begin_s, end_s = block * block_s, (block + 1) * block_s
            for due_ms, _, event in self._deliver(self._happenings(begin_s, end_s), int(end_s * 1000)):
                yield self._start + timedelta(milliseconds=due_ms), event

    def _announcements(self) -> Iterator[Due]:
        """The uploads of the songs that exist at the start. The oldest is a month old."""
        songs = self._catalogue.announced
        for number in range(songs):
            ms = _CATALOGUE_AGE_MS * (number - songs) // songs
            yield self._start, self._event(ms, _uploaded(invented_song(number)))

    def _happenings(self, begin_s: float, end_s: float) -> list[_Happened]:
        """The events of a block. The shared world advances first, so that it is the same in every part."""
        happened = self._releases(begin_s, end_s)
        for _ in range(self._spikes.due(begin_s)):
            self._spikes.begin(self._catalogue.obscure(self._world), begin_s)
        self._catalogue.go_viral(self._spikes.shares(begin_s))
        plays = self._sessions.play_until(end_s, self._start.timestamp() + begin_s)
        happened += self._played(plays)
        happened += self._unliked(int(end_s * 1000))
        happened += self._bot_plays(begin_s, end_s)
        return happened

    def _releases(self, begin_s: float, end_s: float) -> list[_Happened]:
        """The uploads and removals of a block. All parts apply them, and only part 0 returns events."""
        uploads = _once(self._config) * self._config.uploads
        come = _moments(uploads, begin_s, end_s, self._world)
        gone = _moments(uploads * self._config.removals, begin_s, end_s, self._world)
        released: list[tuple[int, Payload]] = [(ms, _uploaded(self._catalogue.announce(self._world))) for ms in come]
        for ms in gone:
            song = self._catalogue.withdraw(self._world)
            if song is not None:
                released.append((ms, SongRemoved(user_id=song.uploader, song_id=song.song_id)))
        return [(ms, self._event(ms, payload)) for ms, payload in released] if self._part == 0 else []

    def _played(self, plays: DuePlays) -> list[_Happened]:
        config, random, size = self._config, self._random, len(plays)
        late_ms = _late_ms(config, size, random)
        likes = (random.random(size) < config.likes) & (plays.played_ms >= HEARD * plays.duration_ms)
        unlike_ms = np.where(random.random(size) < config.unlikes, 60_000 + random.exponential(1_800_000, size), 0)
        at_ms = (plays.at * 1000).astype(np.int64)
        happened = []
        for ms, late, who, number, played, duration, place, device, like, unlike in zip(
            at_ms.tolist(),
            late_ms.astype(np.int64).tolist(),
            plays.who.tolist(),
            plays.song.tolist(),
            plays.played_ms.tolist(),
            plays.duration_ms.tolist(),
            self._listeners.place[plays.who].tolist(),
            self._listeners.device[plays.who].tolist(),
            likes.tolist(),
            unlike_ms.astype(np.int64).tolist(),
            strict=True,
        ):
            user, song, region = self._user(who), f"song-{number}", PLACES[place].region
            play = SongPlayed(
                user_id=user,
                song_id=song,
                played_ms=played,
                duration_ms=duration,
                region=region,
                device=DEVICES[device],
            )
            happened.append((ms, self._event(ms - late, play)))
            if like and self._listeners.like(who, number):
                liked = SongLiked(user_id=user, song_id=song, region=region)
                happened.append((ms + 1, self._event(ms + 1, liked)))
                if unlike:
                    heapq.heappush(self._unlikes, _unlike(ms + unlike, who, number))
        return happened

    def _unliked(self, end_ms: int) -> list[_Happened]:
        """The likes that are taken back before `end_ms`."""
        happened = []
        end = _unlike(end_ms, 0, 0)
        while self._unlikes and self._unlikes[0] < end:
            ms, who, number = _unlike_fields(heapq.heappop(self._unlikes))
            region = PLACES[self._listeners.place[who]].region
            data = SongUnliked(user_id=self._user(who), song_id=f"song-{number}", region=region)
            happened.append((ms, self._event(ms, data)))
        return happened

    def _bot_plays(self, begin_s: float, end_s: float) -> list[_Happened]:
        """The plays by bots, each just long enough to count."""
        happened = []
        for bot, number in self._bots:
            user, region = f"user-{self._config.listeners + bot}", PLACES[bot % len(PLACES)].region
            duration = max(_BOT_PLAYED_MS, self._catalogue.length_ms(number))
            play = SongPlayed(
                user_id=user,
                song_id=f"song-{number}",
                played_ms=_BOT_PLAYED_MS,
                duration_ms=duration,
                region=region,
            )
            each = _once(self._config) * self._config.bot_share / self._config.bots
            happened += [(ms, self._event(ms, play)) for ms in _moments(each, begin_s, end_s, self._random)]
        return happened

    def _deliver(self, happened: list[_Happened], end_ms: int) -> list[_Held]:
        """The events that are due before `end_ms`, in order. Some are delayed, and some are repeated."""
        config, random, size = self._config, self._random, len(happened)
        slow = np.where(random.random(size) < config.disorder, random.lognormal(6.7, 1.0, size), 0).astype(np.int64)
        again = np.where(random.random(size) < config.duplicates, 1 + random.exponential(3_000, size), 0)
        arriving: list[_Held] = []
        for (ms, event), slow_ms, again_ms in zip(
            happened, slow.tolist(), again.astype(np.int64).tolist(), strict=True
        ):
            arriving.append((ms + slow_ms, next(self._numbers), event))
            if again_ms:
                arriving.append((ms + slow_ms + again_ms, next(self._numbers), event))
        ready = [held for held in arriving if held[0] < end_ms]
        while self._held and self._held[0][0] < end_ms:
            ready.append(heapq.heappop(self._held))
        for held in arriving:
            if held[0] >= end_ms:
                heapq.heappush(self._held, held)
        ready.sort()
        return ready

    def _event(self, ms: int, data: Payload) -> Event:
        return Event(
            id=uuid7(self._start_ms + ms, next(self._entropy)),
            source=SOURCE,
            time=self._start + timedelta(milliseconds=ms),
            data=data,
        )

    def _user(self, who: int) -> str:
        return f"user-{who * self._parts + self._part}"


def _stream(*key: int) -> Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))


def _entropy(random: Generator) -> Iterator[int]:
    """74 random bits at a time."""
    while True:
        high, low = random.integers(1 << 37, size=(2, 4096)).tolist()
        yield from (a << 37 | b for a, b in zip(high, low, strict=True))


def _once(config: SimulationConfig) -> float:
    """Events a second, each counted once."""
    return config.events_per_s / (1 + config.duplicates)


def _plays_per_s(config: SimulationConfig) -> float:
    """The listeners' plays a second with which all events together have the configured rate."""
    bots = config.bot_share if config.bots else 0.0
    rest = 1 - bots - config.uploads * (1 + config.removals)
    liked = config.likes * (1 - config.skips) * HEARD_SHARE
    return _once(config) * rest / (1 + liked * (1 + config.unlikes))


def _moments(per_s: float, begin_s: float, end_s: float, random: Generator) -> list[int]:
    """Moments of a Poisson process, in milliseconds, in order."""
    at: Floats = random.uniform(begin_s, end_s, random.poisson(per_s * (end_s - begin_s)))
    ordered: list[int] = np.sort((at * 1000).astype(np.int64)).tolist()
    return ordered


def _late_ms(config: SimulationConfig, size: int, random: Generator) -> Floats:
    """The delay of each play's report in milliseconds: mostly 0, for some minutes to days, for a few over 7 days."""
    days = 60 * (LATE_LIMIT_S / 60) ** (0.99 * random.random(size))
    weeks = LATE_LIMIT_S * (1.01 + 3.2 * random.random(size))
    lateness = np.where(random.random(size) < config.too_late, weeks, days)
    late_ms: Floats = np.where(random.random(size) < config.late, 1000 * lateness, 0)
    return late_ms


def _unlike(ms: int, who: int, number: int) -> int:
    return (ms << _WHO_BITS | who) << _SONG_BITS | number


def _unlike_fields(unlike: int) -> tuple[int, int, int]:
    """The millisecond, the listener and the song of an unlike."""
    rest, number = divmod(unlike, 1 << _SONG_BITS)
    ms, who = divmod(rest, 1 << _WHO_BITS)
    return ms, who, number


def _uploaded(song: SimulatedSong) -> SongUploaded:
    return SongUploaded(
        user_id=song.uploader,
        song_id=song.song_id,
        title=song.title,
        artist=song.artist,
        duration_ms=song.duration_ms,
        genre=None if song.genre is None else GENRES[song.genre],
    )
