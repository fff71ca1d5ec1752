"""Puts entities into the broker: those of the store, and those that the configuration declares.

The declaration wins at every start: a declared entity has the declared properties and rules, and is made when it is
missing. What the administration client has made besides is kept.
"""

from localcloud.config import ConfigError
from localcloud.servicebus import topology
from localcloud.servicebus.broker import Broker
from localcloud.servicebus.config import NamespaceConfig
from localcloud.servicebus.entity import Entity, EntityDocument, QueueEntity, SubscriptionEntity, TopicEntity
from localcloud.servicebus.errors import EntityNotFoundError
from localcloud.servicebus.rules import compile_rule
from localcloud.servicebus.store import StoredNamespace


def restore(broker: Broker, stored: StoredNamespace, now_ms: int) -> None:
    """Put all that was stored into an empty broker. The first `advance` does what has become due meanwhile."""
    for document in sorted(stored.documents, key=lambda document: document.subscription is not None):
        broker.add(document, now_ms)
    for path, next_sequence in stored.numbers.items():
        broker.queues_by_path[path].next_sequence = next_sequence
    for path, session_id, state in stored.sessions:
        broker.queues_by_path[path].sessions.restore(session_id, state)
    for path, message_id, until_ms in stored.remembered:
        entity = broker.entity(path)
        assert not isinstance(entity, SubscriptionEntity)
        entity.window.restore(message_id, until_ms)
    for path, message in stored.messages:
        broker.queues_by_path[path].restore(message)


def declare(broker: Broker, config: NamespaceConfig, now_ms: int) -> None:
    """Raises ConfigError when a declared entity exists as something else."""
    for queue in config.queues:
        _put(broker, EntityDocument(queue.name, now_ms, now_ms, queue=queue.properties), now_ms)
    for topic in config.topics:
        _put(broker, EntityDocument(topic.name, now_ms, now_ms, topic=topic.properties), now_ms)
        for subscription in topic.subscriptions:
            path = topology.subscription_path(topic.name, subscription.name)
            made = EntityDocument(path, now_ms, now_ms, subscription=subscription.properties, rules=subscription.rules)
            _put(broker, made, now_ms)


def _put(broker: Broker, document: EntityDocument, now_ms: int) -> None:
    try:
        entity = broker.entity(document.name)
    except EntityNotFoundError:
        broker.store(broker.add(document, now_ms))
        return
    if _declared(entity) == (document.queue or document.topic or document.subscription, document.rules):
        return
    _check_same_kind(entity, document)
    if isinstance(entity, QueueEntity) and document.queue:
        entity.properties = document.queue
    elif isinstance(entity, TopicEntity) and document.topic:
        entity.properties = document.topic
    elif isinstance(entity, SubscriptionEntity) and document.subscription:
        entity.properties = document.subscription
        entity.rules = {rule.name.lower(): compile_rule(rule) for rule in document.rules}
    entity.updated_ms = now_ms
    broker.apply_policy(entity)
    broker.store(entity)


def _declared(entity: Entity) -> tuple[object, object]:
    return entity.properties, entity.document.rules


def _check_same_kind(entity: Entity, document: EntityDocument) -> None:
    wanted = document.queue or document.topic or document.subscription
    if type(wanted) is not type(entity.properties):
        raise ConfigError(f"{document.name} is declared as a {type(wanted).__name__}, and exists as another kind")
    there, declared = (getattr(properties, "requires_session", False) for properties in (entity.properties, wanted))
    if there != declared:
        raise ConfigError(
            f"{document.name}: RequiresSession is declared {declared} and was made {there}, which can't be changed;"
            " delete the entity, or the data folder"
        )
