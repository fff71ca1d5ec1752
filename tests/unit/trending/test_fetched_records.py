"""A fetch has no gap that is passed over, and no record batch in it stops the others."""

import gc
import weakref
import zlib
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from songline.processors.trending.faust import fetched_records, record_batches
from songline.processors.trending.faust.batch import Batch, ChangeBatch
from songline.processors.trending.faust.fetched_records import FetchedChanges, FetchedRecords, OffsetGap
from songline.processors.trending.faust.record_batches import MAX_TIMESTAMP_MS, RecordBytes

TP = TopicPartition("music-events", 0)
ATTRIBUTES_AT = 22
NOW_MS = 1_795_000_000_000


@given(st.lists(st.integers(1, 4), min_size=1, max_size=6), st.integers(0, 12), st.data())
def test_a_fetch_ends_in_front_of_a_gap_and_the_rest_is_fetched_again(
    sizes: list[int], start: int, data: st.DataObject
) -> None:
    batches, base = [], 0
    for size in sizes:
        batches.append(record_batch(base, size))
        base += size
    missing = data.draw(st.integers(0, len(batches) - 1))
    start = min(start, base - 1)
    bases = [sum(sizes[:place]) for place in range(len(sizes) + 1)]
    with_gap = b"".join(batches[:missing] + batches[missing + 1 :])
    taken, gap, end = fetch(with_gap, start)
    if start >= bases[missing + 1]:
        assert (taken, gap) == (list(range(start, base)), None)
    elif missing == len(batches) - 1:
        assert (taken, gap) == (list(range(start, bases[missing])), None)
    else:
        assert taken == list(range(start, bases[missing]))
        assert gap is not None
        assert gap.expected == end == max(start, bases[missing])
        assert fetch(b"".join(batches), end)[0] == list(range(end, base))


def test_a_batch_in_which_a_record_is_missing_or_that_is_damaged_is_not_taken() -> None:
    lacking = bytearray(record_batch(3, 3))
    lacking[23:27] = (3).to_bytes(4, "big")
    damaged = bytearray(record_batch(3, 3))
    damaged[-1] ^= 1
    for bad, seen in ((sealed(lacking), "3 of 4 records"), (bytes(damaged), "a batch that is damaged")):
        taken, gap, end = fetch(record_batch(0, 3) + bad + record_batch(6, 2), 0)
        assert (taken, end) == ([0, 1, 2], 3)
        assert gap == OffsetGap(3, seen)


def test_control_batches_are_no_records_and_take_their_offsets() -> None:
    control = bytearray(record_batch(2, 1))
    control[ATTRIBUTES_AT] |= 0x20
    assert fetch(record_batch(0, 2) + sealed(control) + record_batch(3, 1), 0) == ([0, 1, 3], None, 4)


def test_a_header_that_is_not_utf8_costs_no_record() -> None:
    bad = record_batch(2, 2, headers=[("kkkk", b"v")]).replace(b"kkkk", b"\xff\xfe\xfd\xfc")
    (batch,) = fetched(record_batch(0, 2) + sealed(bytearray(bad)) + record_batch(4, 1), 0)
    assert batch.bodies == [b"0", b"1", b"2", b"3", b"4"]
    assert batch.logged_ms == [1000, 1001, 1002, 1003, 1004]
    assert not batch.unreadable


@pytest.mark.parametrize(
    ("attributes", "body", "why"),
    [
        (4, b"whatever", "compression 4"),
        (1, b"no gzip", "gzip"),
        (0, b"\xff" * 12, "a number of more than ten bytes"),
        (0, b"\x7e\x00", "a record is longer than its batch"),
        (0, b"", "the batch ends in the middle of a record"),
    ],
)
def test_a_batch_that_is_unreadable_is_one_body_and_costs_no_other(attributes: int, body: bytes, why: str) -> None:
    bad = remade(record_batch(2, 2), attributes, body)
    (batch,) = fetched(record_batch(0, 2) + bad + record_batch(4, 1), 0)
    assert batch.offsets == [0, 1, 2, 4]
    assert batch.bodies == [b"0", b"1", bad, b"4"]
    assert list(batch.unreadable) == [2]
    assert why in batch.unreadable[2]
    assert (batch.begin, batch.end) == (0, 5)


def test_gzip_is_read_up_to_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = record_batch(0, 40, codec=1)
    (batch,) = fetched(packed, 0)
    assert len(batch.bodies) == 40
    assert not batch.unreadable
    monkeypatch.setattr(record_batches, "MAX_UNPACKED_BYTES", 50)
    (batch,) = fetched(packed, 0)
    assert "more than 50 bytes" in batch.unreadable[0]
    headers = remade(packed, 1, gzipped(plain_body(2, b"\xff")))
    (batch,) = fetched(headers, 0)
    assert batch.unreadable


