"""What the tier Standard has less of than localcloud, which is Premium otherwise.

Source: "Service Bus quotas" and "Large messages support" (Microsoft Learn).
"""

from collections import Counter
from collections.abc import Iterable
from typing import Final

import msgspec

from localcloud.config import ConfigError
from localcloud.servicebus.config import NamespaceConfig
from localcloud.servicebus.entities import (
    CorrelationFilter,
    EntityDescription,
    Filter,
    QueueDescription,
    RuleDescription,
    SendingDescription,
    SqlFilter,
    TopicDescription,
)
from localcloud.servicebus.errors import InvalidArgumentError, QuotaExceededError


class EntityLimits(msgspec.Struct, frozen=True):
    """How much a namespace may have: queues and topics, subscriptions of a topic, filters of a topic by their kind."""

    message_kb: int = 256
    entities: int = 10_000
    subscriptions: int = 2_000
    sql_filters: int = 2_000
    correlation_filters: int = 100_000

    def check_size(self, properties: EntityDescription) -> None:
        """Raises InvalidArgumentError."""
        if not isinstance(properties, QueueDescription | TopicDescription):
            return
        if properties.max_message_size_in_kilobytes > self.message_kb:
            raise InvalidArgumentError(
                f"MaxMessageSizeInKilobytes {properties.max_message_size_in_kilobytes}: a namespace of the tier "
                f"Standard has {self.message_kb} and no other"
            )

    def check_entities(self, count: int) -> None:
        """Raises QuotaExceededError where a namespace may not have `count` queues and topics."""
        if count > self.entities:
            raise QuotaExceededError(f"{count} queues and topics; a namespace has {self.entities} at most")

    def check_subscriptions(self, topic: str, count: int) -> None:
        """Raises QuotaExceededError where `topic` may not have `count` subscriptions."""
        if count > self.subscriptions:
            raise QuotaExceededError(f"{count} subscriptions of '{topic}'; a topic has {self.subscriptions} at most")

    def check_filters(self, topic: str, filters: Iterable[Filter]) -> None:
        """Raises QuotaExceededError where `topic` may not have these filters, all of its subscriptions together."""
        counts = Counter(type(one) for one in filters)
        for kind, most in ((SqlFilter, self.sql_filters), (CorrelationFilter, self.correlation_filters)):
            if counts[kind] > most:
                raise QuotaExceededError(f"{counts[kind]} filters {kind.__name__} of '{topic}'; it has {most} at most")


STANDARD: Final = EntityLimits()


def as_standard(config: NamespaceConfig, limits: EntityLimits = STANDARD) -> NamespaceConfig:
    """The same entities with messages of 256 KB: one declaration serves both tiers.

    Raises ConfigError where the tier can't have so many.
    """
    try:
        limits.check_entities(len(config.queues) + len(config.topics))
        for topic in config.topics:
            limits.check_subscriptions(topic.name, len(topic.subscriptions))
            rules: list[RuleDescription] = [rule for one in topic.subscriptions for rule in one.rules]
            limits.check_filters(topic.name, (rule.filter for rule in rules))
    except QuotaExceededError as error:
        raise ConfigError(f"{error}; without --like-azure there is no such limit") from None
    return msgspec.structs.replace(
        config,
        queues=tuple(
            msgspec.structs.replace(one, properties=_limited(one.properties, limits)) for one in config.queues
        ),
        topics=tuple(
            msgspec.structs.replace(one, properties=_limited(one.properties, limits)) for one in config.topics
        ),
    )


def _limited(properties: SendingDescription, limits: EntityLimits) -> SendingDescription:
    size = min(properties.max_message_size_in_kilobytes, limits.message_kb)
    return msgspec.structs.replace(properties, max_message_size_in_kilobytes=size)
