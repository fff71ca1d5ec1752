"""Rules as elements: `RuleDescription` with a typed filter, action and parameters."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final
from xml.etree.ElementTree import Element, SubElement

import msgspec

from localcloud.servicebus.admin.atom import INSTANCE, local_name, tag, timestamp
from localcloud.servicebus.entities import (
    CorrelationFilter,
    FalseFilter,
    Filter,
    MomentParameter,
    RuleDescription,
    Scalar,
    SpanParameter,
    SqlAction,
    SqlFilter,
    TrueFilter,
)
from localcloud.servicebus.errors import InvalidArgumentError

_TYPE: Final = f"{{{INSTANCE}}}type"
_KEY_VALUE: Final = "KeyValueOfstringanyType"
_CORRELATION: Final = {
    "CorrelationId": "correlation_id",
    "MessageId": "message_id",
    "To": "to",
    "ReplyTo": "reply_to",
    "Label": "label",
    "SessionId": "session_id",
    "ReplyToSessionId": "reply_to_session_id",
    "ContentType": "content_type",
}


def _boolean(text: str) -> bool:
    return {"true": True, "false": False, "1": True, "0": False}[text.lower()]


def _moment(text: str) -> MomentParameter:
    read = datetime.fromisoformat(text)
    zoned = read.tzinfo is not None
    return MomentParameter(int((read if zoned else read.replace(tzinfo=UTC)).timestamp() * 1000), zoned)


def _duration(text: str) -> SpanParameter:
    return SpanParameter(int(msgspec.convert(text, timedelta).total_seconds() * 1000))


_READERS: Final[Mapping[str, Callable[[str], Scalar]]] = {
    "string": str,
    "int": int,
    "long": int,
    "short": int,
    "double": float,
    "decimal": float,
    "boolean": _boolean,
    "dateTime": _moment,
    "duration": _duration,
}


def read(name: str, description: Element) -> RuleDescription:
    """The rule in a RuleDescription (or DefaultRuleDescription). Raises InvalidArgumentError."""
    chosen = description.find(tag("Filter"))
    return RuleDescription(
        name, TrueFilter() if chosen is None else _filter(chosen), _action(description.find(tag("Action")))
    )


def _filter(element: Element) -> Filter:
    kind = element.get(_TYPE, "").rpartition(":")[2]
    if kind == "TrueFilter":
        return TrueFilter()
    if kind == "FalseFilter":
        return FalseFilter()
    if kind == "SqlFilter":
        return SqlFilter(_expression(element), _key_values(element.find(tag("Parameters"))))
    if kind == "CorrelationFilter":
        given = {field: element.findtext(tag(name)) for name, field in _CORRELATION.items()}
        return CorrelationFilter(**given, properties=_key_values(element.find(tag("Properties"))))
    raise InvalidArgumentError(f"{kind!r} is no filter; expected TrueFilter, FalseFilter, SqlFilter, CorrelationFilter")


def _action(element: Element | None) -> SqlAction | None:
    if element is None or element.get(_TYPE, "").rpartition(":")[2] != "SqlRuleAction":
        return None
    return SqlAction(_expression(element), _key_values(element.find(tag("Parameters"))))


def _expression(element: Element) -> str:
    return element.findtext(tag("SqlExpression")) or ""


def _key_values(parent: Element | None) -> dict[str, Scalar]:
    """Clients disagree on the namespace of the innermost elements, so their names alone are looked at."""
    found: dict[str, Scalar] = {}
    for pair in () if parent is None else parent:
        parts = {local_name(part): part for part in pair}
        if local_name(pair) != _KEY_VALUE or not {"Key", "Value"} <= parts.keys():
            raise InvalidArgumentError(f"expected {_KEY_VALUE} with Key and Value, not {local_name(pair)}")
        kind = parts["Value"].get(_TYPE, "string").rpartition(":")[2]
        text = parts["Value"].text or ""
        try:
            found[parts["Key"].text or ""] = _READERS[kind](text)
        except (KeyError, ValueError, msgspec.ValidationError):
            raise InvalidArgumentError(f"{text!r} is no {kind}; known are {', '.join(_READERS)}") from None
    return found


def write(rule: RuleDescription, created_ms: int) -> Element:
    root = Element(tag("RuleDescription"))
    _write_filter(root, rule.filter)
    if rule.action is None:
        SubElement(root, tag("Action"), {_TYPE: "EmptyRuleAction"})
    else:
        action = SubElement(root, tag("Action"), {_TYPE: "SqlRuleAction"})
        _write_sql(action, rule.action.expression, rule.action.parameters)
    SubElement(root, tag("CreatedAt")).text = timestamp(created_ms)
    SubElement(root, tag("Name")).text = rule.name
    return root


def _write_filter(root: Element, chosen: Filter) -> None:
    element = SubElement(root, tag("Filter"), {_TYPE: type(chosen).__name__})
    match chosen:
        case TrueFilter():
            _write_sql(element, "1=1", {})
        case FalseFilter():
            _write_sql(element, "1=0", {})
        case SqlFilter():
            _write_sql(element, chosen.expression, chosen.parameters)
        case CorrelationFilter():
            for name, field in _CORRELATION.items():
                if getattr(chosen, field) is not None:
                    SubElement(element, tag(name)).text = getattr(chosen, field)
            _write_key_values(SubElement(element, tag("Properties")), chosen.properties)


def _write_sql(element: Element, expression: str, parameters: Mapping[str, Scalar]) -> None:
    SubElement(element, tag("SqlExpression")).text = expression
    SubElement(element, tag("CompatibilityLevel")).text = "20"
    _write_key_values(SubElement(element, tag("Parameters")), parameters)


def _write_key_values(parent: Element, values: Mapping[str, Scalar]) -> None:
    for key, value in values.items():
        pair = SubElement(parent, tag(_KEY_VALUE))
        SubElement(pair, tag("Key")).text = key
        kind, text = _typed(value)
        # The prefix stands in an attribute's value, so it has to be declared by hand.
        declared = {_TYPE: f"d6p1:{kind}", "xmlns:d6p1": "http://www.w3.org/2001/XMLSchema"}
        SubElement(pair, tag("Value"), declared).text = text


def _typed(value: Scalar) -> tuple[str, str]:
    if isinstance(value, bool):
        return "boolean", str(value).lower()
    if isinstance(value, int):
        return ("int" if -(1 << 31) <= value < 1 << 31 else "long"), str(value)
    if isinstance(value, float):
        return "double", repr(value)
    if isinstance(value, MomentParameter):
        return "dateTime", timestamp(value.unix_ms).removesuffix("" if value.zoned else "Z")
    if isinstance(value, SpanParameter):
        return "duration", str(msgspec.to_builtins(timedelta(milliseconds=value.ms)))
    return "string", value
