"""A file of Capture becomes records; what is cut or corrupt is named."""

import itertools
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.processors.history.archive.avro_blocks import BlockError
from songline.processors.history.archive.capture_records import Records, enqueued_second
from songline.processors.history.archive.errors import Damage
from songline.processors.history.archive.file_blocks import FileBlocks
from songline.processors.history.archive.name_format import DEFAULT_FORMAT, NameFormat, NameFormatError
from songline.schemas.progress import GENERATION
from tests.support.capture_files import (
    NOON,
    block_offsets,
    body_at,
    capture_file,
    iso_form,
    record,
    service_form,
    without,
)

CODECS = ("null", "deflate", "snappy")


def read(data: bytes, pieces: Sequence[int] = ()) -> tuple[list[tuple[int, int, bytes]], list[Damage]]:
    """The events of a file that comes in pieces which end at these offsets, and its damages."""
    blocks = FileBlocks("a.avro")
    ends = [0, *sorted(pieces), len(data)]
    found: list[Records | Damage] = []
    for start, stop in itertools.pairwise(ends):
        found += blocks.feed(data[start:stop])
    found += blocks.end()
    events = [
        event
        for part in found
        if isinstance(part, Records)
        for event in zip(part.positions, part.enqueued_s, part.bodies, strict=True)
    ]
    return events, [one for one in found if isinstance(one, Damage)]


def events(first: int, count: int) -> list[tuple[int, int, bytes]]:
    return [(at, NOON + at, body_at(at, NOON + at)) for at in range(first, first + count)]


def records(first: int, count: int, **more: Any) -> list[dict[str, Any]]:
    return [record(at, NOON + at, **more) for at in range(first, first + count)]


@pytest.mark.parametrize("codec", CODECS)
@given(data=st.data())
def test_a_file_is_read_in_any_pieces(codec: str, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, 300))
    made = capture_file(records(5, count), codec=codec, block_bytes=data.draw(st.sampled_from([1, 900, 100_000])))
    pieces = data.draw(st.lists(st.integers(0, len(made)), max_size=6))
    assert read(made, pieces) == (events(5, count), [])


@pytest.mark.parametrize("codec", CODECS)
@given(data=st.data())
def test_a_cut_file_is_named_with_its_block(codec: str, data: st.DataObject) -> None:
    """A cut between two blocks can't be seen in a file; the positions that follow show it."""
    made = capture_file(records(0, 60), codec=codec, block_bytes=900)
    offsets = block_offsets(made)
    at = data.draw(st.integers(0, len(made)))
    found, damages = read(made[:at])
    whole = sum(offset + size <= at for offset, size in offsets)
    ends = {offset + size for offset, size in offsets} | {offsets[0][0]}
    assert found == events(0, 60)[: len(found)]
    if at in ends:
        assert damages == []
    elif at < offsets[0][0]:
        assert [(one.path, one.block) for one in damages] == [("a.avro", None)]
    else:
        assert [(one.path, one.block, one.at) for one in damages] == [("a.avro", whole, offsets[whole][0])]


