"""Composite types: every field out, missing ones in."""

import pytest
from azure.eventhub._pyamqp._decode import decode_frame

from localcloud.amqp.codec import DecodeError, encode
from localcloud.amqp.performatives import (
    Accepted,
    Attach,
    Begin,
    Composite,
    Disposition,
    ErrorCondition,
    Flow,
    Open,
    Rejected,
    Source,
    Target,
    read_composite,
)
from localcloud.amqp.types import Described, Symbol, Uint, Ulong, Value

EXAMPLES: list[Composite] = [
    Open("container", properties={Symbol("product"): "test"}),
    Begin(next_outgoing_id=Uint(1), incoming_window=Uint(2), outgoing_window=Uint(3)),
    Attach(
        "link",
        Uint(7),
        role=True,
        source=Source("hub", filter={Symbol("f"): Described(Symbol("f"), "text")}, default_outcome=Accepted()),
        target=Target("there"),
        initial_delivery_count=Uint(0),
    ),
    Flow(incoming_window=Uint(1), next_outgoing_id=Uint(2), outgoing_window=Uint(3), drain=True),
    Disposition(
        role=True, first=Uint(9), state=Rejected(ErrorCondition(Symbol("amqp:not-found"), "gone", {Symbol("a"): 1}))
    ),
]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: type(example).__name__)
def test_a_composite_comes_back_equal(example: Composite) -> None:
    data = example.encoded()
    assert read_composite(data + b"payload") == (example, len(data))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: type(example).__name__)
def test_azure_reads_every_field_by_index(example: Composite) -> None:
    code, fields = decode_frame(memoryview(example.encoded()))
    assert code == example.CODE
    assert len(fields) == len(example.__dataclass_fields__)  # type: ignore[attr-defined] # each is a dataclass


def test_trailing_fields_may_be_missing_and_the_descriptor_may_be_a_name() -> None:
    data = encode(Described(Symbol("amqp:open:list"), ["container"]))
    assert read_composite(data)[0] == Open("container")


def test_list0_is_a_composite_without_fields() -> None:
    assert read_composite(b"\x00\x53\x24\x45")[0] == Accepted()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ([], "lacks the mandatory name, handle, role"),
        (["link", "7", True], "amqp:attach:list.handle is a str"),
        (["link", Uint(7), True, *[None] * 12], "has 14 fields, this one 15"),
        (["link", Uint(7), True, None, None, Described(Ulong(0x29), [])], "source is a Target"),
    ],
)
def test_what_is_wrong_with_a_composite_is_said(fields: list[Value], message: str) -> None:
    with pytest.raises(DecodeError, match=message):
        read_composite(encode(Described(Ulong(0x12), fields)))


@pytest.mark.parametrize("value", [None, "text", Described(Ulong(0x99), []), Described(Ulong(0x10), "x")], ids=repr)
def test_what_is_no_performative_is_refused(value: Value) -> None:
    with pytest.raises(DecodeError):
        read_composite(encode(value))
