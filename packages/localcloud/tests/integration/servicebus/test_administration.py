"""The administration interface, through Azure's unmodified client."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
)
from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusSubQueue
from azure.servicebus.management import (
    AccessRights,
    AuthorizationRule,
    CorrelationRuleFilter,
    EntityStatus,
    FalseRuleFilter,
    ServiceBusAdministrationClient,
    SqlRuleAction,
    SqlRuleFilter,
    TrueRuleFilter,
)

from localcloud.testing import LocalCloudProcess

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def client(cloud: LocalCloudProcess) -> ServiceBusAdministrationClient:
    return ServiceBusAdministrationClient.from_connection_string(
        cloud.servicebus_admin_connection_string,
        connection_verify=str(cloud.servicebus_certificate),
        retry_total=0,
    )


@pytest.fixture
def admin(cloud: LocalCloudProcess) -> Iterator[ServiceBusAdministrationClient]:
    with client(cloud) as made:
        yield made


def test_a_queue_is_made_read_changed_and_deleted(admin: ServiceBusAdministrationClient) -> None:
    made = admin.create_queue(
        "adm/queue",
        lock_duration=timedelta(seconds=30),
        max_delivery_count=3,
        requires_session=True,
        default_message_time_to_live=timedelta(days=2),
        dead_lettering_on_message_expiration=True,
        user_metadata="made by a test",
        forward_dead_lettered_messages_to="graves",
    )
    assert made.lock_duration == timedelta(seconds=30)
    read = admin.get_queue("ADM/queue")
    assert (read.max_delivery_count, read.requires_session, read.user_metadata) == (3, True, "made by a test")
    assert read.default_message_time_to_live == timedelta(days=2)
    assert isinstance(read.auto_delete_on_idle, timedelta)
    assert read.auto_delete_on_idle > timedelta(days=10_000)
    assert str(read.forward_dead_lettered_messages_to).startswith("sb://127.0.0.1:")
    assert str(read.forward_dead_lettered_messages_to).endswith("/graves")
    read.max_delivery_count = 7
    read.status = EntityStatus.SEND_DISABLED
    admin.update_queue(read)
    assert admin.get_queue("adm/queue").max_delivery_count == 7
    assert admin.get_queue("adm/queue").status == EntityStatus.SEND_DISABLED
    read.requires_session = False
    with pytest.raises(HttpResponseError, match="can't be changed"):
        admin.update_queue(read)
    with pytest.raises(ResourceExistsError):
        admin.create_queue("adm/queue")
    admin.delete_queue("adm/queue")
    with pytest.raises(ResourceNotFoundError):
        admin.get_queue("adm/queue")
    with pytest.raises(ResourceNotFoundError):
        admin.delete_queue("adm/queue")


def test_what_can_not_be_a_queue(admin: ServiceBusAdministrationClient) -> None:
    for name, options in (
        ("bad name", {}),
        ("ends.", {}),
        ("x", {"lock_duration": timedelta(minutes=6)}),
        ("x", {"max_delivery_count": 0}),
        ("x", {"forward_to": "no-such-queue"}),
        ("x", {"forward_to": "x"}),
    ):
        with pytest.raises(HttpResponseError):
            admin.create_queue(name, **options)
    with pytest.raises(ResourceNotFoundError):
        admin.get_queue("x")


def test_runtime_properties_count_messages(
    admin: ServiceBusAdministrationClient, sync_bus: ServiceBusClient, queue: str
) -> None:
    with sync_bus.get_queue_sender(queue) as sender:
        sender.send_messages([ServiceBusMessage("x" * 100) for _ in range(3)])
    with sync_bus.get_queue_receiver(queue) as receiver:
        (message,) = receiver.receive_messages(1, max_wait_time=60)
        receiver.dead_letter_message(message)
    found = admin.get_queue_runtime_properties(queue)
    assert (found.active_message_count, found.dead_letter_message_count, found.total_message_count) == (2, 1, 3)
    assert found.size_in_bytes is not None
    assert found.size_in_bytes > 300
    assert found.created_at_utc is not None


def test_lists_are_paged(admin: ServiceBusAdministrationClient) -> None:
    for number in range(103):
        admin.create_queue(f"page-{number}")
    names = [found.name for found in admin.list_queues()]
    assert len(names) == len(set(names))
    assert {f"page-{number}" for number in range(103)} <= set(names)
    for number in range(103):
        admin.delete_queue(f"page-{number}")
    assert any(found.name == "graves" for found in admin.list_queues_runtime_properties())


def test_topics_subscriptions_and_rules(admin: ServiceBusAdministrationClient, sync_bus: ServiceBusClient) -> None:
    topic = admin.create_topic("made", default_message_time_to_live=timedelta(hours=1))
    topic.user_metadata = "changed"
    admin.update_topic(topic)
    assert admin.get_topic("made").user_metadata == "changed"
    subscription = admin.create_subscription("made", "sub", max_delivery_count=4)
    subscription.max_delivery_count = 5
    admin.update_subscription("made", subscription)
    assert admin.get_subscription("made", "sub").max_delivery_count == 5
    assert isinstance(admin.get_rule("made", "sub", "$Default").filter, TrueRuleFilter)
    admin.delete_rule("made", "sub", "$Default")
    made = admin.create_rule(
        "made",
        "sub",
        "sql",
        filter=SqlRuleFilter("n > @least AND name = @name", parameters={"@least": 5, "@name": "x", "@when": MOMENT}),
        action=SqlRuleAction("SET n = n + 1"),
    )
    assert isinstance(made.filter, SqlRuleFilter)
    assert made.filter.parameters == {"@least": 5, "@name": "x", "@when": MOMENT}
    assert isinstance(made.action, SqlRuleAction)
    admin.create_rule(
        "made",
        "sub",
        "correlation",
        filter=CorrelationRuleFilter(label="l", properties={"a": 1, "b": True, "c": "x", "d": 1.5}),
    )
    admin.create_rule("made", "sub", "never", filter=FalseRuleFilter())
    rules = {rule.name: rule for rule in admin.list_rules("made", "sub")}
    assert set(rules) == {"sql", "correlation", "never"}
    read = rules["correlation"].filter
    assert isinstance(read, CorrelationRuleFilter)
    assert (read.label, read.properties) == ("l", {"a": 1, "b": True, "c": "x", "d": 1.5})
    with pytest.raises(HttpResponseError, match="SQL expression"):
        admin.create_rule("made", "sub", "wrong", filter=SqlRuleFilter("n >"))
    with sync_bus.get_topic_sender("made") as sender:
        sender.send_messages(ServiceBusMessage("taken", application_properties={"n": 6, "name": "x"}))
        sender.send_messages(ServiceBusMessage("not taken", application_properties={"n": 5, "name": "x"}))
    with sync_bus.get_subscription_receiver("made", "sub") as receiver:
        (message,) = receiver.receive_messages(5, max_wait_time=60)
        assert str(message) == "taken"
        assert message.application_properties == {b"n": 7, b"name": b"x"}
        receiver.complete_message(message)
    changed = rules["never"]
    changed.filter = SqlRuleFilter("TRUE")
    admin.update_rule("made", "sub", changed)
    assert isinstance(admin.get_rule("made", "sub", "never").filter, SqlRuleFilter)
    assert [s.name for s in admin.list_subscriptions("made")] == ["sub"]
    assert admin.get_topic_runtime_properties("made").subscription_count == 1
    assert admin.get_subscription_runtime_properties("made", "sub").total_message_count == 0
    assert "made" in [found.name for found in admin.list_topics()]
    admin.delete_subscription("made", "sub")
    admin.delete_topic("made")
    with pytest.raises(ResourceNotFoundError):
        admin.get_topic("made")


def test_a_queue_may_forward_to_itself_and_out_of_sessions(
    admin: ServiceBusAdministrationClient, sync_bus: ServiceBusClient
) -> None:
    admin.create_queue("last")
    admin.create_queue("ordered", requires_session=True, forward_to="last")
    with sync_bus.get_queue_sender("ordered") as sender:
        sender.send_messages(ServiceBusMessage("through", session_id="s"))
    with sync_bus.get_queue_receiver("last") as receiver:
        (message,) = receiver.receive_messages(1, max_wait_time=60)
        assert (str(message), message.session_id) == ("through", "s")
        receiver.complete_message(message)
    last = admin.get_queue("last")
    last.forward_to = "last"
    last.forward_dead_lettered_messages_to = "last"
    admin.update_queue(last)
    with sync_bus.get_queue_sender("last") as sender:
        sender.send_messages(ServiceBusMessage("round and round"))
    with sync_bus.get_queue_receiver("last", sub_queue=ServiceBusSubQueue.TRANSFER_DEAD_LETTER) as receiver:
        (message,) = receiver.receive_messages(1, max_wait_time=60)
        assert str(message) == "round and round"


def test_authorization_rules_are_remembered(admin: ServiceBusAdministrationClient) -> None:
    made = AuthorizationRule(
        type="SharedAccessAuthorizationRule",
        claim_type="SharedAccessKey",
        claim_value="None",
        rights=[AccessRights.SEND, AccessRights.LISTEN],
        key_name="workers",
        primary_key="a2V5",
        secondary_key="b3RoZXI=",
        created_at_utc=MOMENT,
    )
    queue = admin.create_queue("ruled", authorization_rules=[made])
    topic = admin.create_topic("ruled-topic")
    topic.authorization_rules = [made]
    admin.update_topic(topic)
    for read in (queue.authorization_rules, admin.get_topic("ruled-topic").authorization_rules):
        assert read is not None
        (rule,) = read
        assert (rule.type, rule.claim_type, rule.claim_value) == (made.type, made.claim_type, made.claim_value)
        assert (rule.rights, rule.key_name) == (made.rights, made.key_name)
        assert (rule.primary_key, rule.secondary_key) == (made.primary_key, made.secondary_key)
    queue.authorization_rules = []
    admin.update_queue(queue)
    assert not admin.get_queue("ruled").authorization_rules


def test_a_time_without_a_zone_stays_one(admin: ServiceBusAdministrationClient) -> None:
    naive = MOMENT.replace(tzinfo=None)
    admin.create_topic("zoneless")
    admin.create_subscription("zoneless", "sub")
    made = admin.create_rule(
        "zoneless", "sub", "at", filter=CorrelationRuleFilter(properties={"naive": naive, "zoned": MOMENT})
    )
    assert isinstance(made.filter, CorrelationRuleFilter)
    assert made.filter.properties == {"naive": naive, "zoned": MOMENT}


def test_a_topic_counts_its_filters(admin: ServiceBusAdministrationClient) -> None:
    admin.create_topic("counted")
    for name in ("one", "two"):
        admin.create_subscription("counted", name)
    admin.create_rule("counted", "one", "sql", filter=SqlRuleFilter("a = 1"))
    admin.create_rule("counted", "two", "correlation", filter=CorrelationRuleFilter(label="l"))
    found = admin.get_topic_runtime_properties("counted")
    assert (found.sql_filter_count, found.correlation_filter_count) == (3, 1)


def test_namespace_properties(admin: ServiceBusAdministrationClient) -> None:
    assert admin.get_namespace_properties().messaging_sku == "Premium"


def test_a_wrong_key_is_refused(cloud: LocalCloudProcess) -> None:
    with (
        ServiceBusAdministrationClient.from_connection_string(
            cloud.servicebus_admin_connection_string.replace("SAS_KEY_VALUE", "WRONG"),
            connection_verify=str(cloud.servicebus_certificate),
            retry_total=0,
        ) as wrong,
        pytest.raises(ClientAuthenticationError),
    ):
        wrong.get_queue("end")


def test_what_was_made_outlives_a_kill(tmp_path: Path) -> None:
    cloud = LocalCloudProcess(tmp_path / "cloud").start()
    try:
        with client(cloud) as admin:
            admin.create_queue("kept", max_delivery_count=3)
            admin.create_queue("gone")
            admin.delete_queue("gone")
            admin.create_topic("topic")
            admin.create_subscription("topic", "sub")
            admin.create_rule("topic", "sub", "rule", filter=SqlRuleFilter("a = 1"))
        cloud.restart()
        with client(cloud) as admin:
            assert admin.get_queue("kept").max_delivery_count == 3
            assert {queue.name for queue in admin.list_queues()} == {"kept"}
            assert [rule.name for rule in admin.list_rules("topic", "sub")] == ["$Default", "rule"]
    finally:
        cloud.stop()
