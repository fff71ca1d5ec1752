"""Evaluates rules: which messages a subscription takes, and how its copies are changed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from localcloud.amqp.performatives import Properties
from localcloud.amqp.types import Map, Symbol
from localcloud.servicebus import sql
from localcloud.servicebus.entities import (
    CorrelationFilter,
    FalseFilter,
    Filter,
    MomentParameter,
    RuleDescription,
    Scalar,
    SpanParameter,
    SqlFilter,
    TrueFilter,
)
from localcloud.servicebus.errors import InvalidArgumentError
from localcloud.servicebus.message import SYSTEM_FIELDS, MessageContent, view
from localcloud.servicebus.sql import Assignment, MessageView
from localcloud.servicebus.sql_values import FilterError, Value, compared

Predicate = Callable[[MessageView], bool | None]

_SYSTEM: Final = {
    "correlation_id": "correlationid",
    "message_id": "messageid",
    "to": "to",
    "reply_to": "replyto",
    "label": "label",
    "session_id": "sessionid",
    "reply_to_session_id": "replytosessionid",
    "content_type": "contenttype",
}


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule with its compiled filter and action."""

    rule: RuleDescription
    predicate: Predicate
    assignments: Sequence[Assignment]


def compile_rule(rule: RuleDescription) -> CompiledRule:
    """Raises InvalidArgumentError when the filter or the action is wrong."""
    action = rule.action
    assignments = sql.compile_action(action.expression, _parameters(action.parameters)) if action else ()
    return CompiledRule(rule, _predicate(rule.filter), assignments)


def _predicate(chosen: Filter) -> Predicate:
    match chosen:
        case TrueFilter():
            return lambda _: True
        case FalseFilter():
            return lambda _: False
        case SqlFilter():
            return sql.compile_filter(chosen.expression, _parameters(chosen.parameters))
        case CorrelationFilter():
            return _correlation(chosen)


def _correlation(chosen: CorrelationFilter) -> Predicate:
    system = {name: value for field, name in _SYSTEM.items() if (value := getattr(chosen, field)) not in (None, "")}
    user = {name.lower(): value for name, value in _parameters(chosen.properties).items()}
    if not system and not user:
        raise InvalidArgumentError("a correlation filter has to name one property at least")

    def predicate(message: MessageView) -> bool:
        return all(message.system.get(name) == value for name, value in system.items()) and all(
            compared("=", message.user.get(name), value) is True for name, value in user.items()
        )

    return predicate


def _parameters(given: Mapping[str, Scalar]) -> dict[str, Value]:
    return {name: _value(value) for name, value in given.items()}


def _value(value: Scalar) -> Value:
    """Times as milliseconds, as `message.sql_value` gives them."""
    if isinstance(value, MomentParameter):
        return value.unix_ms
    return value.ms if isinstance(value, SpanParameter) else value


def copies(rules: Sequence[CompiledRule], content: MessageContent, more: Mapping[str, Value]) -> list[MessageContent]:
    """What a subscription with these rules takes of a message.

    One copy for all rules without an action together, and one for each that has one, changed by it: as the service
    does it ("Topic filters and actions", Microsoft Learn). Raises FilterError when none could be evaluated to true
    and one could not be evaluated at all.
    """
    seen = view(content, more)
    taken: list[MessageContent] = []
    plain = False
    failure: FilterError | None = None
    for rule in rules:
        try:
            if rule.predicate(seen) is not True:
                continue
            if rule.assignments:
                taken.append(apply(rule.assignments, content, seen))
            else:
                plain = True
        except FilterError as error:
            failure = FilterError(f"rule {rule.rule.name}: {error}")
    if plain:
        taken.insert(0, content)
    if failure and not taken:
        raise failure
    return taken


def apply(assignments: Sequence[Assignment], content: MessageContent, seen: MessageView) -> MessageContent:
    """`content` with its properties set and removed, one after the other. Raises FilterError."""
    properties, application = content.decoded_properties()
    for assignment in assignments:
        value = assignment.value(seen) if assignment.value else None
        if assignment.system:
            _set_system(properties, SYSTEM_FIELDS[assignment.name], value)
            seen = MessageView({**seen.system, assignment.name: value}, seen.user)
        else:
            application = _set_user(application, assignment, value)
            rest = {name: old for name, old in seen.user.items() if name != assignment.name.lower()}
            seen = MessageView(seen.system, {**rest, assignment.name.lower(): value} if assignment.value else rest)
    return content.with_decoded(properties, application)


def _set_system(properties: Properties, field: str, value: Value) -> None:
    text = None if value is None else str(value)
    setattr(properties, field, Symbol(text) if field == "content_type" and text is not None else text)


def _set_user(application: Map, assignment: Assignment, value: Value) -> Map:
    """Names differ by more than their case: the one that is there already keeps its spelling."""
    name = next((key for key in application if str(key).lower() == assignment.name.lower()), assignment.name)
    rest = {key: old for key, old in application.items() if key != name}
    return {**rest, name: value} if assignment.value else rest
