"""confluent-kafka (librdkafka) against localcloud: a client that shares no code with aiokafka."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, ConfigSource, NewPartitions, NewTopic, OffsetSpec

from localcloud.testing import LocalCloudProcess
from localcloud.testing.waiting import wait_for
from localcloud_tests.support.kafka import CONNECTION_STRING, confluent_options

DEADLINE = 60.0


@pytest.fixture
def options(shared: LocalCloudProcess) -> dict[str, Any]:
    return confluent_options(shared.kafka_bootstrap)


@pytest.fixture
def consumers(options: dict[str, Any]) -> Iterator[Any]:
    opened: list[Consumer] = []

    def consumer(**settings: Any) -> Consumer:
        base = {"auto.offset.reset": "earliest", "enable.auto.commit": False, "group.id": "unused"}
        made = Consumer(options | base | settings)
        opened.append(made)
        return made

    yield consumer
    for consumer_ in opened:
        consumer_.close()


def send(options: dict[str, Any], hub: str, values: list[bytes], **settings: Any) -> list[KafkaError]:
    """Send all and wait; what was refused."""
    refused: list[KafkaError] = []
    producer = Producer(options | settings)

    def delivered(error: KafkaError | None, _: object) -> None:
        if error is not None:
            refused.append(error)

    for number, value in enumerate(values):
        headers = {"n": b"%d" % number}
        producer.produce(hub, value, key=b"key %d" % (number % 5), headers=headers, on_delivery=delivered)
    assert producer.flush(DEADLINE) == 0
    return refused


def read(consumer: Consumer, count: int) -> list[Any]:
    found: list[Any] = []
    end = time.monotonic() + DEADLINE
    while len(found) < count and time.monotonic() < end:
        messages = consumer.consume(count - len(found), 0.5)
        assert [m.error() for m in messages if m.error()] == []
        found += messages
    assert len(found) == count
    return found


@pytest.mark.parametrize(
    ("hub", "settings"),
    [
        ("seven", {"enable.idempotence": True, "compression.type": "gzip"}),
        ("eight", {"acks": 0}),
        ("nine", {"acks": 1, "linger.ms": 0, "batch.num.messages": 1}),
    ],
)
def test_what_is_sent_is_read(options: dict[str, Any], consumers: Any, hub: str, settings: dict[str, Any]) -> None:
    values = [b"value %d" % number * 20 for number in range(500)]
    assert send(options, hub, values, **settings) == []
    consumer = consumers()
    consumer.assign([TopicPartition(hub, number, 0) for number in range(3)])
    messages = read(consumer, 500)
    assert {m.value() for m in messages} == set(values)
    assert all(m.headers() == [("n", b"%d" % values.index(m.value()))] for m in messages)
    marks = [consumer.get_watermark_offsets(TopicPartition(hub, number), 5.0) for number in range(3)]
    assert sum(high for _, high in marks) == 500
    assert [low for low, _ in marks] == [0, 0, 0]


@pytest.mark.parametrize("codec", ["snappy", "lz4", "zstd"])
def test_other_codecs_are_refused_as_event_hubs_does(options: dict[str, Any], codec: str) -> None:
    refused = send(
        options, "single", [b"compressible " * 1000], **{"compression.type": codec, "message.timeout.ms": 3000}
    )
    assert [error.code() for error in refused] == [KafkaError.UNSUPPORTED_COMPRESSION_TYPE]


def test_a_group_shares_partitions_and_commits(options: dict[str, Any], consumers: Any) -> None:
    admin = AdminClient(options)
    admin.create_topics([NewTopic("shared-by-two", 4, 1)])["shared-by-two"].result(DEADLINE)
    members = [consumers(**{"group.id": "pair", "client.id": f"member-{n}"}) for n in range(2)]
    for member in members:
        member.subscribe(["shared-by-two"])

    def two_each() -> bool:
        for member in members:
            assert member.poll(0.05) is None
        return all(len(member.assignment()) == 2 for member in members)

    wait_for(two_each, "two partitions for each of two members")
    producer = Producer(options)
    for number in range(4):
        producer.produce("shared-by-two", b"%d" % number, partition=number)
    assert producer.flush(DEADLINE) == 0
    for member in members:
        messages = read(member, 2)
        assert {m.partition() for m in messages} == {tp.partition for tp in member.assignment()}
        member.commit(asynchronous=False)
    description = admin.describe_consumer_groups(["pair"])["pair"].result(DEADLINE)
    assert (description.state.name, len(description.members)) == ("STABLE", 2)
    listed = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions("pair")])["pair"].result(DEADLINE)
    assert {(tp.partition, tp.offset) for tp in listed.topic_partitions} == {(n, 1) for n in range(4)}


def test_a_static_member_comes_back_to_its_partitions_without_a_rebalance(options: dict[str, Any]) -> None:
    admin = AdminClient(options)
    admin.create_topics([NewTopic("static", 2, 1)])["static"].result(DEADLINE)
    assigned: list[str] = []

    def member(name: str) -> Consumer:
        made = Consumer(options | {"group.id": "static", "group.instance.id": name, "auto.offset.reset": "earliest"})
        made.subscribe(["static"], on_assign=lambda *_: assigned.append(name))
        return made

    first, second = member("a"), member("b")

    def settled() -> bool:
        first.poll(0.05)
        second.poll(0.05)
        return len(first.assignment()) == len(second.assignment()) == 1

    wait_for(settled, "one partition each")
    held = second.assignment()[0].partition
    before = assigned.count("a")
    second.close()
    second = member("b")
    wait_for(settled, "the partition that it had")
    assert second.assignment()[0].partition == held
    assert assigned.count("a") == before
    first.close()
    second.close()


def test_offsets_by_time(options: dict[str, Any]) -> None:
    admin = AdminClient(options)
    admin.create_topics([NewTopic("timed", 1, 1)])["timed"].result(DEADLINE)
    producer = Producer(options)
    for timestamp in (100, 300, 200):
        producer.produce("timed", b"v", timestamp=timestamp)
        producer.flush(DEADLINE)
    consumer = Consumer(options | {"group.id": "unused"})
    try:
        (found,) = consumer.offsets_for_times([TopicPartition("timed", 0, 150)], DEADLINE)
        assert found.offset == 1
    finally:
        consumer.close()
    partition = TopicPartition("timed", 0)
    for spec, offset in ((OffsetSpec.earliest(), 0), (OffsetSpec.latest(), 3), (OffsetSpec.max_timestamp(), 1)):
        assert admin.list_offsets({partition: spec})[partition].result(DEADLINE).offset == offset


def test_configurations_say_what_holds(options: dict[str, Any]) -> None:
    admin = AdminClient(options)
    for hub, policy in (("single", "delete"), ("tables", "compact")):
        (future,) = admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, hub)]).values()
        configs = future.result(DEADLINE)
        assert configs["cleanup.policy"].value == policy
        assert configs["max.message.bytes"].value == "1048576"
    (missing,) = admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, "nothing-here")]).values()
    with pytest.raises(KafkaException):
        missing.result(DEADLINE)


def test_every_kind_of_client_lists_all_topics(options: dict[str, Any], consumers: Any) -> None:
    for client in (Producer(options), consumers(), AdminClient(options)):
        listed = client.list_topics(timeout=DEADLINE)
        assert {"single", "tables"} <= set(listed.topics)
        assert [topic.error for topic in listed.topics.values() if topic.error] == []
        assert len(client.list_topics("single", timeout=DEADLINE).topics["single"].partitions) == 1


def test_a_name_that_no_topic_can_have_is_refused_at_once(options: dict[str, Any], consumers: Any) -> None:
    refused = send(options, "not a name", [b"v"], **{"message.timeout.ms": 60_000})
    assert [error.code() for error in refused] == [KafkaError.TOPIC_EXCEPTION]
    for client in (Producer(options), consumers(), AdminClient(options)):
        (listed,) = client.list_topics("not a name", timeout=DEADLINE).topics.values()
        assert listed.error.code() == KafkaError.TOPIC_EXCEPTION


def test_a_topic_is_created_on_demand_by_those_who_ask_for_it(options: dict[str, Any], consumers: Any) -> None:
    admin = AdminClient(options)
    consumer = consumers()
    consumer.subscribe(["asked-for"])  # a consumer of librdkafka does not ask for it unless it is told to
    for _ in range(10):
        consumer.poll(0.05)
    assert "asked-for" not in admin.list_topics(timeout=DEADLINE).topics
    assert send(options, "asked-for", [b"v"]) == []
    assert len(admin.list_topics(timeout=DEADLINE).topics["asked-for"].partitions) == 1


@pytest.mark.parametrize(
    ("topic", "code"),
    [
        (NewTopic("refused", 1, 1, config={"no.such.config": "1"}), KafkaError.INVALID_CONFIG),
        (NewTopic("refused", 1, 1, config={"retention.ms": "long"}), KafkaError.INVALID_CONFIG),
        (NewTopic("refused", 1, 1, config={"retention.ms": "-2"}), KafkaError.INVALID_CONFIG),
        (NewTopic("refused", 1, 1, config={"cleanup.policy": "shred"}), KafkaError.INVALID_CONFIG),
        (NewTopic("refused", 33, 1), KafkaError.INVALID_PARTITIONS),
        (NewTopic("not a name", 1, 1), KafkaError.TOPIC_EXCEPTION),
        (NewTopic("single", 1, 1), KafkaError.TOPIC_ALREADY_EXISTS),
    ],
    ids=lambda value: "" if isinstance(value, NewTopic) else KafkaError(value).name(),
)
@pytest.mark.parametrize("validate_only", [False, True])
def test_a_topic_that_cannot_be_is_refused(
    options: dict[str, Any], topic: NewTopic, code: int, validate_only: bool
) -> None:
    admin = AdminClient(options)
    (future,) = admin.create_topics([topic], validate_only=validate_only).values()
    with pytest.raises(KafkaException) as refusal:
        future.result(DEADLINE)
    assert refusal.value.args[0].code() == code
    assert "refused" not in admin.list_topics(timeout=DEADLINE).topics


def test_a_value_that_is_the_default_is_told_as_one(options: dict[str, Any]) -> None:
    admin = AdminClient(options)
    given = {"cleanup.policy": "compact", "message.timestamp.type": "LogAppendTime", "segment.ms": "60000"}
    named = {"cleanup.policy": "delete", "retention.ms": "604800000", "compression.type": "producer"}
    for name, config in (
        ("given", given),
        ("kept", {"retention.ms": "3600000"}),
        ("plain", {}),
        # Kafka tells these as given. A hub has settings, and does not keep who named them.
        ("named", named),
    ):
        admin.create_topics([NewTopic(name, 1, 1, config=config)])[name].result(DEADLINE)
    expected = {
        "given": {"cleanup.policy": "compact", "message.timestamp.type": "LogAppendTime", "retention.ms": "-1"},
        "kept": {"retention.ms": "3600000"},
        "plain": {},
        "named": {},
    }
    for name, own in expected.items():
        (future,) = admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, name)]).values()
        configs = future.result(DEADLINE)
        assert {key: each.value for key, each in configs.items() if not each.is_default} == own
        assert {each.source for each in configs.values() if each.is_default} == {ConfigSource.DEFAULT_CONFIG.value}
        assert {each.source for key, each in configs.items() if key in own} <= {ConfigSource.DYNAMIC_TOPIC_CONFIG.value}


def test_admin_requests_about_what_is_not_there(options: dict[str, Any]) -> None:
    admin = AdminClient(options)

    def code_of(futures: dict[Any, Any]) -> int:
        with pytest.raises(KafkaException) as refusal:
            next(iter(futures.values())).result(DEADLINE)
        return int(refusal.value.args[0].code())

    topic, broker = ConfigResource.Type.TOPIC, ConfigResource.Type.BROKER
    assert code_of(admin.delete_topics(["nothing-here"])) == KafkaError.UNKNOWN_TOPIC_OR_PART
    assert code_of(admin.create_partitions([NewPartitions("nothing-here", 2)])) == KafkaError.UNKNOWN_TOPIC_OR_PART
    assert code_of(admin.create_partitions([NewPartitions("one", 2)])) == KafkaError.INVALID_PARTITIONS
    assert code_of(admin.describe_configs([ConfigResource(topic, "nothing-here")])) == KafkaError.UNKNOWN_TOPIC_OR_PART
    assert code_of(admin.describe_configs([ConfigResource(topic, "not a name")])) == KafkaError.TOPIC_EXCEPTION
    assert code_of(admin.delete_consumer_groups(["no-such-group"])) == KafkaError.GROUP_ID_NOT_FOUND
    assert admin.describe_consumer_groups(["no-such-group"])["no-such-group"].result(DEADLINE).state.name == "DEAD"
    (future,) = admin.describe_configs([ConfigResource(broker, "0")]).values()
    assert future.result(DEADLINE)["auto.create.topics.enable"].value == "true"


def test_offsets_of_what_is_not_there(options: dict[str, Any]) -> None:
    admin = AdminClient(options)
    absent, present = TopicPartition("nothing-here", 0, 5), TopicPartition("one", 0, 5)
    far = TopicPartition("one", 99, 5)
    asked = [ConsumerGroupTopicPartitions("odd-offsets", [absent, present, far])]
    changed = admin.alter_consumer_group_offsets(asked)["odd-offsets"].result(DEADLINE).topic_partitions
    assert {(tp.topic, tp.partition): tp.error and tp.error.code() for tp in changed} == {
        ("nothing-here", 0): KafkaError.UNKNOWN_TOPIC_OR_PART,
        ("one", 0): None,
        ("one", 99): KafkaError.UNKNOWN_TOPIC_OR_PART,
    }
    bare = [TopicPartition(tp.topic, tp.partition) for tp in (absent, present, far)]
    asked = [ConsumerGroupTopicPartitions("odd-offsets", bare)]
    found = admin.list_consumer_group_offsets(asked)["odd-offsets"].result(DEADLINE).topic_partitions
    nothing = -1001  # what librdkafka makes of -1
    assert {(tp.topic, tp.partition): tp.offset for tp in found} == {
        ("nothing-here", 0): nothing,
        ("one", 0): 5,
        ("one", 99): nothing,
    }


def test_transactions_are_refused(options: dict[str, Any]) -> None:
    producer = Producer(options | {"transactional.id": "t"})
    with pytest.raises(KafkaException) as refusal:
        producer.init_transactions(5.0)
    assert refusal.value.args[0].code() == KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED


def test_a_wrong_password_is_told(shared: LocalCloudProcess) -> None:
    told = threading.Event()

    def error(problem: KafkaError) -> None:
        if problem.code() == KafkaError._AUTHENTICATION:
            told.set()

    wrong = confluent_options(shared.kafka_bootstrap, CONNECTION_STRING.replace("SAS_KEY_VALUE", "guess"))
    producer = Producer(wrong | {"error_cb": error, "log_level": 0})

    def polled() -> bool:
        producer.poll(0.05)
        return told.is_set()

    wait_for(polled, "the client to be told that its password is wrong")
