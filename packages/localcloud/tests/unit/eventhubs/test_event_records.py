"""AMQP events to Kafka records and back; events are made and read by Azure's own SDK."""

from typing import Any

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from azure.eventhub._pyamqp._decode import decode_payload
from azure.eventhub._pyamqp._encode import encode_payload
from azure.eventhub._pyamqp.message import BatchMessage, Header, Message, Properties
from hypothesis import given
from hypothesis import strategies as st

from localcloud.amqp.codec import DecodeError, decode, encode
from localcloud.amqp.message import sections
from localcloud.amqp.types import Described, Symbol, Ulong
from localcloud.eventhubs.event_messages import Events
from localcloud.eventhubs.event_records import BATCH_FORMAT, record_batch, records_of
from localcloud.eventhubs.record_headers import Headers, Record
from localcloud.log.batch import AMQP_HEADERS, check, header_of, with_attributes
from localcloud_tests.unit.amqp.values import SCALAR, TEXT

KEY = b"x-opt-partition-key"


def encoded(**fields: Any) -> bytes:
    return bytes(encode_payload(bytearray(), Message(**fields)))


def batch(events: list[bytes], key: str | None = None) -> bytes:
    fields: dict[str, Any] = {"data": events}
    if key is not None:
        fields |= {"header": Header(durable=True), "message_annotations": {KEY: key}}
    return bytes(encode_payload(bytearray(), BatchMessage(**fields)))


