"""The peers of the trending worker: `python -m bench.bare_loops NAME EVENTS HUB PARTITIONS` runs one.

Each reads so many events of a hub and counts them by minute and song, or by song. It prints, as a line of JSON, its
seconds and CPU seconds from its first record to its last, its resident bytes at the end, and how many it counted.
"""

import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from msgspec import Struct

from bench.machine import rss_bytes
from songline.cloud.kafka import client_options
from songline.cloud.settings import CloudSettings


class Play(Struct):
    song_id: str = msgspec.field(name="songId")


class Needed(Struct):
    time: str
    data: Play


async def aiokafka_loop(settings: CloudSettings, total: int, hub: str, partitions: int) -> None:
    """aiokafka's getmany, msgspec, a count by minute and song: the loop as it was at 64129bc."""
    options = client_options(settings.eventhubs)
    consumer = AIOKafkaConsumer(max_partition_fetch_bytes=2_000_000, auto_offset_reset="earliest", **options)
    await consumer.start()
    consumer.assign([TopicPartition(hub, number) for number in range(partitions)])
    decode = msgspec.json.Decoder(Needed).decode
    counts: Counter[tuple[str, str]] = Counter()
    seen, start, cpu = 0, time.monotonic(), time.process_time()
    while seen < total:
        fetched = await consumer.getmany(timeout_ms=500, max_records=5_000)
        for records in fetched.values():
            counts.update([(event.time[:16], event.data.song_id) for event in [decode(one.value) for one in records]])
            seen += len(records)
    say(start, cpu, sum(counts.values()))
    await consumer.stop()


def confluent_loop(settings: CloudSettings, total: int, hub: str, partitions: int) -> None:
    """confluent-kafka's consume, msgspec, a count by minute and song."""
    from confluent_kafka import Consumer
    from confluent_kafka import TopicPartition as Partition

    options = client_options(settings.eventhubs)
    names = {"sasl_mechanism": "sasl.mechanism", "security_protocol": "security.protocol"}
    config: dict[str, Any] = {names[key]: value for key, value in options.items() if key in names}
    config |= {"sasl.username": options["sasl_plain_username"], "sasl.password": options["sasl_plain_password"]}
    consumer = Consumer(
        {
            "bootstrap.servers": settings.eventhubs.kafka,
            "group.id": "bench",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            # By default a consumer whose queue is full stops for up to a second.
            "fetch.queue.backoff.ms": 10,
            **config,
        }
    )
    consumer.assign([Partition(hub, number, 0) for number in range(partitions)])
    decode = msgspec.json.Decoder(Needed).decode
    counts: Counter[tuple[str, str]] = Counter()
    seen, start, cpu = 0, time.monotonic(), time.process_time()
    while seen < total:
        values = [message.value() for message in consumer.consume(5_000, 0.5)]
        counts.update([(event.time[:16], event.data.song_id) for event in [decode(value) for value in values]])
        seen += len(values)
    say(start, cpu, sum(counts.values()))
    consumer.close()


def idiomatic_faust(settings: CloudSettings, total: int, hub: str, partitions: int) -> None:
    """Faust as its documentation shows it: a windowed table, an event at a time."""
    import faust

    from songline.processors.trending.config import TrendingConfig
    from songline.processors.trending.faust.settings import faust_settings

    app = faust.App(
        "bench", **{**faust_settings(settings, TrendingConfig()), "stream_buffer_maxsize": 4_096, "datadir": Path.cwd()}
    )
    table = app.Table("counts", default=int, partitions=partitions).tumbling(60.0)
    state = {"seen": 0, "start": 0.0, "cpu": 0.0}

    async def agent(stream: Any) -> None:
        async for event in stream:
            if not state["seen"]:
                state["start"], state["cpu"] = time.monotonic(), time.process_time()
            table[event["data"]["songId"]] += 1
            state["seen"] += 1
            if state["seen"] == total:
                say(state["start"], state["cpu"], int(state["seen"]))
                os._exit(0)

    app.agent(app.topic(hub, value_serializer="json"), name="bench")(agent)
    faust.Worker(app, loglevel="critical", redirect_stdouts=False).execute_from_commandline()


def say(start: float, cpu: float, counted: int) -> None:
    took = time.monotonic() - start, time.process_time() - cpu
    print(json.dumps([*took, rss_bytes(os.getpid()), counted]), flush=True)


def run_aiokafka_loop(settings: CloudSettings, total: int, hub: str, partitions: int) -> None:
    asyncio.run(aiokafka_loop(settings, total, hub, partitions))


PEERS: dict[str, Callable[[CloudSettings, int, str, int], None]] = {
    "aiokafka": run_aiokafka_loop,
    "confluent": confluent_loop,
    "faust": idiomatic_faust,
}

if __name__ == "__main__":
    PEERS[sys.argv[1]](CloudSettings.read(os.environ), int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
