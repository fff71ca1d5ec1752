"""Events per second through localcloud's Kafka endpoint, each way, with two clients.

Measured region: for producing, from the first event handed to the client to the last acknowledgement; for consuming,
from the first to the last event of a prefilled hub. Every count is checked. localcloud runs in a process of its own,
whose CPU time stands beside each figure.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer
from confluent_kafka import TopicPartition as ConfluentPartition

EVENTS = 300_000
SIZE = 200
PARTITIONS = 4
KEYS = 20_000
DEADLINE = 120.0
CONNECTION = (
    "Endpoint=sb://127.0.0.1;SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=SAS_KEY_VALUE;"
    "UseDevelopmentEmulator=true"
)
AIOKAFKA: dict[str, Any] = {
    "security_protocol": "SASL_PLAINTEXT",
    "sasl_mechanism": "PLAIN",
    "sasl_plain_username": "$ConnectionString",
    "sasl_plain_password": CONNECTION,
}
CONFLUENT: dict[str, Any] = {
    "security.protocol": "SASL_PLAINTEXT",
    "sasl.mechanism": "PLAIN",
    "sasl.username": "$ConnectionString",
    "sasl.password": CONNECTION,
}


class Figure(NamedTuple):
    name: str
    events: int
    seconds: float
    server_cpu_s: float

    def __str__(self) -> str:
        rate = self.events / self.seconds
        share = self.server_cpu_s / self.seconds
        per_million = self.server_cpu_s / self.events * 1e6
        server = f"server: {share:>4.0%} of a core, {per_million:.2f} CPU s per million"
        return f"{self.name:<26}{rate:>10,.0f} events/s   {server}"


class Server:
    """`python -m localcloud` on free ports with one hub for each client."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process = process
        self.bootstrap = f"127.0.0.1:{port}"

    @classmethod
    async def start(cls, folder: Path) -> "Server":
        hubs: list[dict[str, Any]] = [
            {"Name": name, "PartitionCount": PARTITIONS, "ConsumerGroups": []}
            for name in ("aio", "batches", "confluent")
        ]
        config = {"UserConfig": {"NamespaceConfig": [{"Type": "EventHub", "Name": "bench", "Entities": hubs}]}}
        (folder / "hubs.json").write_text(json.dumps(config))
        ports = [f"--{name}-port=0" for name in ("eventhubs", "kafka", "cosmos", "control")]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "localcloud", "--data", str(folder / "data"), "--config", str(folder / "hubs.json"),
            *ports, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        assert process.stdout is not None
        return cls(process, json.loads(await process.stdout.readline())["ready"]["kafka"])

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    async def stop(self) -> None:
        self._process.terminate()
        await self._process.wait()


def payloads() -> list[tuple[bytes, bytes]]:
    return [(b"user-%d" % (number % KEYS), b"%0*d" % (SIZE, number)) for number in range(EVENTS)]


async def aiokafka_produce(bootstrap: str, events: list[tuple[bytes, bytes]]) -> float:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=5, max_batch_size=256 << 10, **AIOKAFKA)
    await producer.start()
    try:
        started = time.perf_counter()
        sent = [await producer.send("aio", value, key=key) for key, value in events]
        await producer.flush()
        seconds = time.perf_counter() - started
        assert len({(future.result().partition, future.result().offset) for future in sent}) == EVENTS
        return seconds
    finally:
        await producer.stop()


async def aiokafka_produce_batches(bootstrap: str, events: list[tuple[bytes, bytes]]) -> float:
    """aiokafka's own way around its cost of an event: the application fills the batches."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, max_batch_size=256 << 10, **AIOKAFKA)
    await producer.start()
    try:
        started = time.perf_counter()
        builders = [producer.create_batch() for _ in range(PARTITIONS)]
        sent = []
        for number, (key, value) in enumerate(events):
            partition = number % PARTITIONS
            if builders[partition].append(key=key, value=value, timestamp=None) is None:
                sent.append(await producer.send_batch(builders[partition], "batches", partition=partition))
                builders[partition] = producer.create_batch()
                builders[partition].append(key=key, value=value, timestamp=None)
        for partition, builder in enumerate(builders):
            sent.append(await producer.send_batch(builder, "batches", partition=partition))
        await asyncio.gather(*sent)
        return time.perf_counter() - started
    finally:
        await producer.stop()


async def aiokafka_consume(bootstrap: str, hub: str) -> float:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", **AIOKAFKA)
    await consumer.start()
    try:
        consumer.assign([TopicPartition(hub, number) for number in range(PARTITIONS)])
        total, started = 0, 0.0
        while total < EVENTS:
            found = await consumer.getmany(timeout_ms=1000, max_records=5000)
            started = started or time.perf_counter()
            total += sum(map(len, found.values()))
        assert total == EVENTS
        return time.perf_counter() - started
    finally:
        await consumer.stop()


def confluent_produce(bootstrap: str, events: list[tuple[bytes, bytes]]) -> float:
    acknowledged = 0

    def delivered(error: object, _: object) -> None:
        nonlocal acknowledged
        acknowledged += error is None

    producer = Producer(
        {"bootstrap.servers": bootstrap, "linger.ms": 5, "queue.buffering.max.messages": EVENTS, **CONFLUENT}
    )
    started = time.perf_counter()
    for number, (key, value) in enumerate(events):
        producer.produce("confluent", value, key=key, on_delivery=delivered)
        if not number % 1000:
            producer.poll(0)
    producer.flush(DEADLINE)
    assert acknowledged == EVENTS
    return time.perf_counter() - started


def confluent_consume(bootstrap: str) -> float:
    options = {"group.id": "bench", "enable.auto.commit": False, "fetch.queue.backoff.ms": 10}
    consumer = Consumer({"bootstrap.servers": bootstrap, **options, **CONFLUENT})
    consumer.assign([ConfluentPartition("confluent", number, OFFSET_BEGINNING) for number in range(PARTITIONS)])
    total, started = 0, 0.0
    while total < EVENTS:
        found = len(consumer.consume(5000, 1.0))
        started = started or time.perf_counter()
        total += found
    assert total == EVENTS
    seconds = time.perf_counter() - started
    consumer.close()
    return seconds


async def measure() -> list[Figure]:
    events = payloads()
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        server = await Server.start(Path(folder))
        try:

            async def one(name: str, run: Callable[[], Any]) -> None:
                before = server.cpu_s()
                seconds = run()
                seconds = await seconds if asyncio.iscoroutine(seconds) else seconds
                figures.append(Figure(name, EVENTS, seconds, server.cpu_s() - before))

            await one("aiokafka produce", lambda: aiokafka_produce(server.bootstrap, events))
            await one("aiokafka produce, batches", lambda: aiokafka_produce_batches(server.bootstrap, events))
            await one("aiokafka consume", lambda: aiokafka_consume(server.bootstrap, "batches"))
            await one("confluent-kafka produce", lambda: confluent_produce(server.bootstrap, events))
            await one("confluent-kafka consume", lambda: confluent_consume(server.bootstrap))
        finally:
            await server.stop()
    return figures


def main() -> None:
    print(
        f"localcloud's Kafka endpoint: {EVENTS:,} events of {SIZE} bytes, {PARTITIONS} partitions, acknowledged on disk"
    )
    for figure in asyncio.run(measure()):
        print(figure)


if __name__ == "__main__":
    main()