def delivered(record: Record, offset: int = 41, *, amqp: bool = True) -> Any:
    """What an AMQP reader gets of a record that came over AMQP, or else over Kafka."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 30)
    builder.append(0, 1, *record)
    stored = bytes(builder.build())
    data = bytearray(with_attributes(stored, AMQP_HEADERS) if amqp else stored)
    data[:8] = offset.to_bytes(8)
    events = Events(bytes(data), enqueued_ms=1234567)
    assert events.offsets == [offset]
    list(sections(events.messages[0]))
    return decode_payload(memoryview(events.messages[0]))


def round_trip(**fields: Any) -> Any:
    _, [record] = records_of(encoded(**fields), 0)
    return delivered(record)


def header(key: str) -> Headers:
    return [(KEY.decode(), encode(key))]


def test_a_plain_event_is_a_plain_record() -> None:
    assert records_of(encoded(data=[b"body"]), 0) == (None, [(None, b"body", [])])


def test_a_partition_key_is_a_header_and_the_records_key_is_null() -> None:
    sent = encoded(message_annotations={KEY: "user-7"}, data=[b"body"])
    assert records_of(sent, 0) == ("user-7", [(None, b"body", [("x-opt-partition-key", b"\xa1\x06user-7")])])


def test_a_compacted_hub_goes_by_the_partition_key() -> None:
    sent = encoded(message_annotations={KEY: "user-7"}, data=[b"body"])
    assert records_of(sent, 0, compacted=True) == ("user-7", [(b"user-7", b"body", header("user-7"))])
    both = records_of(batch([sent, encoded(data=[b"b"])], "whole"), BATCH_FORMAT, compacted=True)
    assert both == ("whole", [(b"user-7", b"body", header("user-7")), (b"whole", b"b", header("whole"))])


def test_a_batch_that_came_over_amqp_says_so_and_is_whole() -> None:
    stored = record_batch([(None, b"v", header("k"))], 5)
    assert header_of(stored).attributes == AMQP_HEADERS
    check(stored)


def test_fields_of_the_properties_section_are_headers_and_seven_of_them_plain_text() -> None:
    properties = Properties(
        message_id="id-1",
        user_id=b"me",
        to="there",
        subject="s",
        reply_to="here",
        correlation_id="c",
        content_type="application/json",
        content_encoding="gzip",
        absolute_expiry_time=13,
        creation_time=1_700_000_000_123,
        group_id="g",
        group_sequence=2,
        reply_to_group_id="r",
    )
    _, [(_, _, [(reserved, _), *headers])] = records_of(encoded(properties=properties, data=[b""]), 0)
    assert reserved == "amqp:properties"
    text = {"message-id", "user-id", "to", "reply-to", "content-type", "content-encoding", "creation-time"}
    assert {name: content for name, content in headers if name in text} == {
        "message-id": b"id-1",
        "user-id": b"me",
        "to": b"there",
        "reply-to": b"here",
        "content-type": b"application/json",
        "content-encoding": b"gzip",
        "creation-time": b"2023-11-14T22:13:20.123Z",
    }
    assert {name: decode(content or b"")[0] for name, content in headers if name not in text} == {
        "subject": "s",
        "correlation-id": "c",
        "absolute-expiry-time": 13,
        "group-id": "g",
        "group-sequence": 2,
        "reply-to-group-id": "r",
    }


@pytest.mark.parametrize("creation_time", [2**62, -(2**62)])
def test_a_time_beyond_the_calendar_is_told_in_milliseconds(creation_time: int) -> None:
    _, [(_, _, headers)] = records_of(encoded(properties=Properties(creation_time=creation_time), data=[b""]), 0)
    assert dict(headers)["creation-time"] == str(creation_time).encode()


def test_application_properties_are_headers_in_amqp_encoding() -> None:
    _, [(_, _, headers)] = records_of(encoded(application_properties={"a": 1, "b": "x"}, data=[b""]), 0)
    assert headers == [("a", b"\x54\x01"), ("b", b"\xa1\x01x")]


def test_an_event_without_body_is_a_tombstone() -> None:
    sent = encoded(message_annotations={KEY: "k"})
    assert records_of(sent, 0, compacted=True) == ("k", [(b"k", None, header("k"))])
    assert delivered((b"k", None, header("k"))).data == [b""]


@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in a batch"])
def test_a_data_section_of_null_has_no_value_and_survives(inside: bool) -> None:
    """The JavaScript client sends one for a body that is null."""
    event = encoded(application_properties={"a": "x"}) + b"\x00\x53\x75\x40"
    sent = batch([encoded(data=[b"a"]), event, encoded(data=[b"b"])]) if inside else event
    _, records = records_of(sent, BATCH_FORMAT if inside else 0)
    assert [value for _, value, _ in records] == ([b"a", None, b"b"] if inside else [None])
    message = delivered(records[1 if inside else 0])
    assert message.data == [None]
    assert message.application_properties == {b"a": b"x"}


def test_a_reader_gets_sequence_number_offset_time_and_key() -> None:
    message = delivered((None, b"body", header("user-7")))
    assert message.data == [b"body"]
    assert message.message_annotations == {
        b"x-opt-sequence-number": 41,
        b"x-opt-enqueued-time": 1234567,
        b"x-opt-offset": b"41",
        KEY: b"user-7",
    }


def test_what_only_amqp_readers_understand_survives() -> None:
    message = round_trip(
        header=Header(durable=True, ttl=5),
        message_annotations={KEY: "k", b"x-mine": 5, b"x-opt-offset": "999", b"x-opt-kafka-key": b"another's"},
        properties=Properties(message_id="id-1", content_type="application/json", creation_time=12),
        application_properties={"a": 1, "b": None, "c": b"bytes"},
        data=[b"body"],
        footer={b"f": 1},
        delivery_annotations={b"d": b"x"},
    )
    assert message.header is None
    assert message.properties.message_id == b"id-1"
    assert message.properties.content_type == b"application/json"
    assert message.application_properties == {b"a": 1, b"b": None, b"c": b"bytes"}
    assert message.message_annotations[b"x-mine"] == 5
    assert message.message_annotations[b"x-opt-offset"] == b"41"
    assert message.message_annotations[KEY] == b"k"
    assert b"x-opt-kafka-key" not in message.message_annotations
    assert message.data == [b"body"]
    assert message.footer == {b"f": 1}
    assert message.delivery_annotations == {b"d": b"x"}


@pytest.mark.parametrize(
    "fields",
    [{"value": {b"a": [1, 2]}}, {"sequence": [[1, 2], [3]]}, {"data": [b"one", b"two"]}, {"data": []}],
    ids=["value", "sequence", "several data", "none"],
)
def test_other_bodies_survive(fields: dict[str, Any]) -> None:
    message = round_trip(**fields)
    assert message.value == fields.get("value")
    assert message.sequence == fields.get("sequence")
    if fields.get("data"):
        assert message.data == fields["data"]


def test_a_footer_may_come_in_front_of_the_body_and_is_delivered_behind_it() -> None:
    """Where @azure/event-hubs puts it."""
    footer, data = encode(Described(Ulong(0x78), {Symbol("f"): 1})), encode(Described(Ulong(0x75), b"a"))
    annotations = encode(Described(Ulong(0x72), {Symbol("x"): 1}))
    early = annotations + footer + data
    _, [record] = records_of(early, 0)
    message = delivered(record)
    assert (message.data, message.footer) == ([b"a"], {b"f": 1})
    _, records = records_of(batch([early, early, encoded(data=[b"a"])]), BATCH_FORMAT)
    assert records == [record, record, (None, b"a", [])]
    value = encode(Described(Ulong(0x77), ["a"]))
    _, [valued] = records_of(footer + value, 0)
    assert (delivered(valued).value, delivered(valued).footer) == ([b"a"], {b"f": 1})
    for wrong in (footer + footer + data, footer + data + footer, footer + annotations + data):
        with pytest.raises(DecodeError, match="after one of 0x7"):
            records_of(wrong, 0)


@pytest.mark.parametrize("content", [[1, b"a"], {b"a": [1]}, [], {}])
def test_a_property_that_is_a_list_or_a_map_is_delivered_as_sent(content: Any) -> None:
    """AMQP forbids them, and the clients send them."""
    sent = encode(Described(Ulong(0x74), {"p": content})) + encode(Described(Ulong(0x75), b""))
    _, [record] = records_of(sent, 0)
    assert record[2] == [("p", encode(content))]
    assert delivered(record).application_properties == {b"p": content}


@pytest.mark.parametrize(
    "payload",
    [
        b"\x00",
        b"hello",
        b"\x00\x53\x75\xa0\x05hell",
        b"\x00\x53\x75\xa1\x02hi",
        b"\x00\x53\x75\xa0\x01a\x00\x53\x72\xc1\x01\x00",
        b"\x00\x53\x72\xc0\x01\x00",
        b"\x00\x53\x74\xc1\x05\x02\x52\x01\x52\x01",
        b"\x00\x53\x99\x40",
    ],
    ids=["cut off", "text", "short data", "string as data", "order", "list as map", "number as name", "unknown"],
)
@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in a batch"])
def test_what_is_malformed_is_a_decode_error(payload: bytes, inside: bool) -> None:
    with pytest.raises(DecodeError):
        records_of(batch([encoded(data=[b"a"]), payload]) if inside else payload, BATCH_FORMAT if inside else 0)


@given(st.binary(max_size=60))
def test_any_bytes_are_records_or_a_decode_error(payload: bytes) -> None:
    for message_format in (0, BATCH_FORMAT):
        try:
            _, records = records_of(payload, message_format)
        except DecodeError:
            continue
        for record in records:
            delivered(record)
            delivered(record, amqp=False)


@pytest.mark.parametrize(
    "content", [b"\x54\x05", b"plain text", b"", None, b"A", b"@", b"E", b"\xa1\x01x", b"\xc0\x01\x00"]
)
def test_a_header_of_a_kafka_client_is_an_application_property_of_its_bytes(content: bytes | None) -> None:
    """Also where they happen to be well-formed AMQP: the letter A would be `true`."""
    message = delivered((None, b"", [("h", content), (KEY.decode(), b"not a key")]), amqp=False)
    assert message.application_properties == {b"h": content, KEY: b"not a key"}
    assert KEY not in message.message_annotations


def test_a_key_of_a_kafka_client_is_an_annotation_of_its_own() -> None:
    message = delivered((b"\xff key", b"", []), amqp=False)
    assert message.message_annotations[b"x-opt-kafka-key"] == b"\xff key"
    assert KEY not in message.message_annotations
    assert b"x-opt-kafka-key" not in delivered((None, b"", []), amqp=False).message_annotations


def test_of_headers_with_one_name_the_last_is_the_property() -> None:
    message = delivered((None, b"", [("h", b"1"), ("i", b"2"), ("h", b"3")]), amqp=False)
    assert message.application_properties == {b"h": b"3", b"i": b"2"}


def test_a_property_that_is_named_as_a_header_of_ours_stays_a_property() -> None:
    message = round_trip(
        properties=Properties(content_type="text/plain"),
        application_properties={"content-type": "mine", "x-opt-partition-key": "mine"},
        data=[b""],
    )
    assert message.application_properties == {b"content-type": b"mine", KEY: b"mine"}
    assert message.properties.content_type == b"text/plain"
    assert KEY not in message.message_annotations
    alone = round_trip(application_properties={"x-opt-partition-key": "mine", "content-type": "mine"}, data=[b""])
    assert alone.application_properties == {b"content-type": b"mine", KEY: b"mine"}
    assert KEY not in alone.message_annotations


@given(
    st.none() | st.binary(max_size=9),
    st.none() | st.binary(max_size=30),
    st.lists(
        st.tuples(
            st.sampled_from(
                ["x-opt-partition-key", "amqp:properties", "amqp:message-annotations", "amqp:footer", "amqp:body", "to"]
            ),
            st.none()
            | st.binary(max_size=9)
            | st.sampled_from([b"\x45", b"\xc1\x01\x00", b"\xc0\x02\x01\x40", b"\xc0\x05\x03\x40\x40\xa1\x00"]),
        ),
        max_size=4,
    ),
    st.booleans(),
)
def test_whatever_a_kafka_client_stores_reads_as_a_well_formed_message(
    key: bytes | None, value: bytes | None, headers: Headers, amqp: bool
) -> None:
    delivered((key, value, headers), amqp=amqp)


@given(st.text(min_size=1, max_size=20), st.binary(max_size=20), st.dictionaries(TEXT, SCALAR, max_size=4))
def test_reading_over_amqp_gives_what_was_sent_over_amqp(key: str, body: bytes, properties: dict[Any, Any]) -> None:
    sent = (
        encode(Described(Ulong(0x72), {Symbol(KEY.decode()): key}))
        + (encode(Described(Ulong(0x74), properties)) if properties else b"")
        + encode(Described(Ulong(0x75), body))
    )
    _, [record] = records_of(sent, 0)
    data = bytearray(record_batch([record], 1))
    message = Events(bytes(data), 7).messages[0]
    assert records_of(message, 0) == (key, [record])
