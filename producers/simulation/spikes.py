"""Viral songs: they start suddenly, and their share decays."""

from math import exp

from numpy.random import Generator

from songline.producers.simulation.config import SimulationConfig

TOGETHER = 0.8
_FORGOTTEN = 0.05


class ViralSpikes:
    """The viral songs. They have at most TOGETHER of all plays; each song's share falls to 1/e in some minutes."""

    def __init__(self, config: SimulationConfig, random: Generator) -> None:
        self._config, self._random = config, random
        self._next_s = float(random.exponential(config.spike_every))
        self._running: dict[int, tuple[float, float]] = {}

    def due(self, now_s: float) -> int:
        """The number of songs that went viral since the last call."""
        count = 0
        while self._next_s <= now_s:
            self._next_s += float(self._random.exponential(self._config.spike_every))
            count += 1
        return count

    def begin(self, song: int, now_s: float) -> None:
        """Let the song number `song` go viral."""
        self._running[song] = (now_s, float(self._random.lognormal(6.2, 0.5)))

    def shares(self, now_s: float) -> dict[int, float]:
        """The share of all plays, by song number, of each song that is viral now."""
        faded = {song: exp((begun_s - now_s) / lasts_s) for song, (begun_s, lasts_s) in self._running.items()}
        self._running = {song: self._running[song] for song, left in faded.items() if left > _FORGOTTEN}
        shares = {song: self._config.spike_share * faded[song] for song in self._running}
        excess = max(1.0, sum(shares.values()) / TOGETHER)
        return {song: share / excess for song, share in shares.items()}
