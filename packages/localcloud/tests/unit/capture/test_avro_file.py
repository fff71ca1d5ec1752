"""The bytes of Capture's files, as fastavro reads them."""

from io import BytesIO
from typing import Any
from uuid import UUID

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.amqp.codec import encode
from localcloud.amqp.types import (
    Array,
    Char,
    Decimal64,
    Described,
    Float,
    Int,
    Symbol,
    Timestamp,
    Ubyte,
    Uint,
    Ulong,
    Value,
)
from localcloud.capture.avro_file import SCHEMA, encode_long, file_block, file_header
from localcloud.capture.event_fields import avro_value, encode_records
from localcloud.eventhubs.event_records import record_batch
from localcloud.eventhubs.record_headers import Headers
from localcloud.log.batch import build, placed
from localcloud.log.segment import StoredBatch
from localcloud_tests.support.capture import rows

SYNC = b"0123456789abcdef"
AT_MS = 1_700_000_001_987


def stored(records: list[tuple[bytes | None, bytes | None, Headers]], base: int = 0) -> StoredBatch:
    return StoredBatch(base, base + len(records) - 1, AT_MS, placed(record_batch(records, AT_MS), base))


def read(*batches: StoredBatch, codec: str = "null") -> list[dict[str, Any]]:
    data = file_header(codec, SYNC) + b"".join(file_block(*encode_records(batch), codec, SYNC) for batch in batches)
    return rows(data)


@given(st.integers(-(2**63), 2**63 - 1))
def test_a_long_is_encoded_as_fastavro_does(value: int) -> None:
    out = BytesIO()
    fastavro.schemaless_writer(out, "long", value)
    assert encode_long(value) == out.getvalue()


@pytest.mark.parametrize("codec", ["null", "deflate"])
def test_a_file_without_events_has_the_schema(codec: str) -> None:
    reader = fastavro.reader(BytesIO(file_header(codec, SYNC)))
    assert list(reader) == []
    assert reader.codec == codec
    writer_schema: Any = reader.writer_schema
    assert [field["name"] for field in writer_schema["fields"]] == [field["name"] for field in SCHEMA["fields"]]  # type: ignore[index]
    assert writer_schema["name"] == "Microsoft.ServiceBus.Messaging.EventData"


@given(st.lists(st.binary(max_size=300) | st.none(), min_size=1, max_size=20), st.integers(0, 2**40), st.booleans())
def test_bodies_and_positions_come_back(bodies: list[bytes | None], base: int, deflate: bool) -> None:
    found = read(stored([(None, body, []) for body in bodies], base), codec="deflate" if deflate else "null")
    assert [event["Body"] for event in found] == bodies
    assert [event["SequenceNumber"] for event in found] == list(range(base, base + len(bodies)))
    assert [event["Offset"] for event in found] == [str(base + number) for number in range(len(bodies))]
    assert {event["EnqueuedTimeUtc"] for event in found} == {"11/14/2023 10:13:21 PM"}


@pytest.mark.parametrize(
    ("value", "read_as"),
    [
        (None, None),
        (True, "true"),
        (Ubyte(7), 7),
        (Uint(2**32 - 1), 2**32 - 1),
        (Int(-5), -5),
        (-(2**63), -(2**63)),
        (Ulong(2**63), str(2**63)),
        (1.5, 1.5),
        (Float(0.25), 0.25),
        ("text", "text"),
        (Symbol("symbol"), "symbol"),
        (Char("x"), "x"),
        (b"\x00", b"\x00"),
        (Decimal64(b"12345678"), b"12345678"),
        (UUID(int=1), str(UUID(int=1))),
        (Timestamp(AT_MS), "2023-11-14T22:13:21.987Z"),
        (Timestamp(2**62), str(2**62)),
        ([1, "a"], encode([1, "a"])),
        ({"k": 1}, encode({"k": 1})),
        (Array((1, 2)), encode(Array((1, 2)))),
        (Described(Symbol("d"), "v"), encode(Described(Symbol("d"), "v"))),
    ],
)
def test_every_amqp_type_is_a_branch_of_the_union(value: Value, read_as: object) -> None:
    (event,) = read(stored([(None, b"", [("p", encode(value))])]))
    assert event["Properties"] == {"p": read_as}
    assert avro_value(value)


def test_a_name_that_comes_twice_has_its_last_value() -> None:
    (event,) = read(stored([(None, b"", [("p", encode(1)), ("p", encode(2))])]))
    assert event["Properties"] == {"p": 2}


def test_records_of_kafka_have_bytes() -> None:
    batch = StoredBatch(0, 1, AT_MS, build([(b"\xff", b"a"), (None, None)], 5))
    first, second = read(batch)
    assert (first["SystemProperties"], first["Body"]) == ({"x-opt-kafka-key": b"\xff"}, b"a")
    assert (second["SystemProperties"], second["Body"]) == ({}, None)


def test_a_batch_that_cannot_be_read_leaves_no_hole(caplog: pytest.LogCaptureFixture) -> None:
    whole = build([(None, b"a" * 50), (None, b"b" * 50)], 5)
    broken = StoredBatch(8, 9, AT_MS, whole[:-60] + b"\xff" * 60)
    found = read(broken)
    assert [(event["SequenceNumber"], event["Body"]) for event in found] == [(8, None), (9, None)]
    assert "batch at offset 8 is unreadable" in caplog.text
