"""What the tier Standard has less of than localcloud, which is Premium otherwise.

Source: "Service Bus quotas" and "Large messages support" (Microsoft Learn).
"""

import msgspec

from localcloud.servicebus import topology
from localcloud.servicebus.broker import Broker
from localcloud.servicebus.config import NamespaceConfig
from localcloud.servicebus.entities import EntityDescription, QueueDescription, TopicDescription
from localcloud.servicebus.entity import TopicEntity
from localcloud.servicebus.errors import InvalidArgumentError, QuotaExceededError
from localcloud.standard_tier import ENTITIES, MESSAGE_KB, SUBSCRIPTIONS


def as_standard(config: NamespaceConfig) -> NamespaceConfig:
    """The same entities with messages of 256 KB: one declaration serves both tiers."""
    return msgspec.structs.replace(
        config,
        queues=tuple(msgspec.structs.replace(one, properties=_limited(one.properties)) for one in config.queues),
        topics=tuple(msgspec.structs.replace(one, properties=_limited(one.properties)) for one in config.topics),
    )


def check_standard(broker: Broker, name: str, properties: EntityDescription, *, exists: bool) -> None:
    """Raises InvalidArgumentError for what the tier can't do, QuotaExceededError for one entity too many."""
    if isinstance(properties, QueueDescription | TopicDescription):
        if properties.max_message_size_in_kilobytes > MESSAGE_KB:
            raise InvalidArgumentError(
                f"MaxMessageSizeInKilobytes {properties.max_message_size_in_kilobytes}: a namespace of the tier "
                f"Standard has {MESSAGE_KB} and no other"
            )
        if not exists and len(broker.queues) + len(broker.topics) >= ENTITIES:
            raise QuotaExceededError(f"The namespace has {ENTITIES} queues and topics, which is the most.")
        return
    names = topology.split_subscription(name)
    topic = broker.topics.get(names[0].lower()) if names else None
    if not exists and isinstance(topic, TopicEntity) and len(topic.subscriptions) >= SUBSCRIPTIONS:
        raise QuotaExceededError(f"The topic '{topic.name}' has {SUBSCRIPTIONS} subscriptions, which is the most.")


def _limited(properties: QueueDescription | TopicDescription) -> QueueDescription | TopicDescription:
    size = min(properties.max_message_size_in_kilobytes, MESSAGE_KB)
    return msgspec.structs.replace(properties, max_message_size_in_kilobytes=size)