@pytest.mark.parametrize("behind", [b"\0\0", b"no gzip", b"\x1f", b"gzip again", b"half of it"])
def test_what_stands_behind_a_gzip_stream_stops_no_reader(behind: bytes) -> None:
    more = gzipped(b"x" * 1_000)
    behind = {b"gzip again": more, b"half of it": more[: len(more) // 2]}.get(behind, behind)
    plain = record_batch(2, 2)
    packed = remade(plain, 1, gzipped(plain[61:]) + behind)
    (batch,) = fetched(record_batch(0, 2) + packed + record_batch(4, 1), 0)
    assert batch == fetched(record_batch(0, 2) + plain + record_batch(4, 1), 0)[0]


@pytest.mark.parametrize(("codec", "taken"), [(1, 4), (0, 6)])
def test_a_fetch_ends_where_much_of_it_was_packed(codec: int, taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetched_records, "MOST_UNPACKED_BYTES", 3)
    data = b"".join(record_batch(base, 2, codec=codec) for base in (0, 2, 4))
    assert fetch(data, 0) == (list(range(taken)), None, taken)
    assert fetch(data, 4) == ([4, 5], None, 6), "the rest is fetched again"
    source = partition_records(data, 0)
    (changes,) = FetchedChanges(source, lambda *_: None)
    assert (list(changes.offsets), source.next_fetch_offset) == (list(range(taken)), taken)


def test_gzip_is_unpacked_once_and_nothing_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = record_batch(0, 2)
    monkeypatch.setattr(record_batches, "MAX_UNPACKED_BYTES", len(plain))
    large = remade(plain, 1, gzipped(plain[61:]) + gzipped(bytes(1_000_000)))
    with patch("gzip.GzipFile", side_effect=AssertionError):
        assert fetched(large, 0) == fetched(plain, 0)


records = st.tuples(
    st.none() | st.binary(max_size=9),
    st.none() | st.binary(max_size=9),
    st.lists(st.tuples(st.text("ä h", max_size=3), st.none() | st.binary(max_size=3)), max_size=2),
    st.integers(0, NOW_MS),
)
shapes = st.lists(
    st.tuples(st.lists(records, min_size=1, max_size=4), st.sampled_from([0, 1]), st.booleans()), min_size=1, max_size=4
)


@given(shapes, st.data())
def test_records_of_any_form_are_those_that_aiokafka_reads(
    batches: list[tuple[list[Any], int, bool]], data: st.DataObject
) -> None:
    whole = list[bytes]()
    base = 0
    for found, codec, has_append_time in batches:
        builder = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, -1, 100_000)
        for number, (key, value, headers, timestamp) in enumerate(found):
            builder.append(number, timestamp=timestamp, key=key, value=value, headers=headers)
        batch = bytearray(builder.build())
        batch[:8] = base.to_bytes(8, "big")
        batch[ATTRIBUTES_AT] |= 0x08 if has_append_time else 0
        whole.append(sealed(batch))
        base += len(found)
    # A fetch begins with the batch that has the offset that was asked for.
    start = data.draw(st.integers(0, len(batches[0][0]) - 1))
    joined = b"".join(whole)
    # A hub may cut a fetch off in the middle of its last batch.
    cut = joined[: len(joined) - data.draw(st.integers(0, len(whole[-1])))] if len(whole) > 1 else joined
    expected = list(partition_records(cut, start))
    (found_batch,) = fetched(cut, start)
    assert list(found_batch.offsets) == [one.offset for one in expected]
    assert list(found_batch.logged_ms) == [one.timestamp for one in expected]
    assert list(found_batch.bodies) == [one.value or b"" for one in expected]
    assert not found_batch.unreadable


def test_moments_that_no_clock_shows_are_none() -> None:
    (batch,) = fetched(record_batch(0, 1, timestamp=2**62) + record_batch(1, 1) + record_batch(2, 1, timestamp=-5), 0)
    assert batch.logged_ms == [-1, 1001, -1]
    assert fetched(record_batch(0, 1, timestamp=MAX_TIMESTAMP_MS), 0)[0].logged_ms == [NOW_MS], "it has not come yet"


def test_changes_are_read_as_aiokafka_reads_them_but_for_what_it_can_not_read() -> None:
    told: list[Any] = []
    bad = remade(record_batch(12, 2), 4, b"whatever")
    odd = sealed(bytearray(record_batch(20, 1, headers=[("kkkk", b"v")]).replace(b"kkkk", b"\xff\xfe\xfd\xfc")))
    source = partition_records(record_batch(10, 2) + bad + odd, 11)
    (found,) = FetchedChanges(source, lambda *told_of: told.append(told_of))
    # A compacted hub has gaps.
    assert found == ChangeBatch(11, 21, [11, 20], [1011, 1020], [None, None], [b"11", b"20"])
    assert [(tp, offset, raw) for tp, offset, raw, _ in told] == [(TP, 12, bad)]
    assert source.next_fetch_offset == 21
    damaged = bytearray(record_batch(0, 1))
    damaged[-1] ^= 1
    with pytest.raises(CorruptRecordException):
        list(FetchedChanges(partition_records(bytes(damaged), 0), lambda *_: None))


def test_changes_end_behind_a_batch_that_can_not_be_read() -> None:
    bad = remade(record_batch(12, 2), 4, b"whatever")
    (found,) = FetchedChanges(partition_records(bad, 12), lambda *_: None)
    # Who recovers a changelog waits for its last offset.
    assert found == ChangeBatch(12, 14, [], [], [], [])


@given(st.binary(max_size=80), st.sampled_from([0, 1, 4]))
def test_no_bytes_stop_the_reader(body: bytes, attributes: int) -> None:
    bad = remade(record_batch(1, 3), attributes, body)
    (batch,) = fetched(record_batch(0, 1) + bad + record_batch(4, 1), 0)
    assert batch.bodies[0] == b"0"
    assert batch.end == 5 or batch.end == 1


def test_parts_of_a_batch_follow_on_each_other() -> None:
    whole = Batch(3, 9, [4, 5, 8], [1, 2, 3], [b"a", b"b", b"c"], {1: "why"})
    one, other = whole.part(0, 1), whole.part(1, 3)
    assert one == Batch(3, 5, [4], [1], [b"a"])
    assert other == Batch(5, 9, [5, 8], [2, 3], [b"b", b"c"], {0: "why"})


def fetched(data: bytes, start: int) -> list[Batch]:
    return list(FetchedRecords(partition_records(data, start), NOW_MS))


def fetch(data: bytes, start: int) -> tuple[list[int], OffsetGap | None, int]:
    found = FetchedRecords(partition_records(data, start), NOW_MS)
    (batch,) = found
    assert batch.begin == start
    assert batch.end == found.next_fetch_offset
    return list(batch.offsets), found.gap, batch.end


@pytest.mark.parametrize("wrap", [lambda one: FetchedRecords(one, NOW_MS), lambda one: FetchedChanges(one, print)])
def test_the_bytes_of_a_fetch_go_without_the_collector_of_cycles(wrap: Callable[[Any], Any]) -> None:
    gc.disable()
    try:
        found = partition_records(record_batch(0, 2), 0)
        kept = weakref.ref(found)
        list(wrap(found))
        del found
        assert kept() is None
    finally:
        gc.enable()


def partition_records(data: bytes, start: int) -> Any:
    return PartitionRecords(TP, RecordBytes(data), None, start, None, None, True, 0)


def record_batch(
    base: int, count: int, headers: list[tuple[str, bytes]] | None = None, codec: int = 0, timestamp: int | None = None
) -> bytes:
    builder = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, -1, 100_000)
    for number in range(count):
        offset = base + number
        moment = 1000 + offset if timestamp is None else timestamp
        builder.append(number, timestamp=moment, key=None, value=str(offset).encode(), headers=headers or [])
    data = bytearray(builder.build())
    data[:8] = base.to_bytes(8, "big")
    return bytes(data)


def remade(batch: bytes, attributes: int, body: bytes) -> bytes:
    """The batch with other records, compressed as `attributes` says."""
    data = bytearray(batch[:61] + body)
    data[8:12] = (len(data) - 12).to_bytes(4, "big")
    data[ATTRIBUTES_AT] = attributes
    return sealed(data)


def sealed(data: bytearray) -> bytes:
    data[17:21] = calc_crc32c(bytes(data[21:])).to_bytes(4, "big")
    return bytes(data)


def gzipped(body: bytes) -> bytes:
    pack = zlib.compressobj(wbits=31)
    return pack.compress(body) + pack.flush()


def plain_body(count: int, key: bytes) -> bytes:
    return b"".join(b"\x0e\x00\x00" + bytes([2 * number]) + b"\x02" + key + b"\x00\x00" for number in range(count))
