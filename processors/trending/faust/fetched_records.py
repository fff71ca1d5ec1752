"""The records that aiokafka fetched of one partition, read from its record batches into columns.

A hub that is not compacted has no gap between offsets, and none is passed over here: a fetch ends before the gap, so
that the partition is fetched again from there. Source: Event Hubs gives a partition's events consecutive sequence
numbers, and its Kafka offsets are these; so a batch that has as many records as offsets says the offset of each.
Control batches, which hold no event, take an offset each as in Kafka.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from aiokafka.errors import CorruptRecordException
from msgspec import Struct

from songline.processors.trending.faust.batch import Batch, ChangeBatch
from songline.processors.trending.faust.record_batches import (
    MAX_TIMESTAMP_MS,
    UnreadableError,
    columns_of,
    is_intact,
    next_batch,
    records_of,
)

MOST_UNPACKED_BYTES = 32 * 1024 * 1024
"""A fetch ends behind the batch with which so much was unpacked; the rest is fetched again. Fetches that are not packed
are smaller (`settings.fetch_bytes`), and one that is may have a thousand times its bytes."""


class UnpackedBytes:
    """How much of a fetch was packed, as it is when it is unpacked."""

    def __init__(self) -> None:
        self._size_bytes = 0

    @property
    def are_many(self) -> bool:
        """Whether a fetch has enough by that."""
        return self._size_bytes >= MOST_UNPACKED_BYTES

    def add(self, batch: Any, values: Iterable[bytes | None]) -> None:
        """Count the values of a batch, if it was packed."""
        if batch.compression_type:
            self._size_bytes += sum(len(value) for value in values if value)


class OffsetGap(Struct, frozen=True):
    """A gap in a partition: `expected` is the offset that is missing, `seen` says what is in its place."""

    expected: int
    seen: str


class FetchedRecords:
    """All records of one fetch, in the place of aiokafka's iterator of records; iterating yields one `Batch`.

    `gap` is where it ended, None where it came to its end. `now_ms` is the wall clock's: where a hub keeps
    its senders' timestamps, none of them is later than that.
    """

    def __init__(self, records: Any, now_ms: int) -> None:
        self._records = without_cycle(records)
        self._now_ms = now_ms
        self.gap: OffsetGap | None = None
        self.size_bytes: int = records._records.size_in_bytes()

    @property
    def next_fetch_offset(self) -> int:
        offset: int = self._records.next_fetch_offset
        return offset

    def __iter__(self) -> Iterator[Batch]:
        source = self._records
        begin = source.next_fetch_offset
        offsets: list[int] = []
        logged: list[int] = []
        bodies: list[bytes] = []
        unreadable: dict[int, str] = {}
        unpacked = UnpackedBytes()
        while not unpacked.are_many and source._records.has_next():
            batch = next_batch(source._records)
            expected = source.next_fetch_offset
            if batch is None or (source._check_crcs and not is_intact(batch)) or batch.last_offset_delta < 0:
                self.gap = OffsetGap(expected, "a batch that is damaged")
                break
            if batch.next_offset <= expected:
                continue
            if batch.base_offset > expected:
                self.gap = OffsetGap(expected, f"offset {batch.base_offset}")
                break
            if not batch.is_control_batch:
                try:
                    some_logged, some_bodies = columns_of(batch, source._records.raw)
                except UnreadableError as error:
                    unreadable[len(bodies)] = f"{batch.next_offset - batch.base_offset} records: {error}"
                    offsets.append(max(batch.base_offset, expected))
                    logged.append(batch.max_timestamp)
                    bodies.append(bytes(source._records.raw))
                else:
                    whole = batch.next_offset - batch.base_offset
                    if len(some_bodies) != whole:
                        self.gap = OffsetGap(expected, f"{len(some_bodies)} of {whole} records")
                        break
                    unpacked.add(batch, some_bodies)
                    read_before = expected - batch.base_offset
                    offsets += range(expected, batch.next_offset)
                    logged += some_logged[read_before:]
                    bodies += some_bodies[read_before:]
            source.next_fetch_offset = batch.next_offset
        yield Batch(begin, source.next_fetch_offset, offsets, moments(logged, self._now_ms), bodies, unreadable)


class FetchedChanges:
    """All records of one fetch of a changelog, in the place of aiokafka's iterator of records; iterating yields one
    `ChangeBatch`.

    A record batch that can't be read is passed over; `unreadable` is called with partition, offset, bytes and reason.
    """

    def __init__(self, records: Any, unreadable: Callable[[Any, int, bytes, str], None]) -> None:
        self._records = without_cycle(records)
        self._unreadable = unreadable

    @property
    def next_fetch_offset(self) -> int:
        offset: int = self._records.next_fetch_offset
        return offset

    def __iter__(self) -> Iterator[ChangeBatch]:
        source = self._records
        begin = source.next_fetch_offset
        found: list[Any] = []
        unpacked = UnpackedBytes()
        while not unpacked.are_many and source._records.has_next():
            batch = source._records.next_batch()
            if source._check_crcs and not is_intact(batch):
                raise CorruptRecordException(f"invalid checksum in {source._tp}")
            if not batch.is_control_batch:
                try:
                    records = records_of(batch, source._records.raw)
                except UnreadableError as error:
                    self._unreadable(source._tp, batch.base_offset, bytes(source._records.raw), str(error))
                    records = ()
                unpacked.add(batch, (record.value for record in records))
                found += [record for record in records if record.offset >= source.next_fetch_offset]
            source.next_fetch_offset = batch.next_offset
        yield changes_of(begin, source.next_fetch_offset, found)


def changes_of(begin: int, end: int, records: list[Any]) -> ChangeBatch:
    """The changes from `begin` up to `end` in `records`, which have an offset, a timestamp, a key and a value."""
    return ChangeBatch(
        begin,
        end,
        [record.offset for record in records],
        [-1 if record.timestamp is None else record.timestamp for record in records],
        [record.key for record in records],
        [record.value for record in records],
    )


def batch_of(found: list[Any], now_ms: int) -> Batch:
    """The batch of a fetch. Records that came after the fetch was wrapped are still single ones."""
    if isinstance(found[0], Batch):
        batch: Batch = found[0]
        return batch
    # What stands behind a gap is left out: the next batch doesn't follow on this one then, and is read again.
    begin = found[0].offset
    found = [record for place, record in enumerate(found) if record.offset == begin + place]
    return Batch(
        begin,
        found[-1].offset + 1,
        [record.offset for record in found],
        moments([record.timestamp for record in found], now_ms),
        [record.value or b"" for record in found],
    )


def change_batch_of(found: list[Any]) -> ChangeBatch:
    """The changes of a fetch, also of one that came after the fetch was wrapped."""
    if isinstance(found[0], ChangeBatch):
        changes: ChangeBatch = found[0]
        return changes
    return changes_of(found[0].offset, found[-1].offset + 1, found)


def without_cycle(records: Any) -> Any:
    """aiokafka's PartitionRecords without the generator in it, which is not used here and refers to them: the bytes of
    each fetch would stay until the collector of cycles runs, which is seldom."""
    records._records_iterator = None
    return records


def moments(logged: list[int], now_ms: int) -> list[int]:
    """Timestamps up to now, -1 for those that no moment can have: a sender may write any number.

    A time in the future would let events in that are dated after it, and would be a watermark that is too high.
    """
    if logged and not (min(logged) >= -1 and max(logged) <= now_ms):
        return [min(ms, now_ms) if 0 <= ms <= MAX_TIMESTAMP_MS else -1 for ms in logged]
    return logged
