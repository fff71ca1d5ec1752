"""Rules over the management node: maps in requests, described lists in answers.

Source of the descriptors: "AMQP in Azure Service Bus: request-response-based operations", section "Rule operations".
"""

from typing import Final

from localcloud.amqp.types import Described, Map, Timestamp, Ulong, Value
from localcloud.servicebus.entities import (
    CorrelationFilter,
    FalseFilter,
    Filter,
    RuleDescription,
    Scalar,
    SqlAction,
    SqlFilter,
    TrueFilter,
)
from localcloud.servicebus.errors import InvalidArgumentError

RULE: Final = Ulong(0x13700000004)
EMPTY_ACTION: Final = Ulong(0x13700000005)
SQL_ACTION: Final = Ulong(0x13700000006)
SQL_FILTER: Final = Ulong(0x1370000006)
TRUE_FILTER: Final = Ulong(0x1370000007)
FALSE_FILTER: Final = Ulong(0x1370000008)
CORRELATION_FILTER: Final = Ulong(0x1370000009)

_CORRELATION: Final = (
    "correlation-id",
    "message-id",
    "to",
    "reply-to",
    "label",
    "session-id",
    "reply-to-session-id",
    "content-type",
)


def read(name: str, description: Map) -> RuleDescription:
    """The rule that an add-rule request describes. Raises InvalidArgumentError."""
    action = _map(description.get("sql-rule-action"))
    return RuleDescription(name, _filter(description), SqlAction(_expression(action)) if action else None)


def _filter(description: Map) -> Filter:
    if "sql-filter" in description:
        return SqlFilter(_expression(_map(description["sql-filter"])))
    if "correlation-filter" in description:
        fields = _map(description["correlation-filter"])
        properties: dict[str, Scalar] = {}
        for key, value in _map(fields.get("properties")).items():
            if not isinstance(value, bool | int | float | str):
                raise InvalidArgumentError(f"property {key!r} of a correlation filter is a {type(value).__name__}")
            properties[str(key)] = value
        named = {field.replace("-", "_"): _text(fields.get(field)) for field in _CORRELATION}
        return CorrelationFilter(**named, properties=properties)
    if "false-filter" in description:
        return FalseFilter()
    return TrueFilter()


def _text(value: Value) -> str | None:
    return None if value is None else str(value)


def _map(value: Value) -> Map:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidArgumentError(f"a part of a rule description is a {type(value).__name__}; expected a map")
    return value


def _expression(part: Map) -> str:
    expression = part.get("expression")
    if not isinstance(expression, str):
        raise InvalidArgumentError("a SQL filter or action has its text in 'expression'")
    return expression


def description(rule: RuleDescription, created_ms: int) -> Described:
    """The rule in the form of an enumerate-rules response."""
    action = Described(SQL_ACTION, [rule.action.expression, None]) if rule.action else Described(EMPTY_ACTION, [])
    return Described(RULE, [_described(rule.filter), action, rule.name, Timestamp(created_ms)])


def _described(chosen: Filter) -> Described:
    match chosen:
        case TrueFilter():
            return Described(TRUE_FILTER, [])
        case FalseFilter():
            return Described(FALSE_FILTER, [])
        case SqlFilter():
            return Described(SQL_FILTER, [chosen.expression, None])
        case CorrelationFilter():
            named: list[Value] = [getattr(chosen, field.replace("-", "_")) for field in _CORRELATION]
            properties: Map = {
                key: value for key, value in chosen.properties.items() if isinstance(value, bool | int | float | str)
            }
            return Described(CORRELATION_FILTER, [*named, properties])
