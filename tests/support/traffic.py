"""Live traffic for a long time: events of every kind that change a projection, at a rate that is counted."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from azure.eventhub import EventData
from azure.eventhub.aio import EventHubProducerClient

from songline.cloud import kafka
from songline.cloud.settings import CloudSettings
from songline.schemas.channels import MUSIC_EVENTS
from songline.schemas.envelope import Event, encode
from songline.schemas.events import Payload, SongLiked, SongPlayed, SongRemoved, SongUnliked, SongUploaded

PARTITIONS = 4
PAUSE_S = 0.2
BATCH_MAX = 1_000
LARGE = 20_000
"""From so many events on, a world is large."""

NONSENSE = b"\xffnonsense"
REGIONS = ("DE", "FR", "US", None)
GENRES = ("house", "folk", None)


class Inventor:
    """Events of the listeners of each partition, by a seed. There are more listeners and songs for more `events`.

    A song has a few uploaders, and with `sole_uploaders` one. A listener is in one partition, as publishers send. In a
    large world one event in a hundred is about a song's facts, and some hundreds are nonsense.
    """

    def __init__(self, seed: int, events: int, *, sole_uploaders: bool = False) -> None:
        self._chance = random.Random(seed)
        self._listeners = 4 + events // 400
        self._songs = 8 + events // 4_000
        uploads, removals = (4, 1) if events < LARGE else (1, 0.25)
        self._weights = (100, 20, 10, uploads, removals)
        self._nonsense = min(0.005, 200 / max(1, events))
        self._sole_uploaders = sole_uploaders
        self._number = 0
        self._last: dict[int, Event] = {}

    def body(self, partition: int, time_: datetime) -> bytes:
        """The next event of a partition, which now and then comes twice, and now and then is none."""
        chance = self._chance.random()
        if chance < self._nonsense:
            return NONSENSE
        if chance < 0.03 and partition in self._last:
            return encode(self._last[partition])
        self._last[partition] = self._event(partition, time_)
        return encode(self._last[partition])

    def _event(self, partition: int, time_: datetime) -> Event:
        chance, number = self._chance, self._number
        self._number += 1
        user = f"user-{chance.randrange(self._listeners) * PARTITIONS + partition}"
        song = f"song-{chance.randrange(self._songs) * PARTITIONS + chance.randrange(PARTITIONS)}"
        own = f"song-{chance.randrange(self._songs) * PARTITIONS + partition}"
        uploaded, uploader = (own, f"maker-{own}") if self._sole_uploaders else (song, f"maker-{partition}")
        kinds: list[Callable[[], Payload]] = [
            lambda: SongPlayed(
                user_id=user,
                song_id=song,
                played_ms=chance.choice((9_000, 40_000)),
                duration_ms=90_000,
                region=chance.choice(REGIONS),
            ),
            lambda: SongLiked(user_id=user, song_id=song),
            lambda: SongUnliked(user_id=user, song_id=song),
            lambda: SongUploaded(
                user_id=uploader,
                song_id=uploaded,
                title=f"Title {number}",
                artist="Nova",
                genre=chance.choice(GENRES),
                duration_ms=90_000,
            ),
            lambda: SongRemoved(user_id=uploader, song_id=uploaded),
        ]
        data = chance.choices(kinds, weights=self._weights)[0]()
        return Event(id=f"event-{number}", source="/tests", time=time_, data=data)


class Traffic:
    """Events into `music-events`: `acknowledged` so far, `rate` a second of those that were sent at a rate."""

    def __init__(self, producer: EventHubProducerClient, inventor: Inventor) -> None:
        self._producer = producer
        self._inventor = inventor
        self.acknowledged = 0
        self.rate = 0.0

    async def fill(self, settings: CloudSettings, count: int, span_s: int) -> None:
        """Send so many events of the last `span_s` seconds, as fast as the hub takes them."""
        begin, step = datetime.now(UTC) - timedelta(seconds=span_s), timedelta(seconds=span_s / count)
        # Larger batches than an SDK for Event Hubs sends, filled here: millions of events are to be there in minutes.
        producer = kafka.producer(settings.eventhubs, max_batch_size=200_000)
        await producer.start()
        try:
            batches = [producer.create_batch() for _ in range(PARTITIONS)]
            sent = []
            for number in range(count):
                partition = number % PARTITIONS
                body = self._inventor.body(partition, begin + number * step)
                if batches[partition].append(key=None, value=body, timestamp=None) is None:
                    full, batches[partition] = batches[partition], producer.create_batch()
                    sent.append(await producer.send_batch(full, MUSIC_EVENTS, partition=partition))
                    batches[partition].append(key=None, value=body, timestamp=None)
            for partition, rest in enumerate(batches):
                if rest.record_count():
                    sent.append(await producer.send_batch(rest, MUSIC_EVENTS, partition=partition))
            await asyncio.gather(*sent)
            self.acknowledged += count
        finally:
            await producer.stop()

    async def send(self, count: int) -> None:
        """Send so many events of now."""
        for partition, size in enumerate(_shares(count)):
            now = datetime.now(UTC)
            bodies = [self._inventor.body(partition, now) for _ in range(size)]
            if bodies:
                await self._producer.send_batch([EventData(one) for one in bodies], partition_id=str(partition))
                self.acknowledged += size

    @asynccontextmanager
    async def running(self, rate: int) -> AsyncIterator[None]:
        """Send `rate` events a second while the context lasts. What a moment could not send, the next ones do."""
        before, began_s = self.acknowledged, time.monotonic()
        is_over = asyncio.Event()

        async def run() -> None:
            while not is_over.is_set():
                due = int(rate * (time.monotonic() - began_s)) - (self.acknowledged - before)
                await self.send(min(due, PARTITIONS * BATCH_MAX))
                await asyncio.sleep(PAUSE_S)

        sending = asyncio.create_task(run())
        try:
            yield
            assert not sending.done(), sending
            self.rate = (self.acknowledged - before) / (time.monotonic() - began_s)
        finally:
            # It ends by itself: the SDK may swallow a cancellation, and sending would go on for good.
            is_over.set()
            await sending


def _shares(count: int) -> Iterator[int]:
    return (count // PARTITIONS + (partition < count % PARTITIONS) for partition in range(PARTITIONS))
