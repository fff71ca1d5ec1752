"""What a hub holds, read by a client that isn't the publisher's."""

from aiokafka import AIOKafkaConsumer, TopicPartition

from localcloud_tests.support.kafka import aiokafka_options
from songline.schemas.channels import MUSIC_EVENTS
from tests.support.localcloud import LocalCloud
from tests.support.waiting import wait_for_async


async def read_all(cloud: LocalCloud, hub: str = MUSIC_EVENTS) -> list[list[tuple[bytes | None, bytes]]]:
    """(key, value) of everything that is there now, in order, a list for each partition.

    The key is the record's, or else the partition key, which events that came over AMQP have in a header.
    """
    consumer = AIOKafkaConsumer(
        hub,
        **aiokafka_options(cloud.kafka_bootstrap, cloud.eventhub_connection_string),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:

        async def assigned() -> frozenset[TopicPartition]:
            return frozenset(consumer.assignment())

        partitions = sorted(await wait_for_async(assigned, f"the partitions of {hub}"))
        ends = await consumer.end_offsets(partitions)
        found: dict[TopicPartition, list[tuple[bytes | None, bytes]]] = {each: [] for each in partitions}
        for each in partitions:
            while await consumer.position(each) < ends[each]:
                for record in (await consumer.getmany(each, timeout_ms=1_000)).get(each, ()):
                    found[each].append((record.key or partition_key(dict(record.headers)), record.value))
        return list(found.values())
    finally:
        await consumer.stop()


def partition_key(headers: dict[str, bytes]) -> bytes | None:
    """As AMQP encodes a string: its length behind one byte, and for a long one four."""
    encoded = headers.get("x-opt-partition-key")
    return None if encoded is None else encoded[2 if encoded[0] == 0xA1 else 5 :]