@pytest.mark.parametrize("codec", ["deflate", "snappy"])
def test_a_block_whose_bytes_changed_is_named_and_the_others_are_read(codec: str) -> None:
    made = bytearray(capture_file(records(0, 100), codec=codec, block_bytes=900))
    offsets = block_offsets(bytes(made))
    offset, size = offsets[2]
    made[offset + size // 2] ^= 0x55
    found, damages = read(bytes(made))
    assert [(one.block, one.at) for one in damages] == [(2, offset)]
    missing = set(range(100)) - {position for position, _, _ in found}
    assert missing
    assert missing == set(range(min(missing), max(missing) + 1))


@given(st.data())
def test_no_bytes_make_the_reader_fail(data: st.DataObject) -> None:
    made = bytearray(capture_file(records(0, 40), codec=data.draw(st.sampled_from(CODECS)), block_bytes=500))
    for at in data.draw(st.lists(st.integers(0, len(made) - 1), min_size=1, max_size=5)):
        made[at] = data.draw(st.integers(0, 255))
    read(bytes(made))
    read(data.draw(st.binary(max_size=60)))


@pytest.mark.parametrize("data", [b"", b"Ob", b"PK\x03\x04 a zip", b"Obj\x01"])
def test_what_is_no_avro_file_is_damaged_in_its_header(data: bytes) -> None:
    found, damages = read(data)
    assert (found, [one.block for one in damages]) == ([], [None])


def test_an_empty_file_of_capture_has_no_events() -> None:
    assert read(capture_file([])) == ([], [])


def test_fields_of_others_are_passed_over_and_optional_ones_may_be_missing() -> None:
    extra = [
        {"name": "Writer", "type": {"type": "record", "name": "Writer", "fields": [{"name": "id", "type": "string"}]}},
        {"name": "Tags", "type": {"type": "array", "items": ["null", "string"]}, "default": []},
    ]
    schema = without(["Offset", "SystemProperties", "Properties"], extra)
    made = capture_file([{**one, "Writer": {"id": "w"}, "Tags": ["a", None]} for one in records(0, 3)], schema=schema)
    assert read(made) == (events(0, 3), [])


@pytest.mark.parametrize("field", ["SequenceNumber", "EnqueuedTimeUtc", "Body"])
def test_a_file_without_a_field_that_is_needed_says_so(field: str) -> None:
    _, damages = read(capture_file(records(0, 1), schema=without([field])))
    assert field in damages[0].why
    assert damages[0].block is None


def test_a_body_of_null_has_no_bytes() -> None:
    found, _ = read(capture_file([{**record(0, NOON), "Body": None}]))
    assert found == [(0, NOON, b"")]


@pytest.mark.parametrize(
    ("written", "second"),
    [
        ("11/22/2025 12:00:00 PM", NOON),
        ("11/22/2025 12:00:00 AM", NOON - 12 * 3600),
        ("11/2/2025 3:04:05 PM", 1_762_095_845),
        ("01/02/2026 03:04:05 AM", 1_767_323_045),
        ("2025-11-22T12:00:00Z", NOON),
        ("2025-11-22T12:00:00.9999999Z", NOON),
        ("2025-11-22T13:00:00+01:00", NOON),
        ("2025-11-22T12:00:00", NOON),
        ("2025-11-22 12:00:00", NOON),
    ],
)
def test_moments_in_the_forms_that_are_written(written: str, second: int) -> None:
    assert read(capture_file([{**record(7, 0), "EnqueuedTimeUtc": written}]))[0][0][:2] == (7, second)


@pytest.mark.parametrize("written", ["", "yesterday", "13/22/2025 12:00:00 PM", "2025-11-22"])
def test_a_moment_in_another_form_is_named(written: str) -> None:
    _, damages = read(capture_file([{**record(7, 0), "EnqueuedTimeUtc": written}]))
    assert repr(written) in damages[0].why


@given(st.integers(0, 4_000_000_000))
def test_both_forms_of_a_moment_are_the_same_second(second: int) -> None:
    made = capture_file([record(0, second, form=service_form), record(1, second, form=iso_form)])
    assert [one[1] for one in read(made)[0]] == [second, second]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(
    "odd",
    [
        {"SequenceNumber": -1},
        {"SequenceNumber": GENERATION},
        {"SequenceNumber": GENERATION - 1},
        {"SequenceNumber": 2**63 - 1},
        {"SequenceNumber": -(2**63)},
        {"EnqueuedTimeUtc": "1/1/0001 12:00:00 AM"},
        {"EnqueuedTimeUtc": "12/31/1969 11:59:59 PM"},
        {"EnqueuedTimeUtc": "12/31/9999 11:59:59 PM"},
        {"EnqueuedTimeUtc": "0001-01-01T00:00:00"},
        {"EnqueuedTimeUtc": "9999-12-31T23:59:59.9999999Z"},
    ],
)
@pytest.mark.parametrize("place", [0, 7, 19])
def test_what_no_hub_can_have_given_is_damage(codec: str, odd: dict[str, Any], place: int) -> None:
    """Taken as it is, it would be of another life of the hub, or put all others into one."""
    some = records(0, 20)
    some[place] |= odd
    found, damages = read(capture_file(some, codec=codec, block_bytes=1))
    assert found == [one for at, one in enumerate(events(0, 20)) if at != place]
    (damage,) = damages
    assert damage.block == place
    assert str(next(iter(odd.values()))) in damage.why
    assert "expected" in damage.why


def test_any_position_of_a_hub_is_read() -> None:
    last = GENERATION - 2
    assert [one[0] for one in read(capture_file([record(last, NOON)]))[0]] == [last]


def test_an_offset_is_not_looked_at() -> None:
    some = [{**one, "Offset": offset} for one, offset in zip(records(0, 3), ("-1", "none", ""), strict=True)]
    assert read(capture_file(some)) == (events(0, 3), [])


PLACEHOLDERS = (
    "{Namespace}", "{EventHub}", "{PartitionId}", "{Year}", "{Month}", "{Day}", "{Hour}", "{Minute}", "{Second}",
)  # fmt: skip


@given(
    order=st.permutations(PLACEHOLDERS),
    between=st.lists(st.sampled_from(["/", "-", "_", "/y=", ".", "/p(", ")/"]), min_size=10, max_size=10),
    moment=st.datetimes(datetime(2015, 1, 1), datetime(2100, 1, 1)),  # noqa: DTZ001
    partition=st.integers(0, 31),
)
def test_any_order_and_separator_is_read_back(
    order: list[str], between: list[str], moment: datetime, partition: int
) -> None:
    text = "".join(part for pair in zip(between, order, strict=False) for part in pair) + between[-1]
    names = NameFormat(text, "music-events")
    aware = moment.replace(microsecond=0, tzinfo=UTC)
    path = names.path("songs-ns", "music-events", str(partition), aware)
    found = names.parse(path)
    assert path.startswith(names.prefix)
    assert found is not None
    assert (found.partition, found.moment, found.namespace) == (str(partition), aware, "songs-ns")


def test_numbers_may_stand_side_by_side() -> None:
    names = NameFormat("{Namespace}/{EventHub}/{PartitionId}/{Year}{Month}{Day}T{Hour}{Minute}{Second}", "h")
    found = names.parse("ns/h/12/20251122T120000.avro")
    assert found is not None
    assert (found.partition, found.moment) == ("12", datetime(2025, 11, 22, 12, tzinfo=UTC))


@pytest.mark.parametrize(
    "path",
    [
        "ns/other/0/2025/11/22/12/00/00.avro",
        "ns/h/0/2025/13/22/12/00/00.avro",
        "ns/h/x/2025/11/22/12/00/00.avro",
        "ns/h/0/2025/11/22/12/00/00.avro.tmp",
        "ns/h/0/2025/11/22/12/00/00.parquet",
        "readme.txt",
    ],
)
def test_other_blobs_are_not_of_the_archive(path: str) -> None:
    assert NameFormat.default("h").parse(path) is None


@pytest.mark.parametrize("text", ["", "{Year}", DEFAULT_FORMAT.replace("{Second}", ""), DEFAULT_FORMAT + "{Millis}"])
def test_a_format_that_capture_would_refuse_is_refused(text: str) -> None:
    with pytest.raises(NameFormatError):
        NameFormat(text, "h")


def number(value: int) -> bytes:
    """A whole number as Avro writes it."""
    rest, made = (value << 1) ^ (value >> 63), bytearray()
    while rest > 0x7F:
        made.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes([*made, rest])


def text(value: bytes) -> bytes:
    return number(len(value)) + value


def counted(entries: Sequence[bytes]) -> bytes:
    """A map in two blocks that say how many bytes they have, as the writers of Java and C# write large ones."""
    parts = [entries[:1], entries[1:]]
    made = [number(-len(part)) + text(b"".join(part)) for part in parts if part]
    return b"".join(made) + number(0)


def test_a_file_that_is_written_by_hand_is_read() -> None:
    """By the specification alone: maps whose blocks have sizes, fields in another order, no codec, an empty block."""
    schema = {
        "type": "record",
        "name": "EventData",
        "namespace": "com.example.archive",
        "doc": "of a writer of its own",
        "fields": [
            {"name": "Body", "type": ["bytes", "null"]},
            {"name": "Properties", "type": {"type": "map", "values": ["null", "string", "long"]}},
            {"name": "EnqueuedTimeUtc", "type": {"type": "long", "logicalType": "timestamp-millis"}},
            {"name": "SequenceNumber", "type": ["null", "long"]},
        ],
    }
    sync = bytes(range(16))
    metadata = [text(b"writer") + text(b"by hand"), text(b"avro.schema") + text(json.dumps(schema).encode())]
    made = b"Obj\x01" + counted(metadata) + sync
    for first in (0, 20, 40):
        properties = counted([text(b"a") + number(1) + text(b"b"), text(b"n") + number(2) + number(-7)])
        block = b"".join(
            number(0) + text(body_at(at, NOON + at)) + properties + number((NOON + at) * 1_000 + 999)
            + number(1) + number(at)
            for at in range(first, first + 20)
        )  # fmt: skip
        made += number(20) + text(block) + sync + number(0) + text(b"") + sync
    assert read(made) == (events(0, 60), [])
    found, damages = read(made[:-30])
    assert (found, len(damages)) == (events(0, 40), 1)


def test_fields_that_are_needed_may_have_types_that_others_define() -> None:
    fixed = {"name": "First", "type": {"type": "fixed", "name": "Sixteen", "size": 16}}
    schema = without(["Body"], [fixed])
    schema = {**schema, "fields": [*schema["fields"], {"name": "Body", "type": "Sixteen"}]}
    bodies = [bytes([number]) * 16 for number in range(3)]
    made = capture_file(
        ({**record(at, NOON, body), "First": b"x" * 16} for at, body in enumerate(bodies)), schema=schema
    )
    assert read(made) == ([(at, NOON, body) for at, body in enumerate(bodies)], [])


@given(st.integers(0, 4_000_000_000))
def test_a_moment_in_the_services_form_is_its_second(second: int) -> None:
    moment = datetime.fromtimestamp(second, UTC)
    written = service_form(second)
    assert enqueued_second(written) == second
    padded = f"{moment:%m/%d/%Y %I:%M:%S %p}"
    assert enqueued_second(padded) == second
    assert enqueued_second(padded.lower()) == second


@pytest.mark.parametrize(
    "written",
    [
        "13/01/2026 1:00:00 AM",
        "02/30/2026 1:00:00 AM",
        "1/1/2026 0:00:00 AM",
        "1/1/2026 13:00:00 PM",
        "1/1/2026 1:00 AM",
    ],
)
def test_a_moment_that_is_none_is_damage(written: str) -> None:
    with pytest.raises(BlockError, match="expected a form such as"):
        enqueued_second(written)
