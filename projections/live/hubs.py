"""Counts the events of the hubs, and those of `music-events` by kind.

The end offsets of all hubs take one Kafka request a sample, at any rate of events. The kinds take reading the events.
If there are more than BUDGET, only the newest are read, and the others are estimated from them.
"""

import asyncio
from collections import Counter
from collections.abc import Callable

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError
from msgspec import Struct

from songline.cloud.kafka import client_options
from songline.cloud.settings import EventHubsSettings
from songline.projections.live.snapshot import KIND_NAMES, Sample, apportioned
from songline.schemas.channels import CATALOG, MUSIC_EVENTS, NOW_PLAYING, TRENDING_PARTIALS, TRENDING_TOPS
from songline.schemas.decoding import Decoder
from songline.schemas.errors import PoisonError

SHOWN = (MUSIC_EVENTS, TRENDING_PARTIALS, TRENDING_TOPS, CATALOG, NOW_PLAYING)
BUDGET = 1000
"""The most events that a sample reads. At 2 µs an event, a sample costs a few milliseconds at most."""
PATIENCE_S = 3.0
READING_S = 0.3
# Bounds what the client prefetches; a sample skips what exceeds the budget.
_FETCH_BYTES = 64 * 1024


class HubsUnreachableError(Exception):
    """The hubs don't answer. The next sample tries again."""


class _Typed(Struct):
    type: str


_types = Decoder(_Typed)


class HubCounter:
    """Samples the hubs of a namespace. It joins no consumer group, so it causes no rebalance."""

    def __init__(self, settings: EventHubsSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._consumer: AIOKafkaConsumer | None = None
        self._kinds: dict[str, float] = dict.fromkeys(KIND_NAMES.values(), 0.0)
        self._read: dict[TopicPartition, int] = {}

    async def count(self) -> Sample:
        """A sample of the hubs now. Raises HubsUnreachableError."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                consumer = self._consumer or await self._connect()
                partitions = list(consumer.assignment())
                # A client that was told of no such hub once would read nothing of it for minutes.
                if unknown := set(SHOWN) - {tp.topic for tp in partitions}:
                    raise UnknownTopicOrPartitionError(", ".join(sorted(unknown)))
                # The other hubs need end offsets only.
                consumer.pause(*(tp for tp in partitions if tp.topic != MUSIC_EVENTS))
                ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
                sampled = await self._count(consumer, {tp: end for tp, end in ends.items() if tp.topic == MUSIC_EVENTS})
        except (KafkaError, OSError, TimeoutError) as error:
            await self.close()
            raise HubsUnreachableError(f"Event Hubs can't be reached over Kafka ({type(error).__name__})") from error
        found: dict[str, dict[int, int]] = {name: {} for name in SHOWN}
        for tp, end in ends.items():
            found[tp.topic][tp.partition] = end - 1
        return Sample(self._clock(), found, dict(self._kinds), sampled)

    async def close(self) -> None:
        """Close the client. The next sample opens another."""
        consumer, self._consumer = self._consumer, None
        self._read.clear()
        if consumer is not None:
            await consumer.stop()

    async def _connect(self) -> AIOKafkaConsumer:
        # The client is stored before it starts, so that `close` also closes one that can't start. Without a group, a
        # subscription covers all partitions, including those that are added later.
        consumer = self._consumer = AIOKafkaConsumer(
            *SHOWN,
            **client_options(self._settings),
            enable_auto_commit=False,
            max_partition_fetch_bytes=_FETCH_BYTES,
        )
        await consumer.start()
        return consumer

    async def _count(self, consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int]) -> bool:
        """Count the events since the last sample by kind; return whether some are estimated."""
        new = {tp: end - self._read.get(tp, end) for tp, end in ends.items()}
        share = BUDGET // max(1, len(ends))
        wanted: dict[TopicPartition, int] = {}
        for tp, end in ends.items():
            wanted[tp] = max(end - share, self._read.get(tp, end))
            if self._read.get(tp) != wanted[tp]:
                consumer.seek(tp, wanted[tp])
        counted = await self._kinds_of(consumer, ends, wanted)
        for kind, number in apportioned(sum(new.values()), counted).items():
            self._kinds[kind] = self._kinds.get(kind, 0.0) + number
        self._read = dict(ends)
        return sum(counted.values()) < sum(new.values())

    async def _kinds_of(
        self, consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int], begin: dict[TopicPartition, int]
    ) -> Counter[str]:
        counted: Counter[str] = Counter()
        reached = dict(begin)
        until = asyncio.get_running_loop().time() + READING_S
        while any(reached[tp] < end for tp, end in ends.items()):
            left = until - asyncio.get_running_loop().time()
            if left <= 0:
                break
            batches = await consumer.getmany(*ends, timeout_ms=int(left * 1000), max_records=BUDGET)
            for tp, records in batches.items():
                for record in records:
                    if begin[tp] <= record.offset < ends[tp]:
                        counted[_kind(record.value)] += 1
                    reached[tp] = max(reached[tp], record.offset + 1)
        for tp, end in ends.items():
            if reached[tp] != end:
                consumer.seek(tp, end)
        return counted


def _kind(body: bytes | None) -> str:
    """The kind under which an event is counted; "" for an unknown kind or a body that is no event."""
    try:
        return KIND_NAMES.get(_types.decode(body).type, "")
    except PoisonError:
        return ""
