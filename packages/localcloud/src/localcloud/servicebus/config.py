"""Entities of the local namespace, read from the official Service Bus emulator's `Config.json`.

localcloud understands all properties of the administration interface there (`MaxMessageSizeInKilobytes`,
`MaxSizeInMegabytes`, `AutoDeleteOnIdle`, ...), in a second file that is laid over the first, so that the official
file stays valid for Microsoft's emulator.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from localcloud.authorization_rule import AuthorizationRule
from localcloud.config import ConfigError, checked_rules
from localcloud.servicebus import entities, rules
from localcloud.servicebus.entities import (
    CorrelationFilter,
    Filter,
    QueueDescription,
    RuleDescription,
    Scalar,
    SqlAction,
    SqlFilter,
)
from localcloud.servicebus.errors import ServiceBusError
from localcloud.unreadable import UNREADABLE


class SubscriptionConfig(msgspec.Struct, frozen=True):
    name: str
    properties: entities.SubscriptionDescription
    rules: tuple[RuleDescription, ...]


class TopicConfig(msgspec.Struct, frozen=True):
    name: str
    properties: entities.TopicDescription
    subscriptions: tuple[SubscriptionConfig, ...]


class QueueConfig(msgspec.Struct, frozen=True):
    name: str
    properties: QueueDescription


class NamespaceConfig(msgspec.Struct, frozen=True):
    """All entities that are declared, and keys of the namespace besides that of everything."""

    queues: tuple[QueueConfig, ...] = ()
    topics: tuple[TopicConfig, ...] = ()
    authorization_rules: tuple[AuthorizationRule, ...] = ()


DeclaredProperties = dict[str, Any]


class _CorrelationDeclaration(msgspec.Struct, rename="pascal"):
    correlation_id: str | None = None
    message_id: str | None = None
    to: str | None = None
    reply_to: str | None = None
    label: str | None = None
    subject: str | None = None
    session_id: str | None = None
    reply_to_session_id: str | None = None
    content_type: str | None = None
    properties: dict[str, str | int | float | bool] = {}


class _SqlDeclaration(msgspec.Struct, rename="pascal"):
    sql_expression: str


class _RulePropertiesDeclaration(msgspec.Struct, rename="pascal"):
    filter_type: Literal["Sql", "Correlation"]
    sql_filter: _SqlDeclaration | None = None
    correlation_filter: _CorrelationDeclaration | None = None
    action: _SqlDeclaration | None = None


class _RuleDeclaration(msgspec.Struct, rename="pascal"):
    name: str
    properties: _RulePropertiesDeclaration


class _SubscriptionDeclaration(msgspec.Struct, rename="pascal"):
    name: str
    properties: DeclaredProperties = {}
    rules: list[_RuleDeclaration] | None = None


class _TopicDeclaration(msgspec.Struct, rename="pascal"):
    name: str
    properties: DeclaredProperties = {}
    subscriptions: list[_SubscriptionDeclaration] = []


class _QueueDeclaration(msgspec.Struct, rename="pascal"):
    name: str
    properties: DeclaredProperties = {}


class _NamespaceDeclaration(msgspec.Struct, rename="pascal"):
    queues: list[_QueueDeclaration] = []
    topics: list[_TopicDeclaration] = []
    authorization_rules: list[AuthorizationRule] = []


class _ServiceBusUserConfig(msgspec.Struct, rename="pascal"):
    namespaces: list[_NamespaceDeclaration]


class _ServiceBusConfigFile(msgspec.Struct, rename="pascal"):
    user_config: _ServiceBusUserConfig


def read_namespace(files: Sequence[Path]) -> NamespaceConfig:
    """What `files` declare together: a later file's properties are laid over an earlier one's. Raises ConfigError."""
    queues: dict[str, _QueueDeclaration] = {}
    topics: dict[str, _TopicDeclaration] = {}
    keyed: dict[str, AuthorizationRule] = {}
    for file in files:
        for namespace in _read(file):
            keyed.update((rule.key_name, rule) for rule in namespace.authorization_rules)
            for queue in namespace.queues:
                queues.setdefault(queue.name.lower(), _QueueDeclaration(queue.name, {})).properties |= queue.properties
            for topic in namespace.topics:
                _lay_topic(topics.setdefault(topic.name.lower(), _TopicDeclaration(topic.name, {}, [])), topic)
    where = ", ".join(map(str, files))
    if both := sorted(queues.keys() & topics.keys()):
        raise ConfigError(f"{where}: {both[0]} is a queue and a topic; expected another name for one of them")
    return NamespaceConfig(
        tuple(
            QueueConfig(_named(where, q.name), _cast(where, q.name, q.properties, QueueDescription))
            for q in queues.values()
        ),
        tuple(_topic(where, topic) for topic in topics.values()),
        checked_rules(where, keyed.values()),
    )


def _read(file: Path) -> list[_NamespaceDeclaration]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=_ServiceBusConfigFile).user_config.namespaces
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}; expected a Config.json of the Service Bus emulator") from None
    except UNREADABLE as error:
        raise ConfigError(f"{file}: {error}; expected the shape of the Service Bus emulator's Config.json") from None


def _lay_topic(below: _TopicDeclaration, above: _TopicDeclaration) -> None:
    below.properties |= above.properties
    known = {subscription.name.lower(): subscription for subscription in below.subscriptions}
    for subscription in above.subscriptions:
        there = known.get(subscription.name.lower())
        if there is None:
            below.subscriptions.append(subscription)
            continue
        there.properties |= subscription.properties
        there.rules = subscription.rules if subscription.rules is not None else there.rules


EntityT = TypeVar("EntityT", bound=entities.EntityDescription)


def _cast(where: str, name: str, properties: DeclaredProperties, kind: type[EntityT]) -> EntityT:
    unknown = properties.keys() - {field.encode_name for field in msgspec.structs.fields(kind)}
    if unknown:
        raise ConfigError(f"{where}: {name} has {', '.join(sorted(unknown))}, which a {kind.__name__} does not know")
    try:
        entity = msgspec.convert(properties, kind)
        entities.check_common(entity)
    except (msgspec.ValidationError, ServiceBusError) as error:
        raise ConfigError(f"{where}: {name}: {error}") from None
    return entity


def _named(where: str, name: str, kind: Literal["entity", "subscription", "rule"] = "entity") -> str:
    try:
        return entities.check_name(name, kind)
    except ServiceBusError as error:
        raise ConfigError(f"{where}: {error}") from None


def _topic(where: str, topic: _TopicDeclaration) -> TopicConfig:
    subscriptions = tuple(
        SubscriptionConfig(
            _named(where, sub.name, "subscription"),
            _cast(where, f"{topic.name}/{sub.name}", sub.properties, entities.SubscriptionDescription),
            (entities.DEFAULT_RULE,) if sub.rules is None else tuple(_rule(where, rule) for rule in sub.rules),
        )
        for sub in topic.subscriptions
    )
    properties = _cast(where, topic.name, topic.properties, entities.TopicDescription)
    return TopicConfig(_named(where, topic.name), properties, subscriptions)


def _rule(where: str, rule: _RuleDeclaration) -> RuleDescription:
    properties = rule.properties
    action = SqlAction(properties.action.sql_expression) if properties.action else None
    chosen: Filter
    if properties.filter_type == "Sql" and properties.sql_filter:
        chosen = SqlFilter(properties.sql_filter.sql_expression)
    elif properties.filter_type == "Correlation" and properties.correlation_filter:
        chosen = _correlation(properties.correlation_filter)
    else:
        raise ConfigError(f"{where}: rule {rule.name} has no {properties.filter_type}Filter, as its FilterType says")
    made = RuleDescription(_named(where, rule.name, "rule"), chosen, action)
    try:
        rules.compile_rule(made)
    except ServiceBusError as error:
        raise ConfigError(f"{where}: rule {rule.name}: {error}") from None
    return made


def _correlation(read: _CorrelationDeclaration) -> CorrelationFilter:
    properties: dict[str, Scalar] = {**read.properties}
    return CorrelationFilter(
        correlation_id=read.correlation_id,
        message_id=read.message_id,
        to=read.to,
        reply_to=read.reply_to,
        label=read.label if read.label is not None else read.subject,
        session_id=read.session_id,
        reply_to_session_id=read.reply_to_session_id,
        content_type=read.content_type,
        properties=properties,
    )


__all__ = ["ConfigError", "NamespaceConfig", "QueueConfig", "SubscriptionConfig", "TopicConfig", "read_namespace"]
