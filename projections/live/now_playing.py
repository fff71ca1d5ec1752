"""What is playing at this moment, to whoever listens. Nothing of it is stored: who comes later has missed it."""

import asyncio
import logging
from collections import OrderedDict, defaultdict, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

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
"""Listeners whose songs are shown to those who look now and then."""
HEARTBEAT = 15.0
AGAIN_S = 2.0


class Playing(Struct, frozen=True, kw_only=True, rename="camel"):
    """A listener began to play a song at a moment."""

    user_id: Id
    song_id: Id
    at: Moment


class NowPlayingReader:
    """What one listener has still to read: the newest BACKLOG events. Who reads slowly misses the oldest."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque(maxlen=BACKLOG)
        self._stirred = asyncio.Event()

    def feed(self, chunk: bytes) -> None:
        self._waiting.append(chunk)
        self._stirred.set()

    async def read(self, patience_s: float) -> bytes:
        """Everything that waits, as soon as there is something; nothing after `patience_s`."""
        try:
            async with asyncio.timeout(patience_s):
                await self._stirred.wait()
        except TimeoutError:
            return b""
        self._stirred.clear()
        read = b"".join(self._waiting)
        self._waiting.clear()
        return read


class Broadcast:
    """Passes on what is playing to those who listen, to all of it or to one user's. It never waits for any of them."""

    def __init__(self, most: int = LISTENERS) -> None:
        self._most = most
        self._ears: defaultdict[str | None, set[NowPlayingReader]] = defaultdict(set)
        self._newest: OrderedDict[str, Playing] = OrderedDict()

    @property
    def is_full(self) -> bool:
        return sum(map(len, self._ears.values())) >= self._most

    @property
    def newest(self) -> tuple[Playing, ...]:
        """What the NEWEST listeners who began a song last are playing, the newest first."""
        return tuple(reversed(self._newest.values()))

    @contextmanager
    def listening(self, user_id: str | None) -> Iterator[NowPlayingReader]:
        """An reader for `user_id`, or for everybody."""
        reader = NowPlayingReader()
        self._ears[user_id].add(reader)
        try:
            yield reader
        finally:
            self._ears[user_id].discard(reader)
            if not self._ears[user_id]:
                del self._ears[user_id]

    def publish(self, playing: Playing) -> None:
        self._newest[playing.user_id] = playing
        self._newest.move_to_end(playing.user_id)
        if len(self._newest) > NEWEST:
            self._newest.popitem(last=False)
        ears = [*self._ears.get(None, ()), *self._ears.get(playing.user_id, ())]
        if not ears:
            return
        chunk = format_sse_event(event="playing", data_str=msgspec.json.encode(playing).decode())
        for reader in ears:
            reader.feed(chunk)


async def stream(broadcast: Broadcast, user_id: str | None, heartbeat: float = HEARTBEAT) -> AsyncIterator[bytes]:
    """Server-sent events without end, a comment in every quiet `heartbeat` seconds.

    Source: HTML Living Standard, section 9.2 (server-sent events).
    """
    with broadcast.listening(user_id) as reader:
        yield format_sse_event(comment="listening")
        while True:
            yield await reader.read(heartbeat) or format_sse_event(comment="nothing")


async def follow(settings: EventHubsSettings, broadcast: Broadcast) -> None:
    """Tell what comes into the hub from now on, until cancelled. A record that is no event of ours is passed over.

    Over the Kafka endpoint and without a group: every process reads all of it, and nobody remembers how far. The AMQP
    client would open a connection for each partition, and try ten times a second while the hub is away.
    """
    while True:
        consumer = AIOKafkaConsumer(
            NOW_PLAYING, **client_options(settings), auto_offset_reset="latest", enable_auto_commit=False
        )
        try:
            await consumer.start()
            async for record in consumer:
                publish_record(record, broadcast)
        except (KafkaError, OSError) as error:
            logger.info("listening again: %s: %s", type(error).__name__, error)
        except Exception:
            # Not foreseen. Who listens is not to be deaf until somebody starts the API again.
            logger.exception("listening again")
        finally:
            await consumer.stop()
        await asyncio.sleep(AGAIN_S)


def publish_record(record: "ConsumerRecord[bytes, bytes]", broadcast: Broadcast) -> None:
    """Pass the record on; one that can't be understood is said, and passed over."""
    try:
        heard = decode(record.value)
    except PoisonError as poison:
        _passed_over.report(f"{record.topic} {record.partition}:{record.offset}", poison)
        return
    broadcast.publish(Playing(user_id=heard.data.user_id, song_id=heard.data.song_id, at=heard.time))
