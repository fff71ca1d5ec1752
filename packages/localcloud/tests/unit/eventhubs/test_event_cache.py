"""The events that readers of a partition share: what they take in memory is bounded."""

import tracemalloc
from pathlib import Path
from typing import cast

from aiokafka.record.default_records import DefaultRecordBatchBuilder

from localcloud.eventhubs.event_reader import EventCache
from localcloud.log.batch import build, placed
from localcloud.log.partition import PartitionLog
from localcloud.log.segment import StoredBatch
from localcloud_tests.support.kafka_requests import with_deltas

PARTITION = cast("PartitionLog", Path("partition"))


def stored(offset: int, events: int, size: int) -> StoredBatch:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 30)
    for number in range(events):
        builder.append(number, 1, None, b"e" * size, [])
    data = bytearray(builder.build())
    data[:8] = offset.to_bytes(8)
    return StoredBatch(offset, offset + events - 1, 1, bytes(data))


def held_bytes(cache: EventCache, events: int, size: int, batches: int) -> int:
    """Bytes that the cache holds once it was asked for so many batches."""
    tracemalloc.start()
    try:
        for number in range(batches):
            cache.events(PARTITION, stored(number * events, events, size))
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def test_the_cache_stays_small_however_much_is_read() -> None:
    assert held_bytes(EventCache(), events=500, size=1_000, batches=40) < 10 << 20


def test_tiny_events_count_as_what_they_take() -> None:
    assert held_bytes(EventCache(1 << 20), events=500, size=1, batches=30) < 1.3 * (1 << 20)


def test_a_batch_is_translated_once_for_readers_that_keep_up() -> None:
    cache = EventCache(1 << 20)
    batch = stored(0, 3, 10)
    assert cache.events(PARTITION, batch) is cache.events(PARTITION, batch)
    assert cache.events(PARTITION, batch).offsets == [0, 1, 2]


def test_what_a_kafka_client_writes_into_a_record_is_no_offset() -> None:
    """Readers go on behind the offset of the last event that they got."""
    data = with_deltas(build([(None, b"a"), (None, b"b")], 1), [(2**40, 0), (-7, 0)])
    batch = StoredBatch(5, 6, 1, placed(data, 5))
    assert EventCache(1 << 20).events(PARTITION, batch).offsets == [5, 6]
