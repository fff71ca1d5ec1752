"""Quotas of the tier Standard: what is declared, and what is made later by either door."""

import pytest

from localcloud.config import ConfigError
from localcloud.servicebus import registry
from localcloud.servicebus.broker import Broker
from localcloud.servicebus.config import NamespaceConfig, QueueConfig, SubscriptionConfig, TopicConfig
from localcloud.servicebus.entities import (
    DEFAULT_RULE,
    CorrelationFilter,
    QueueDescription,
    RuleDescription,
    SqlFilter,
    SubscriptionDescription,
    TopicDescription,
)
from localcloud.servicebus.entity import EntityDocument
from localcloud.servicebus.errors import EntityExistsError, InvalidArgumentError, QuotaExceededError
from localcloud.servicebus.standard_limits import STANDARD, EntityLimits, as_standard
from localcloud_tests.unit.servicebus.builders import T0, broker_with

FEW = EntityLimits(entities=3, subscriptions=2, sql_filters=2, correlation_filters=1)
SQL = SqlFilter("size > 1")
CORRELATION = CorrelationFilter(label="a")


def sql_rule(name: str) -> RuleDescription:
    return RuleDescription(name, SQL)


def correlation_rule(name: str) -> RuleDescription:
    return RuleDescription(name, CORRELATION)


def queue(name: str, kilobytes: int = 256) -> EntityDocument:
    return EntityDocument(name, T0, T0, queue=QueueDescription(max_message_size_in_kilobytes=kilobytes))


def topic(name: str) -> EntityDocument:
    return EntityDocument(name, T0, T0, topic=TopicDescription())


def subscription(name: str, rule: RuleDescription = DEFAULT_RULE) -> EntityDocument:
    return EntityDocument(f"news/Subscriptions/{name}", T0, T0, subscription=SubscriptionDescription(), rules=(rule,))


def limited(*made: EntityDocument, limits: EntityLimits = FEW) -> Broker:
    broker = broker_with(topics={"news": TopicDescription()})
    broker.limits = limits
    for one in made:
        registry.create(broker, one, T0)
    return broker


def test_the_services_numbers() -> None:
    found = (STANDARD.message_kb, STANDARD.entities, STANDARD.subscriptions, STANDARD.sql_filters)
    assert found == (256, 10_000, 2_000, 2_000)


@pytest.mark.parametrize("one_more", [queue("q3"), topic("t3")])
def test_queues_and_topics_count_together(one_more: EntityDocument) -> None:
    broker = limited(queue("q1"), topic("t1"))
    with pytest.raises(QuotaExceededError, match="4 queues and topics; a namespace has 3 at most") as refused:
        registry.create(broker, one_more, T0)
    assert refused.value.status == 403
    with pytest.raises(EntityExistsError):
        registry.create(broker, queue("Q1"), T0)
    registry.update(broker, broker.entity("q1"), QueueDescription(max_delivery_count=3), T0)
    broker.delete(broker.entity("q1"))
    registry.create(broker, one_more, T0)


def test_subscriptions_count_for_their_topic() -> None:
    broker = limited(topic("other"), subscription("a"), subscription("b"))
    with pytest.raises(QuotaExceededError, match="3 subscriptions of 'news'; a topic has 2 at most"):
        registry.create(broker, subscription("c"), T0)
    with pytest.raises(EntityExistsError):
        registry.create(broker, subscription("A"), T0)
    elsewhere = EntityDocument("other/Subscriptions/a", T0, T0, subscription=SubscriptionDescription())
    registry.create(broker, elsewhere, T0)
    broker.delete(broker.entity("news/Subscriptions/a"))
    registry.create(broker, subscription("c"), T0)


def test_filters_count_for_their_topic_by_kind() -> None:
    broker = limited(subscription("a", sql_rule("first")), subscription("b"))
    registry.put_rule(broker, "news/Subscriptions/b", sql_rule("second"), exists=False)
    registry.put_rule(broker, "news/Subscriptions/b", correlation_rule("third"), exists=False)
    for one_more in (sql_rule("one"), correlation_rule("one")):
        with pytest.raises(QuotaExceededError, match="of 'news'"):
            registry.put_rule(broker, "news/Subscriptions/a", one_more, exists=False)
    registry.put_rule(broker, "news/Subscriptions/b", sql_rule("Second"), exists=True)
    with pytest.raises(QuotaExceededError):
        registry.put_rule(broker, "news/Subscriptions/b", sql_rule("third"), exists=True)
    assert broker.entity("news/Subscriptions/b").document.rules[-1] == correlation_rule("third")


def test_a_new_subscriptions_own_filter_counts() -> None:
    broker = limited(subscription("a", correlation_rule("first")))
    with pytest.raises(QuotaExceededError):
        registry.create(broker, subscription("b", correlation_rule("first")), T0)
    assert list(broker.topics["news"].subscriptions) == ["a"]


def test_a_message_has_256_kb() -> None:
    broker = limited(queue("q1"))
    with pytest.raises(InvalidArgumentError, match=r"MaxMessageSizeInKilobytes 1024: .* has 256"):
        registry.create(broker, queue("q2", kilobytes=1024), T0)
    with pytest.raises(InvalidArgumentError):
        registry.update(broker, broker.entity("q1"), QueueDescription(max_message_size_in_kilobytes=257), T0)


def test_without_the_tier_nothing_is_counted() -> None:
    broker = limited(limits=EntityLimits(entities=0, subscriptions=0))
    broker.limits = None
    registry.create(broker, queue("large", kilobytes=102_400), T0)
    registry.create(broker, subscription("a"), T0)


def test_a_declaration_that_the_tier_can_not_have_does_not_start() -> None:
    queues = tuple(QueueConfig(f"q{number}", QueueDescription()) for number in range(3))
    subscriptions = tuple(
        SubscriptionConfig(f"s{number}", SubscriptionDescription(), (sql_rule("r"),)) for number in range(2)
    )
    news = TopicConfig("news", TopicDescription(), subscriptions)
    assert as_standard(NamespaceConfig(queues[:2], (news,)), FEW).topics == (news,)
    for config, limits, words in (
        (NamespaceConfig(queues, (news,)), FEW, "4 queues and topics"),
        (NamespaceConfig((), (news,)), EntityLimits(subscriptions=1), "2 subscriptions of 'news'"),
        (NamespaceConfig((), (news,)), EntityLimits(sql_filters=1), "2 filters SqlFilter of 'news'"),
    ):
        with pytest.raises(ConfigError, match=f"{words}.*without --like-azure there is no such limit"):
            as_standard(config, limits)
