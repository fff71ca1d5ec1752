"""Connections that are cut, under aiokafka."""

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

from localcloud.testing import LocalCloudProcess
from localcloud_tests.support.kafka import aiokafka_options


def rule(kind: str, operation: str, **more: object) -> dict[str, object]:
    return {"service": "kafka", "kind": kind, "operation": operation, "entity": "faulty", **more}


@pytest.mark.parametrize("kind", ["drop", "lose"])
async def test_a_producer_and_a_consumer_come_back(shared: LocalCloudProcess, kind: str) -> None:
    options = aiokafka_options(shared.kafka_bootstrap)
    hub = f"{kind}-faults"
    faults = [rule(kind, "Produce", count=1, entity=hub), rule(kind, "Fetch", count=1, entity=hub)]
    with shared.faults(*faults) as fired:
        async with AIOKafkaProducer(**options, enable_idempotence=True) as producer:
            for number in range(3):
                await producer.send_and_wait(hub, b"%d" % number, partition=0)
        async with AIOKafkaConsumer(hub, **options, auto_offset_reset="earliest") as consumer, asyncio.timeout(60):
            received = [(await consumer.getone()).value for _ in range(3)]
        assert fired() == [1, 1]
    assert received == [b"0", b"1", b"2"]


async def test_a_delay_lasts_as_long_as_it_says(shared: LocalCloudProcess) -> None:
    options = aiokafka_options(shared.kafka_bootstrap) | {"request_timeout_ms": 300}
    with shared.faults(rule("delay", "Produce", ms=2000, entity="slow-faults")):
        async with AIOKafkaProducer(**options) as producer:
            with pytest.raises(KafkaError):
                await producer.send_and_wait("slow-faults", b"late", partition=0)
