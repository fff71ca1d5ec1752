"""Broadcasts what is playing now to the connected clients. Nothing is stored: later clients miss it."""

import asyncio
import logging
from collections import OrderedDict, defaultdict, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from itertools import islice

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.errors import KafkaError
from fastapi.sse import format_sse_event
from msgspec import Struct

from songline.cloud.kafka import client_options
from songline.cloud.settings import EventHubsSettings
from songline.projections.passed_over import PassedOver
from songline.schemas.channels import NOW_PLAYING
from songline.schemas.errors import PoisonError
from songline.schemas.live import decode
from songline.schemas.types import Id, Moment

logger = logging.getLogger("songline.projections.live.now_playing")
_passed_over = PassedOver(logger)

LISTENERS = 1_000
BACKLOG = 100
NEWEST = 8
"""The number of listeners in `newest`, for the live feed."""
LAST = 10_000
"""So many listeners' last song is known."""
HEARTBEAT = 15.0
WAIT_MS = 5_000
"""So long a fetch waits for an event, which it brings at once. By itself aiokafka asks twice a second."""
AGAIN_S = 2.0


class Playing(Struct, frozen=True, kw_only=True, rename="camel"):
    """A listener started a song at the moment `at`."""

    user_id: Id
    song_id: Id
    at: Moment


class NowPlayingReader:
    """The unread events of one client: the newest BACKLOG. A slow client misses the oldest."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque(maxlen=BACKLOG)
        self._has_news = asyncio.Event()

    def feed(self, chunk: bytes) -> None:
        """Add an event, as bytes of the stream."""
        self._waiting.append(chunk)
        self._has_news.set()

    async def read(self, patience_s: float) -> bytes:
        """All unread events, as soon as there is one; empty after `patience_s` seconds."""
        try:
            async with asyncio.timeout(patience_s):
                await self._has_news.wait()
        except TimeoutError:
            return b""
        self._has_news.clear()
        read = b"".join(self._waiting)
        self._waiting.clear()
        return read


class Broadcast:
    """Passes on what is playing to its readers: of all listeners, or of one. It never waits for a reader."""

    def __init__(self, most: int = LISTENERS) -> None:
        self._most = most
        self._readers: defaultdict[str | None, set[NowPlayingReader]] = defaultdict(set)
        self._last: OrderedDict[str, Playing] = OrderedDict()

    @property
    def is_full(self) -> bool:
        """Whether there are as many readers as one process serves."""
        return sum(map(len, self._readers.values())) >= self._most

    @property
    def newest(self) -> tuple[Playing, ...]:
        """The songs of the NEWEST listeners that started one last, newest first."""
        return tuple(islice(reversed(self._last.values()), NEWEST))

    @property
    def last(self) -> Iterator[Playing]:
        """The last song of each listener, newest first, of LAST listeners at most."""
        return reversed(self._last.values())

    def last_of(self, user_id: str) -> Playing | None:
        """The song that the listener started last, since this process began; None where it is not known."""
        return self._last.get(user_id)

    @contextmanager
    def listening(self, user_id: str | None) -> Iterator[NowPlayingReader]:
        """A reader of the songs of `user_id`, or of all listeners for None."""
        reader = NowPlayingReader()
        self._readers[user_id].add(reader)
        try:
            yield reader
        finally:
            self._readers[user_id].discard(reader)
            if not self._readers[user_id]:
                del self._readers[user_id]

    def publish(self, playing: Playing) -> None:
        """Pass `playing` on to the readers of its listener and to those of all listeners."""
        self._last[playing.user_id] = playing
        self._last.move_to_end(playing.user_id)
        if len(self._last) > LAST:
            self._last.popitem(last=False)
        readers = [*self._readers.get(None, ()), *self._readers.get(playing.user_id, ())]
        if not readers:
            return
        chunk = format_sse_event(event="playing", data_str=msgspec.json.encode(playing).decode())
        for reader in readers:
            reader.feed(chunk)


async def stream(broadcast: Broadcast, user_id: str | None, heartbeat: float = HEARTBEAT) -> AsyncIterator[bytes]:
    """Server-sent events without end, with a comment after `heartbeat` seconds without an event.

    Source: HTML Living Standard, section 9.2 (server-sent events).
    """
    with broadcast.listening(user_id) as reader:
        yield format_sse_event(comment="listening")
        while True:
            yield await reader.read(heartbeat) or format_sse_event(comment="nothing")


async def follow(settings: EventHubsSettings, broadcast: Broadcast) -> None:
    """Publish the events that the hub receives from now on, until cancelled. A record that is no such event is skipped.

    It reads over the Kafka endpoint without a group: every process reads all partitions and stores no position. The
    AMQP client would open a connection for each partition, and retry ten times a second while the hub is away.
    """
    while True:
        consumer = AIOKafkaConsumer(
            NOW_PLAYING,
            **client_options(settings),
            auto_offset_reset="latest",
            enable_auto_commit=False,
            fetch_max_wait_ms=WAIT_MS,
        )
        try:
            await consumer.start()
            async for record in consumer:
                publish_record(record, broadcast)
        except (KafkaError, OSError) as error:
            logger.info("reading %s again: %s: %s", NOW_PLAYING, type(error).__name__, error)
        except Exception:
            # An unexpected error must not end the broadcast until the API is restarted.
            logger.exception("reading %s again", NOW_PLAYING)
        finally:
            await consumer.stop()
        await asyncio.sleep(AGAIN_S)


def publish_record(record: "ConsumerRecord[bytes, bytes]", broadcast: Broadcast) -> None:
    """Publish the event in a record. One that breaks its contract is logged and skipped."""
    try:
        event = decode(record.value)
    except PoisonError as poison:
        _passed_over.report(f"{record.topic} {record.partition}:{record.offset}", poison)
        return
    broadcast.publish(Playing(user_id=event.data.user_id, song_id=event.data.song_id, at=event.time))
