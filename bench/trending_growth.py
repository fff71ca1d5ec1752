"""`python -m bench trending_growth`: CPU an event of the trending worker, by events, songs and partitions.

The largest world takes most of the time, and comes last; each is printed when it is measured. Without it, and keeping
nothing:

    python -m bench.trending_growth --largest 1000000
"""

import asyncio
from datetime import UTC, datetime

import click
from msgspec import Struct

from bench import report
from bench.measurement import Measurement
from bench.plays import Plays
from bench.trending import SONGS, Run, filled, worker

REGION = (
    "From the moment at which the worker may read until the global chart counts the last event, as in the benchmark "
    "`trending`. What a worker does by the clock is inside, so few events cost more each; ratios are to the first "
    "world."
)


class World(Struct, frozen=True):
    """So many plays of so many songs in so many partitions."""

    events: int
    songs: int = SONGS
    partitions: int = 4

    def __str__(self) -> str:
        return f"{self.events:,} events, {self.songs:,} songs, {self.partitions} partitions"


WORLDS = [
    World(1_000_000),
    *(World(1_000_000, songs) for songs in (1_000, 1_000_000)),
    *(World(1_000_000, partitions=number) for number in (1, 32)),
    World(100_000),
    World(10_000_000),
]
QUICK = [World(60_000), World(20_000, 1_000, 2)]


def measure(quick: bool, largest: int = 10_000_000) -> list[Measurement]:
    worlds = [one for one in (QUICK if quick else WORLDS) if one.events <= largest]
    runs: list[Run] = []
    found: list[Measurement] = []
    for world in worlds:
        runs.append(_run(world))
        found += report.shown([grown(world, runs[-1], worlds[0], runs[0])])
    return found


def grown(world: World, run: Run, first: World, peer: Run) -> Measurement:
    """CPU an event in a world, as a part of that in the first one."""
    return Measurement(
        row=11,
        what=f"trending worker, {world}",
        figure=run.cpu_us,
        unit="µs CPU an event",
        ratio=run.cpu_us / peer.cpu_us,
        peer=str(first),
        peer_figure=peer.cpu_us,
        wanted="" if world is first else "<= 1.2",
    )


def _run(world: World) -> Run:
    plays = Plays.drawn(world.events, world.songs, world.partitions, datetime.now(UTC))
    with filled(plays) as cloud:
        return asyncio.run(worker(cloud, plays))


@click.command()
@click.option("--largest", default=10_000_000, show_default=True, help="The most events of a world.")
def main(largest: int) -> None:
    """Measure worlds of up to so many events, print what was seen, and keep nothing."""
    measure(quick=False, largest=largest)


if __name__ == "__main__":
    main()
