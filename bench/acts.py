"""The events that benchmarks of libraries are fed with, and how they get into the hub: as bytes, by listener.

An act is an event that changes a library: a listen, a like, an unlike, an upload, a removal. A play that is no listen
changes none, and one that is sent twice does once.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from time import monotonic
from typing import Any, Self, TypeAlias

import numpy as np
from azure.eventhub._buffered_producer._partition_resolver import PartitionResolver
from msgspec import Struct

from bench.hub_filling import filling_producer, send_bodies
from songline.cloud.settings import CloudSettings
from songline.producers.publishing.publisher import EventPublisher
from songline.producers.simulation.config import SimulationConfig
from songline.producers.simulation.simulator import Simulation
from songline.schemas.channels import MUSIC_EVENTS
from songline.schemas.envelope import Event, encode, uuid7
from songline.schemas.events import SongPlayed
from songline.schemas.listening import is_listen

PARTITIONS = 4

Ints: TypeAlias = "np.ndarray[Any, np.dtype[np.int64]]"

_BLOCK = 50_000


def simulated(count: int, listeners: int, *, songs: int = 2_000, rate: float = 5_000.0, seed: int = 11) -> list[Event]:
    """`count` events of the simulator, which end about now; the uploads of its songs are left out."""
    config = SimulationConfig(rate=rate, listeners=listeners, songs=songs)
    start = datetime.now(UTC) - timedelta(seconds=count / rate)
    return [event for _, event in islice(Simulation(seed, start, config), songs, songs + count)]


def once_each(count: int, *, songs: int = 50_000) -> list[Event]:
    """A listen of each of `count` listeners, one second ago and before, 5,000 a second."""
    return list(Listens.drawn(np.arange(count), songs).events())


class Listens(Struct, frozen=True):
    """Listens in columns, of listeners and songs by number: as events they would not all fit into memory."""

    users: Ints
    songs: Ints
    start: datetime
    entropy: Ints

    @classmethod
    def drawn(cls, listeners: Ints, songs: int, seed: int = 5) -> Self:
        """A listen of each of `listeners`, 5,000 a second, the last one a second ago; songs follow Zipf's law."""
        random, count = np.random.default_rng(seed), len(listeners)
        weights = np.arange(1, songs + 1, dtype=np.float64) ** -0.9
        chosen = random.choice(songs, count, p=weights / weights.sum())
        start = datetime.now(UTC) - timedelta(seconds=1 + count / 5_000)
        return cls(listeners, chosen, start, random.integers(1 << 62, size=count))

    def __len__(self) -> int:
        return len(self.users)

    def events(self) -> Iterator[Event]:
        """The events, in order."""
        start_ms = int(self.start.timestamp() * 1_000)
        for begin in range(0, len(self), _BLOCK):
            block = slice(begin, begin + _BLOCK)
            columns = (column[block].tolist() for column in (self.users, self.songs, self.entropy))
            for number, (user, song, entropy) in enumerate(zip(*columns, strict=True), begin):
                yield Event(
                    id=uuid7(start_ms + number // 5, entropy),
                    source="/bench",
                    time=self.start + timedelta(milliseconds=number // 5),
                    data=SongPlayed(
                        user_id=f"user-{user}",
                        song_id=f"song-{song}",
                        played_ms=184_000,
                        duration_ms=201_000,
                        region="DE",
                        device="ios",
                    ),
                )


def acts_in(events: Iterable[Event]) -> int:
    """How many of the events change a library."""
    acting = {event.id for event in events if not isinstance(event.data, SongPlayed) or _is_listen(event.data)}
    return len(acting)


def _is_listen(play: SongPlayed) -> bool:
    return is_listen(play.played_ms, play.duration_ms)


def encode_v1(event: Event) -> bytes:
    """The event as the baseline reads it."""
    return as_v1(encode(event))


def as_v1(body: bytes) -> bytes:
    """The body of an event, of a play in the first version, whose fields are all there."""
    return body.replace(b'"songline.song.played.v2"', b'"songline.song.played.v1"')


def fill(
    settings: CloudSettings,
    events: Iterable[Event],
    partitions: int = PARTITIONS,
    to_bytes: Callable[[Event], bytes] = encode,
) -> None:
    """Write the events into `music-events`, each into the partition in which EventPublisher puts its listener's."""
    asyncio.run(_fill(settings, events, partitions, to_bytes))


async def publish_at(
    settings: CloudSettings, rate: float, events: Sequence[Event], to_bytes: Callable[[Event], bytes] = encode
) -> None:
    """Publish the events through EventPublisher, at `rate` events a second."""
    async with EventPublisher(settings.eventhubs) as publisher:
        begun = monotonic()
        waiting = []
        for number, event in enumerate(events):
            early_s = begun + number / rate - monotonic()
            if early_s > 0.002:
                await asyncio.sleep(early_s)
            waiting.append(await publisher.submit(to_bytes(event), event.partition_key))
        outcomes = await asyncio.gather(*waiting)
    assert set(outcomes) <= {"sent"}, set(outcomes)


async def _fill(
    settings: CloudSettings, events: Iterable[Event], partitions: int, to_bytes: Callable[[Event], bytes]
) -> None:
    resolver = PartitionResolver([str(number) for number in range(partitions)])  # type: ignore[no-untyped-call]
    partition_of = lru_cache(2_000_000)(resolver.get_partition_id_by_partition_key)
    async with filling_producer(settings) as producer:
        await send_bodies(producer, MUSIC_EVENTS, partitions, _placed(events, partition_of, to_bytes))


def _placed(
    events: Iterable[Event], partition_of: Any, to_bytes: Callable[[Event], bytes]
) -> Iterator[tuple[int, bytes]]:
    for event in events:
        yield int(partition_of(event.partition_key)), to_bytes(event)
