"""localcloud dies of SIGKILL under load, again and again: what it acknowledged is there, in order, once."""

import asyncio
import gc
import json
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubProducerClient
from azure.eventhub.exceptions import EventHubError
from confluent_kafka import Producer

from localcloud.testing import LocalCloudProcess
from localcloud.testing.waiting import listens, wait_for_async
from localcloud_tests.support.kafka import aiokafka_options, confluent_options

ROUNDS = 4
ACKNOWLEDGED_A_ROUND = 300
PARTITIONS = 2
BATCH = 5
HUBS = ("aiokafka", "confluent", "amqp")


class Acknowledged:
    """The events of one producer that were acknowledged, in the order of their sending for each partition."""

    def __init__(self) -> None:
        self.events: defaultdict[int, list[bytes]] = defaultdict(list)

    @property
    def count(self) -> int:
        return sum(map(len, self.events.values()))


async def with_aiokafka(cloud: LocalCloudProcess, stop: asyncio.Event, acknowledged: Acknowledged) -> None:
    """Idempotent: what is repeated after a crash is known again. One batch of events at a time and partition."""
    options = aiokafka_options(cloud.kafka_bootstrap)
    async with AIOKafkaProducer(**options, enable_idempotence=True, linger_ms=1) as producer:

        async def one_partition(partition: int) -> None:
            number = 0
            while not stop.is_set():
                events = [b"%d" % (number + n) for n in range(BATCH)]
                number += BATCH
                sent = [await producer.send("aiokafka", event, partition=partition) for event in events]
                await asyncio.gather(*sent)
                acknowledged.events[partition] += events

        await asyncio.gather(*(one_partition(partition) for partition in range(PARTITIONS)))


def with_confluent(cloud: LocalCloudProcess, stop: threading.Event, acknowledged: Acknowledged) -> None:
    """Idempotent, with several requests under way at once."""
    failed: list[Any] = []

    def delivered(error: Any, message: Any) -> None:
        if error is None:
            acknowledged.events[message.partition()].append(message.value())
        else:
            failed.append(error)

    options = confluent_options(cloud.kafka_bootstrap) | {
        "enable.idempotence": True, "linger.ms": 1, "reconnect.backoff.max.ms": 200, "log_level": 0
    }  # fmt: skip
    producer = Producer(options)
    number = 0
    while not stop.is_set():
        if len(producer) < 200:
            producer.produce("confluent", b"%d" % number, partition=number % PARTITIONS, on_delivery=delivered)
            number += 1
        producer.poll(0.0 if number % 20 else 0.005)
    assert producer.flush(30) == 0
    assert failed == []


async def with_amqp(cloud: LocalCloudProcess, partition: int, stop: asyncio.Event, acknowledged: Acknowledged) -> None:
    """A batch that fails may be there or not, and its events are not sent again.

    `send_batch` sends a second time where its connection ended, whatever `retry_total` says. A batch may be there twice
    when localcloud is up again by then.
    """
    number = 0
    while not stop.is_set():
        client = EventHubProducerClient.from_connection_string(
            cloud.eventhub_connection_string, eventhub_name="amqp", retry_total=0
        )
        try:
            async with client:
                while not stop.is_set():
                    events = [b"%d" % (number + n) for n in range(BATCH)]
                    number += BATCH
                    batch = await client.create_batch(partition_id=str(partition))
                    for event in events:
                        batch.add(EventData(event))
                    await client.send_batch(batch)
                    acknowledged.events[partition] += events
        except (EventHubError, OSError):
            await wait_for_async(lambda: listens(cloud.ports["eventhubs"]), "localcloud to come up again")


async def everything(cloud: LocalCloudProcess, hub: str) -> dict[int, list[bytes]]:
    async with AIOKafkaConsumer(**aiokafka_options(cloud.kafka_bootstrap), auto_offset_reset="earliest") as consumer:
        partitions = [TopicPartition(hub, number) for number in range(PARTITIONS)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        found: dict[int, list[bytes]] = {number: [] for number in range(PARTITIONS)}
        async with asyncio.timeout(60):
            while any(len(found[tp.partition]) < end for tp, end in ends.items()):
                for tp, messages in (await consumer.getmany(timeout_ms=200)).items():
                    assert [m.offset for m in messages] == list(
                        range(len(found[tp.partition]), len(found[tp.partition]) + len(messages))
                    )
                    found[tp.partition] += [m.value for m in messages]
    return found


def without_repeats(events: list[bytes]) -> list[bytes]:
    """The events without a second copy of a batch behind the first; there is at most one for each kill."""
    batches = [events[start : start + BATCH] for start in range(0, len(events), BATCH)]
    kept = [batch for number, batch in enumerate(batches) if number == 0 or batch != batches[number - 1]]
    assert len(batches) - len(kept) <= ROUNDS
    return [event for batch in kept for event in batch]


# The Event Hubs SDK leaves the sockets of connections that were cut to the garbage collector, which complains.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning", "ignore:loop is closed:ResourceWarning")
async def test_every_acknowledged_event_is_there_once_and_in_order(
    start_localcloud: Callable[..., LocalCloudProcess], tmp_path: Path
) -> None:
    entities = [{"Name": hub, "PartitionCount": PARTITIONS, "ConsumerGroups": []} for hub in HUBS]
    config = {"UserConfig": {"NamespaceConfig": [{"Type": "EventHub", "Name": "chaos", "Entities": entities}]}}
    (tmp_path / "hubs.json").write_text(json.dumps(config))
    cloud = start_localcloud("--config", str(tmp_path / "hubs.json"))
    acknowledged = {hub: Acknowledged() for hub in HUBS}
    stop, stop_thread = asyncio.Event(), threading.Event()

    async with AsyncExitStack() as stack:
        group = await stack.enter_async_context(asyncio.TaskGroup())
        stack.callback(stop_thread.set)
        stack.callback(stop.set)
        group.create_task(with_aiokafka(cloud, stop, acknowledged["aiokafka"]))
        group.create_task(asyncio.to_thread(with_confluent, cloud, stop_thread, acknowledged["confluent"]))
        for partition in range(PARTITIONS):
            group.create_task(with_amqp(cloud, partition, stop, acknowledged["amqp"]))
        for round_ in range(ROUNDS):
            before = {hub: acknowledged[hub].count for hub in HUBS}

            async def grown(before: dict[str, int] = before) -> bool:
                return all(acknowledged[hub].count >= before[hub] + ACKNOWLEDGED_A_ROUND for hub in HUBS)

            await wait_for_async(grown, f"acknowledgements from every producer in round {round_}", 60)
            await asyncio.to_thread(cloud.kill)
            await asyncio.to_thread(cloud.start)

    for hub in HUBS:
        found = await everything(cloud, hub)
        for partition, events in acknowledged[hub].events.items():
            stored = found[partition] if hub != "amqp" else without_repeats(found[partition])
            numbers = [int(event) for event in stored]
            assert numbers == sorted(numbers), f"{hub}/{partition} is out of order"
            assert set(events) <= set(stored), f"{hub}/{partition} lost what it had acknowledged"
            assert Counter(stored).most_common(1)[0][1] == 1, f"{hub}/{partition} has events twice"
    gc.collect()  # while the filter above holds
