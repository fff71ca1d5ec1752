"""Selector filters."""

from dataclasses import dataclass
from typing import cast

import pytest
from azure.eventhub._utils import event_position_selector

from localcloud.amqp.errors import AmqpError
from localcloud.amqp.performatives import Source
from localcloud.amqp.types import Described, Symbol, Ulong, Value
from localcloud.eventhubs.position import selector_of, start_of
from localcloud.log.partition import PartitionLog

NAME = Symbol("apache.org:selector-filter:string")


@dataclass
class Log:
    """Offsets 10 to 99, each enqueued at its number times 1000 ms."""

    start_offset: int = 10
    high_watermark: int = 100

    def offset_at(self, ms: int, *, inclusive: bool = True) -> int:
        return min(100, max(10, -(-ms // 1000) if inclusive else ms // 1000 + 1))


LOG = cast(PartitionLog, Log())


@pytest.mark.parametrize(
    ("position", "inclusive", "first"),
    [
        ("-1", False, 10),
        ("@latest", False, 100),
        ("@latest", True, 99),
        ("5", False, 10),
        ("42", False, 43),
        ("42", True, 42),
        (42, False, 43),
        (42, True, 42),
        ("99", False, 100),
    ],
)
def test_the_sdks_positions(position: str | int, inclusive: bool, first: int) -> None:
    selector = event_position_selector(position, inclusive).decode()
    assert start_of(selector, LOG) == first


@pytest.mark.parametrize(("ms", "operator", "first"), [(42000, ">", 43), (42000, ">=", 42), (41999, ">", 42)])
def test_enqueued_time(ms: int, operator: str, first: int) -> None:
    assert start_of(f"amqp.annotation.x-opt-enqueued-time {operator} '{ms}'", LOG) == first


def test_no_filter_means_from_the_beginning() -> None:
    assert start_of(selector_of(Source("hub")), LOG) == 10


@pytest.mark.parametrize("operator", [">", ">="])
def test_a_position_beyond_the_end_is_refused(operator: str) -> None:
    with pytest.raises(AmqpError, match=r"argument-error.*last sequence number of the partition is 99"):
        start_of(f"amqp.annotation.x-opt-offset {operator} '101'", LOG)


@pytest.mark.parametrize(
    "selector",
    [
        "",
        "x-opt-offset > '1'",
        "amqp.annotation.x-opt-offset < '1'",
        "amqp.annotation.x-opt-offset > '1' or 1=1",
        "amqp.annotation.x-opt-colour > '1'",
        "amqp.annotation.x-opt-offset > 'twelve'",
        f"amqp.annotation.x-opt-offset > '{'9' * 5000}'",
    ],
)
def test_what_is_no_position_is_refused(selector: str) -> None:
    with pytest.raises(AmqpError, match="amqp:invalid-field"):
        start_of(selector, LOG)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (NAME, Described(NAME, "text")),
        (Symbol("mine"), Described(Ulong(0x468C00000004), "text")),
        (NAME, "text"),
    ],
)
def test_the_forms_in_which_clients_send_a_selector(name: Symbol, value: Value) -> None:
    assert selector_of(Source("hub", filter={name: value})) == "text"


def test_a_selector_that_is_no_text_is_refused() -> None:
    with pytest.raises(AmqpError, match="amqp:invalid-field"):
        selector_of(Source("hub", filter={NAME: Described(NAME, 1)}))
