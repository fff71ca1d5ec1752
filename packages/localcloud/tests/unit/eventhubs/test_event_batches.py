"""Batches of AMQP events: what the beginnings that they share mean is worked out once."""

from typing import Any

import pytest
from aiokafka.record.default_records import DefaultRecordBatch
from hypothesis import example, given
from hypothesis import strategies as st

from localcloud.amqp.codec import DecodeError, encode
from localcloud.amqp.types import Described, Symbol, Ulong
from localcloud.eventhubs.event_records import BATCH_FORMAT, record_batch, records_of
from localcloud.eventhubs.record_headers import Headers, Record
from localcloud_tests.support.fuzzing import effort
from localcloud_tests.unit.amqp.values import SCALAR, TEXT
from localcloud_tests.unit.eventhubs.test_event_records import KEY, batch, encoded, header

_KEYED = [
    encode(Described(Ulong(0x72), {Symbol(KEY.decode()): key}))
    for key in ("", "k", "user-7", "é", "x" * 127, "x" * 240, Symbol("s"), None)
]
_DECORATED = encode(Described(Ulong(0x72), {Symbol(KEY.decode()): "k", Symbol("own"): 1}))
_PROPERTIES = encode(Described(Ulong(0x74), {"p": 1}))
_BODY = encode(Described(Ulong(0x75), b"body"))
_PARTS = st.builds(
    lambda *parts: b"".join(parts),
    st.sampled_from([b"", *_KEYED, _DECORATED, _KEYED[1] + _KEYED[2], encode(Described(Ulong(0x70), [True]))]),
    st.sampled_from([b"", _PROPERTIES, _KEYED[2], encode(Described(Ulong(0x78), {Symbol("f"): 1}))]),
    st.sampled_from([_BODY, encode(Described(Ulong(0x75), b"x" * 300)), encode(Described(Ulong(0x77), "v")), b""]),
    st.sampled_from([b"", b"", encode(Described(Ulong(0x78), {Symbol("f"): 1})), _KEYED[1]]),
)


@st.composite
def _damaged(draw: st.DrawFn) -> bytes:
    """An event of which one byte may be another one."""
    event = bytearray(draw(_PARTS))
    if event and draw(st.booleans()):
        event[draw(st.integers(0, min(len(event), 40) - 1))] = draw(st.integers(0, 255))
    return bytes(event)


@given(
    st.lists(
        st.tuples(
            st.none() | st.text(max_size=9),
            st.dictionaries(TEXT, SCALAR, max_size=3),
            st.binary(max_size=20) | st.binary(min_size=250, max_size=300),
        ),
        max_size=8,
    ),
    st.none() | st.text(max_size=9),
)
def test_a_batch_is_its_events(events: list[tuple[str | None, dict[Any, Any], bytes]], routing: str | None) -> None:
    """Whatever the order of plain and decorated events, which share beginnings or don't."""
    parts: list[bytes] = []
    expected: list[Record] = []
    for key, properties, body in events:
        sent = b""
        if key is not None:
            sent += encode(Described(Ulong(0x72), {Symbol(KEY.decode()): key}))
        if properties:
            sent += encode(Described(Ulong(0x74), properties))
        parts.append(sent + encode(Described(Ulong(0x75), body)))
        record_key = routing if key is None else key
        headers: Headers = [] if record_key is None else header(record_key)
        headers += [(name, encode(value)) for name, value in properties.items()]
        expected.append((None, body, headers))
    assert records_of(batch(parts, routing), BATCH_FORMAT) == (routing, expected)
    if not expected:
        return
    stored = [(r.key, r.value, r.headers) for r in DefaultRecordBatch(record_batch(expected, 1000))]
    assert stored == expected


@effort(300)
@example([_KEYED[1] + _PROPERTIES + _BODY, _KEYED[1] + _BODY, _BODY])
@example([_DECORATED + _BODY, _KEYED[2] + _DECORATED + _BODY])
@given(st.lists(_damaged(), max_size=5))
def test_an_event_means_the_same_alone_and_among_others(events: list[bytes]) -> None:
    """What a beginning was found to mean for one event is believed of another only where that is true of it."""
    try:
        alone = [records_of(event, 0)[1][0] for event in events]
    except DecodeError:
        with pytest.raises(DecodeError):
            records_of(batch(events), BATCH_FORMAT)
        return
    assert records_of(batch(events), BATCH_FORMAT)[1] == alone


def test_events_of_a_batch_that_differ_only_behind_the_body_stay_apart() -> None:
    plain, with_footer = encoded(data=[b"a"]), encoded(data=[b"a"], footer={b"f": 1})
    valued = encoded(value=1)
    _, records = records_of(batch([plain, with_footer, plain, valued, plain]), BATCH_FORMAT)
    assert [[name for name, _ in headers] for _, _, headers in records] == [[], ["amqp:footer"], [], ["amqp:body"], []]
