"""Songs that go viral: out of nowhere, and then less and less."""

from math import exp

from numpy.random import Generator

from songline.producers.simulation.config import SimulationConfig

TOGETHER = 0.8
_FORGOTTEN = 0.05


class ViralSpikes:
    """At most TOGETHER of all plays go to viral songs; each song's share falls to 1/e in some minutes."""

    def __init__(self, dials: SimulationConfig, random: Generator) -> None:
        self._dials, self._random = dials, random
        self._next_s = float(random.exponential(dials.spike_every))
        self._running: dict[int, tuple[float, float]] = {}

    def due(self, now_s: float) -> int:
        """How many songs go viral since the last call."""
        count = 0
        while self._next_s <= now_s:
            self._next_s += float(self._random.exponential(self._dials.spike_every))
            count += 1
        return count

    def begin(self, song: int, now_s: float) -> None:
        self._running[song] = (now_s, float(self._random.lognormal(6.2, 0.5)))

    def shares(self, now_s: float) -> dict[int, float]:
        """Share of all plays of each song that is viral now."""
        faded = {song: exp((begun_s - now_s) / lasts_s) for song, (begun_s, lasts_s) in self._running.items()}
        self._running = {song: self._running[song] for song, left in faded.items() if left > _FORGOTTEN}
        shares = {song: self._dials.spike_share * faded[song] for song in self._running}
        excess = max(1.0, sum(shares.values()) / TOGETHER)
        return {song: share / excess for song, share in shares.items()}
