"""A Kafka client that can't start leaves nothing open."""

import asyncio
import gc
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from songline.cloud import kafka
from songline.processors.trending.prerequisites import partitions_by_hub
from tests.support.localcloud import nobody


async def start_consumer(cloud: Path) -> None:
    options = kafka.client_options(nobody(cloud).settings().eventhubs)
    async with kafka.running(AIOKafkaConsumer(**options)):
        pass


async def start_producer(cloud: Path) -> None:
    async with kafka.running(kafka.producer(nobody(cloud).settings().eventhubs)):
        pass


async def ask_for_hubs(cloud: Path) -> None:
    await partitions_by_hub(nobody(cloud).settings().eventhubs)


@pytest.mark.parametrize("start", [start_consumer, start_producer, ask_for_hubs])
def test_a_client_that_can_not_start_is_stopped(
    start: Callable[[Path], Coroutine[None, None, None]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR), pytest.raises(KafkaError):
        asyncio.run(start(tmp_path))
    gc.collect()
    assert "Unclosed" not in caplog.text
