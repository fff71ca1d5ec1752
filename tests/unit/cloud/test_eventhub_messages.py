"""Events in AMQP's encoding: what is read of them is what the Event Hubs SDK makes of them, at a lower cost."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from azure.eventhub import EventData
from azure.eventhub._pyamqp._decode import decode_frame, decode_payload
from hypothesis import given
from hypothesis import strategies as st

from localcloud.amqp.codec import encode
from localcloud.amqp.message import section
from localcloud.amqp.sending_link import transfer_head
from localcloud.amqp.types import Char, Decimal32, Symbol, Timestamp, Uint
from songline.cloud.eventhub_messages import EventFields, _read_plain_event, read_event, read_transfer
from songline.processors.runtime.event_data import body_of, position_of

HEADER, DELIVERY, ANNOTATIONS, PROPERTIES, APPLICATION, DATA, SEQUENCE, VALUE, FOOTER = range(0x70, 0x79)
AT = datetime(2026, 11, 22, 14, 0, 0, 123_000, tzinfo=UTC)
AT_MS = 1_795_356_000_123

HUB: dict[Any, Any] = {
    Symbol("x-opt-sequence-number"): 1187,
    Symbol("x-opt-enqueued-time"): Timestamp(AT_MS),
    Symbol("x-opt-offset"): "4711",
}
KEY = {Symbol("x-opt-partition-key"): "user-3"}


def message(annotations: Mapping[Any, Any], *after: tuple[int, Any]) -> bytes:
    return b"".join([section(ANNOTATIONS, dict(annotations)), *(section(code, value) for code, value in after)])


def read_by_sdk(encoded: bytes) -> EventFields:
    event = EventData._from_message(decode_payload(memoryview(encoded)))
    assert event.offset is not None
    return EventFields(position_of(event), event.enqueued_time, event.offset.encode(), body_of(event))


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=300)
    | st.binary(max_size=300)
    | st.uuids()
    | st.builds(Symbol, st.sampled_from(["", "x-opt-sequence-number", "x-opt-enqueued-time"]))
    | st.builds(Uint, st.integers(0, (1 << 32) - 1))
    | st.builds(Timestamp, st.integers(-(1 << 63), (1 << 63) - 1)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=5,
)
OTHERS = st.sampled_from([*KEY, Symbol("x-opt-kafka-key")])
# Names and values that look like what is searched for.
spoofs = st.sampled_from([section(ANNOTATIONS, {name: value})[6:] for name, value in HUB.items()])
names = st.text(st.characters(codec="ascii"), max_size=40).map(Symbol) | OTHERS
annotations = st.builds(
    lambda numbers, own, order: {
        name: {**numbers, **own}[name] for name in sorted({**numbers, **own}, key=lambda one: order.get(one, 0))
    },
    st.fixed_dictionaries(
        {
            Symbol("x-opt-sequence-number"): st.integers(0, (1 << 63) - 1),
            Symbol("x-opt-enqueued-time"): st.none() | st.builds(Timestamp, st.integers(0, 253_402_300_799_999)),
            Symbol("x-opt-offset"): st.integers(0, (1 << 63) - 1).map(str),
        }
    ),
    st.dictionaries(names, values | spoofs | spoofs.map(lambda one: one.decode("latin-1")), max_size=3),
    st.dictionaries(st.sampled_from([*HUB, *KEY]), st.integers(0, 9)),
)
bodies = st.binary(max_size=600) | spoofs
sections = st.tuples(st.sampled_from([PROPERTIES, APPLICATION, SEQUENCE, VALUE, FOOTER]), values).filter(
    lambda one: one[0] != PROPERTIES
)


@given(annotations, st.lists(st.tuples(st.just(DATA), bodies | st.none()) | sections, max_size=4))
def test_what_is_read_is_what_the_sdk_decodes(found: Mapping[Any, Any], after: list[tuple[int, Any]]) -> None:
    encoded = message(found, *after)
    assert read_event(encoded) == read_by_sdk(encoded)


@pytest.mark.parametrize("own", [{}, KEY])
@pytest.mark.parametrize("body", [b"", b"{}", b"x" * 255, b"x" * 256, b"x" * 70_000])
def test_a_plain_event(own: Mapping[Any, Any], body: bytes) -> None:
    assert read_event(message({**HUB, **own}, (DATA, body))) == EventFields(1187, AT, b"4711", body)


@pytest.mark.parametrize("value", [Char("x"), Decimal32(b"\x00\x00\x00\x01"), [Char("x")], {"y": Char("x")}])
def test_a_type_that_the_sdk_can_not_decode_hides_nothing(value: Any) -> None:
    """Any sender may write it, and it says nothing about the event."""
    encoded = message(HUB, (APPLICATION, {"x": value}), (DATA, b"{}"))
    with pytest.raises(TypeError):
        decode_payload(memoryview(encoded))
    assert read_event(encoded) == EventFields(1187, AT, b"4711", b"{}")


@pytest.mark.parametrize("after", [[], [(DATA, b"1"), (DATA, b"2")], [(VALUE, "text")], [(DATA, "text")]])
def test_another_kind_of_body_is_none(after: list[tuple[int, Any]]) -> None:
    found = read_event(message(HUB, *after))
    assert found is not None
    assert found.body == (b"text" if after == [(DATA, "text")] else b"")


@given(st.binary(max_size=80))
def test_bytes_that_are_no_message_are_no_event(encoded: bytes) -> None:
    assert read_event(encoded) is None


@pytest.mark.parametrize("body", [b"{}", b"x" * 300])
def test_a_message_that_is_cut_is_no_event(body: bytes) -> None:
    encoded, bare = message({**HUB, **KEY}, (DATA, body)), message({**HUB, **KEY})
    for cut in range(len(encoded)):
        assert read_event(encoded[:cut]) == (EventFields(1187, AT, b"4711", b"") if cut == len(bare) else None)


@pytest.mark.parametrize("constructor", [b"\xc1", b"\xd1"])
def test_a_plain_event_is_read_by_its_pattern(constructor: bytes) -> None:
    """Azure writes small maps, localcloud writes large ones."""
    pairs = b"".join(encode(value) for pair in {**HUB, **KEY}.items() for value in pair)
    width = 1 if constructor == b"\xc1" else 4
    size, count = (width + len(pairs)).to_bytes(width), (8).to_bytes(width)
    encoded = b"\x00\x53\x72" + constructor + size + count + pairs + section(DATA, b"{}")
    assert _read_plain_event(encoded) == EventFields(1187, AT, b"4711", b"{}") == read_by_sdk(encoded)


@pytest.mark.parametrize("before", [b"\x53\x75", b"\x80" + (0x75).to_bytes(8), encode(Symbol("amqp:data:binary"))])
@pytest.mark.parametrize("count", [1, 2])
def test_a_section_may_be_described_in_any_way(before: bytes, count: int) -> None:
    """A hub hands on what it was sent, and the SDK reads no other descriptors than small numbers."""
    found = read_event(message(HUB) + (b"\x00" + before + encode(b"{}")) * count)
    assert found == EventFields(1187, AT, b"4711", b"{}" if count == 1 else b"")


def test_a_section_that_is_none_is_no_event() -> None:
    for before in (b"\x53\x79", b"\x44", b"\x80" + (0x175).to_bytes(8), encode(Symbol("amqp:data")), encode("x")):
        assert read_event(message(HUB) + b"\x00" + before + encode(b"{}")) is None


def test_values_may_be_described_to_any_depth() -> None:
    depth = 5_000
    encoded = message(HUB) + b"\x00\x53\x77" + b"\x00" * depth + b"\x40" * (depth + 1)
    assert read_event(encoded) == EventFields(1187, AT, b"4711", b"")


def test_a_message_without_a_position_is_no_event() -> None:
    assert read_event(message(KEY, (DATA, b"{}"))) is None
    assert read_event(section(DATA, b"{}")) is None


def frame(handle: int, delivery_id: int, tag: bytes, payload: bytes, *, more: bool = False, channel: int = 1) -> bytes:
    head = transfer_head(handle, delivery_id, tag, 0, settled=True, more=more)
    rest = b"\x02\x00" + channel.to_bytes(2) + head + payload
    return (4 + len(rest)).to_bytes(4) + rest


def aborted(encoded: bytes) -> bytes:
    """The frame of a delivery that the hub gives up."""
    assert encoded.count(b"\x40\x40\x42\x42\x42") == 1
    return encoded.replace(b"\x40\x40\x42\x42\x42", b"\x40\x40\x42\x41\x42")


@given(st.integers(0, 255), st.integers(0, (1 << 32) - 1), st.binary(max_size=32), st.binary(max_size=99))
def test_a_transfer_is_read_as_the_sdk_reads_it(handle: int, delivery_id: int, tag: bytes, payload: bytes) -> None:
    encoded = frame(handle, delivery_id, tag, payload)
    found = read_transfer(b"before" + encoded + b"after", 6)
    assert found is not None
    _, fields = decode_frame(memoryview(encoded)[8:])
    assert (found.handle, found.delivery_id, found.channel) == (fields[0], fields[1], 1)
    assert encoded[found.payload - 6 :] == payload == bytes(fields[11])
    assert found.end == 6 + len(encoded)


def test_a_frame_that_has_not_arrived_whole_is_left() -> None:
    encoded = frame(0, 7, b"tag", b"x" * 20)
    for cut in range(len(encoded)):
        assert read_transfer(encoded[:cut], 0) is None


def test_other_frames_are_left() -> None:
    assert read_transfer(aborted(frame(0, 7, b"tag", b"x")), 0) is None
    assert read_transfer(frame(0, 7, b"tag", b"x", more=True), 0) is None
    assert read_transfer(frame(0, 7, b"tag", b"x").replace(b"\x00\x53\x14", b"\x00\x53\x16"), 0) is None
    assert read_transfer(bytes((0, 0, 0, 8, 2, 0, 0, 0)), 0) is None
