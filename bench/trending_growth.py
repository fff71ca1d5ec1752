"""`python -m bench trending_growth`: CPU an event of the trending worker, by events, songs and partitions."""

import asyncio
from datetime import UTC, datetime

from msgspec import Struct

from bench.measurement import Measurement
from bench.plays import Plays
from bench.trending import SONGS, Run, filled, worker

REGION = (
    "From the moment at which the worker may read until the global chart counts the last event, as in the benchmark "
    "`trending`. What a worker does by the clock is inside, so few events cost more each; ratios are to the first of "
    "each kind that has a million events or more."
)


class World(Struct, frozen=True):
    """So many plays of so many songs in so many partitions."""

    events: int
    songs: int = SONGS
    partitions: int = 4

    def __str__(self) -> str:
        return f"{self.events:,} events, {self.songs:,} songs, {self.partitions} partitions"


BY_EVENTS = [World(1_000_000), World(100_000), World(10_000_000)]
BY_SONGS = [World(1_000_000, 1_000), World(1_000_000, 30_000), World(1_000_000, 1_000_000)]
BY_PARTITIONS = [World(1_000_000, partitions=number) for number in (1, 4, 32)]
QUICK = [[World(60_000), World(20_000, 1_000, 2)]]


def measure(quick: bool) -> list[Measurement]:
    return [
        one
        for worlds in (QUICK if quick else [BY_EVENTS, BY_SONGS, BY_PARTITIONS])
        for one in grown(worlds, [_run(world) for world in worlds])
    ]


def grown(worlds: list[World], runs: list[Run]) -> list[Measurement]:
    """CPU an event in each world, as a part of that in the first."""
    return [
        Measurement(
            row=11,
            what=f"trending worker, {world}",
            figure=run.cpu_us,
            unit="µs CPU an event",
            ratio=run.cpu_us / runs[0].cpu_us,
            peer=str(worlds[0]),
            peer_figure=runs[0].cpu_us,
            wanted="" if world is worlds[0] else "<= 1.2",
        )
        for world, run in zip(worlds, runs, strict=True)
    ]


def _run(world: World) -> Run:
    plays = Plays.drawn(world.events, world.songs, world.partitions, datetime.now(UTC))
    with filled(plays) as cloud:
        return asyncio.run(worker(cloud, plays))
