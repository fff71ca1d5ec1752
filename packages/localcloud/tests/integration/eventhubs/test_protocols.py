"""Events across the protocols: sent over AMQP and read over Kafka, and the other way round, by the clients themselves.

docs/kafka.md says what Azure does, and by which source.
"""

from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from azure.eventhub import EventData
from azure.eventhub.amqp import AmqpAnnotatedMessage, AmqpMessageProperties
from confluent_kafka import Consumer, Producer
from confluent_kafka import TopicPartition as ConfluentPartition

from localcloud.amqp.codec import decode
from localcloud_tests.integration.eventhubs.hub import DEADLINE, Hub, body_of
from localcloud_tests.support.kafka import aiokafka_options, confluent_options

Event = tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]


async def read_over_kafka(hub: Hub, partition: int, count: int) -> list[Event]:
    """Key, value and headers of a partition's first events: aiokafka and librdkafka have the same."""
    async with AIOKafkaConsumer(**aiokafka_options(hub.cloud.kafka_bootstrap), auto_offset_reset="earliest") as reader:
        reader.assign([TopicPartition(hub.name, partition)])
        found = [await reader.getone() for _ in range(count)]
    other = Consumer(confluent_options(hub.cloud.kafka_bootstrap) | {"group.id": hub.name})
    messages: list[Any] = []
    try:
        other.assign([ConfluentPartition(hub.name, partition, 0)])
        while len(messages) < count:
            got = other.consume(count - len(messages), DEADLINE)
            assert got, "librdkafka reads what aiokafka has read"
            messages += got
    finally:
        other.close()
    events = [(each.key, each.value, list(each.headers)) for each in found]
    assert events == [(each.key(), each.value(), each.headers() or []) for each in messages]
    return events


async def test_a_partition_key_is_a_header_for_kafka_and_there_is_no_key(hub: Hub) -> None:
    await hub.send("batch of one", "of two", partition_key="user-7")
    async with hub.producer(buffered_mode=True, on_success=ignore, on_error=ignore) as producer:
        await producer.send_event(EventData("buffered"), partition_key="user-7")
    events = await hub.receive(3)
    (number,) = {int(partition) for partition, _ in events}
    assert {event.partition_key for _, event in events} == {b"user-7"}
    for key, _, headers in await read_over_kafka(hub, number, 3):
        assert (key, headers) == (None, [("x-opt-partition-key", b"\xa1\x06user-7")])


async def ignore(*_: object) -> None:
    """What becomes of a buffered event is read from the hub."""


async def test_properties_are_headers_for_kafka_in_amqp_encoding_but_for_seven(hub: Hub) -> None:
    properties = {"text": "hello", "number": 1234, "flag": True, "bytes": b"x"}
    message = AmqpAnnotatedMessage(
        data_body=b"body",
        properties=AmqpMessageProperties(  # type: ignore[no-untyped-call]
            message_id="id-1", content_type="application/json", to="there", subject="coffee"
        ),
        application_properties=properties,
    )
    async with hub.producer() as producer:
        batch = await producer.create_batch(partition_id="0")
        batch.add(message)
        await producer.send_batch(batch)
    [(key, value, pairs)] = await read_over_kafka(hub, 0, 1)
    headers = dict(pairs)
    assert (key, value, "x-opt-partition-key" in headers) == (None, b"body", False)
    assert {name: decode(headers[name] or b"")[0] for name in properties} == properties
    assert (headers["message-id"], headers["content-type"], headers["to"]) == (b"id-1", b"application/json", b"there")
    assert decode(headers["subject"] or b"")[0] == "coffee"
    # And AMQP readers have what was sent.
    [(_, event)] = await hub.receive(1)
    assert event.properties == {name.encode(): as_read(content) for name, content in properties.items()}
    assert (event.message_id, event.content_type) == ("id-1", "application/json")


def as_read(content: object) -> object:
    """As the SDK gives a property back: strings as bytes."""
    return content.encode() if isinstance(content, str) else content


async def test_a_key_of_kafka_is_an_annotation_for_amqp_and_its_headers_are_bytes(hub: Hub) -> None:
    """Also headers whose bytes happen to be well-formed AMQP: the letter A would be `true`."""
    headers: list[tuple[str, bytes]] = [("h", b"v"), ("letter", b"A"), ("four", b"\x54\x04")]
    async with AIOKafkaProducer(**aiokafka_options(hub.cloud.kafka_bootstrap)) as producer:
        await producer.send_and_wait(hub.name, b"first", b"user-7", partition=0, headers=headers)
    other = Producer(confluent_options(hub.cloud.kafka_bootstrap) | {"compression.type": "gzip"})
    other.produce(hub.name, b"second" * 100, partition=0, headers=headers)
    assert other.flush(DEADLINE) == 0
    [(_, keyed), (_, bare)] = await hub.receive(2)
    assert (body_of(keyed), body_of(bare)) == (b"first", b"second" * 100)
    assert keyed.partition_key is None
    assert keyed.system_properties[b"x-opt-kafka-key"] == b"user-7"
    assert b"x-opt-kafka-key" not in bare.system_properties
    for event in (keyed, bare):
        assert event.properties == {name.encode(): content for name, content in headers}
    assert [(key, pairs) for key, _, pairs in await read_over_kafka(hub, 0, 2)] == [
        (b"user-7", headers),
        (None, headers),
    ]
