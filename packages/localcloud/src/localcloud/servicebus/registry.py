"""Creates, changes and deletes entities and rules for the administration client."""

from collections.abc import Iterable
from itertools import chain

from localcloud.servicebus import entities, topology
from localcloud.servicebus.broker import Broker
from localcloud.servicebus.entities import ReceivingDescription, RuleDescription
from localcloud.servicebus.entity import Entity, EntityDocument, SubscriptionEntity, TopicEntity
from localcloud.servicebus.errors import EntityExistsError, EntityNotFoundError, InvalidArgumentError
from localcloud.servicebus.rules import CompiledRule, compile_rule
from localcloud.servicebus.standard_limits import EntityLimits

# What an entity is made with can't be changed afterwards.
_FIXED = ("requires_session", "requires_duplicate_detection", "enable_partitioning")


class RuleNotFoundError(EntityNotFoundError):
    """The subscription has no rule of that name."""


def create(broker: Broker, document: EntityDocument, now_ms: int) -> Entity:
    """Raises EntityExistsError, InvalidArgumentError, EntityNotFoundError for a missing topic or forwarding target,
    QuotaExceededError for one more than the tier has."""
    names = topology.split_subscription(document.name)
    if names and document.subscription:
        topic = broker.entity(names[0])
        if not isinstance(topic, TopicEntity):
            raise EntityNotFoundError(names[0])
        entities.check_name(names[1], "subscription")
        if names[1].lower() in topic.subscriptions:
            raise EntityExistsError(f"The subscription '{document.name}' exists already.")
        if broker.limits:
            broker.limits.check_subscriptions(topic.name, len(topic.subscriptions) + 1)
            _check_filters(broker.limits, topic, document.rules)
    else:
        entities.check_name(document.name)
        if names or document.subscription:
            raise InvalidArgumentError(f"{document.name!r} can't be the name of a queue or a topic")
        if document.name.lower() in broker.queues or document.name.lower() in broker.topics:
            raise EntityExistsError(f"The entity '{document.name}' exists already.")
        if broker.limits:
            broker.limits.check_entities(len(broker.queues) + len(broker.topics) + 1)
    properties = document.queue or document.topic or document.subscription
    assert properties is not None
    _check(broker, document.name, properties)
    for rule in document.rules:
        compile_rule(rule)
    entity = broker.add(document, now_ms)
    broker.store(entity)
    return entity


def update(broker: Broker, entity: Entity, properties: entities.EntityDescription, now_ms: int) -> None:
    """Raises InvalidArgumentError for a value that is out of range or that can't be changed."""
    for name in _FIXED:
        was, wanted = getattr(entity.properties, name, None), getattr(properties, name, None)
        if was != wanted:
            raise InvalidArgumentError(f"{name} of '{entity.name}' is {was} and can't be changed: make another entity")
    _check(broker, entity.name, properties)
    if type(entity.properties) is not type(properties):
        raise InvalidArgumentError(f"'{entity.name}' is a {type(entity.properties).__name__}, not what was sent")
    entity.properties = properties
    entity.updated_ms = now_ms
    broker.apply_policy(entity)
    broker.store(entity)


def _check(broker: Broker, name: str, properties: entities.EntityDescription) -> None:
    entities.check_common(properties)
    if broker.limits:
        broker.limits.check_size(properties)
    if not isinstance(properties, ReceivingDescription):
        return
    for target in (properties.forward_to, properties.forward_dead_lettered_messages_to):
        if not target:
            continue
        try:
            if isinstance(broker.entity(target), SubscriptionEntity):
                raise InvalidArgumentError(f"'{name}' can't forward to a subscription: name its topic")
        except EntityNotFoundError:
            raise InvalidArgumentError(f"'{name}' forwards to '{target}', which does not exist") from None


def subscription(broker: Broker, path: str) -> SubscriptionEntity:
    """Raises EntityNotFoundError."""
    entity = broker.entity(path)
    if not isinstance(entity, SubscriptionEntity):
        raise EntityNotFoundError(path)
    return entity


def rule(broker: Broker, path: str, name: str) -> RuleDescription:
    """The rule of the subscription at `path`. Raises EntityNotFoundError, RuleNotFoundError."""
    found = subscription(broker, path).rules.get(name.lower())
    if found is None:
        raise RuleNotFoundError(f"{path}/Rules/{name}")
    return found.rule


def put_rule(broker: Broker, path: str, made: RuleDescription, *, exists: bool) -> None:
    """Add a rule, or change the one that `exists`.

    Raises EntityNotFoundError, EntityExistsError, InvalidArgumentError, QuotaExceededError.
    """
    entity = subscription(broker, path)
    entities.check_name(made.name, "rule")
    key = made.name.lower()
    if exists:
        rule(broker, path, made.name)
    elif key in entity.rules:
        raise EntityExistsError(f"The rule '{made.name}' of '{path}' exists already.")
    compiled = compile_rule(made)
    if broker.limits:
        topic = broker.topics[(topology.split_subscription(entity.name) or ("", ""))[0].lower()]
        _check_filters(broker.limits, topic, (made,), entity.rules.get(key))
    entity.rules[key] = compiled
    broker.store(entity)


def remove_rule(broker: Broker, path: str, name: str) -> None:
    """Raises EntityNotFoundError, RuleNotFoundError."""
    rule(broker, path, name)
    entity = subscription(broker, path)
    del entity.rules[name.lower()]
    broker.store(entity)


def _check_filters(
    limits: EntityLimits, topic: TopicEntity, made: Iterable[RuleDescription], replaced: CompiledRule | None = None
) -> None:
    """Raises QuotaExceededError where the topic has no room for the filters of `made` in the place of `replaced`."""
    kept = (rule for one in topic.subscriptions.values() for rule in one.rules.values() if rule is not replaced)
    limits.check_filters(topic.name, chain((rule.rule.filter for rule in kept), (rule.filter for rule in made)))
