"""Plays to charts: the trending worker beside the bare aiokafka loop and an idiomatic Faust app, in one run.

Each runs in a process of its own against the same localcloud, which was filled before. Measured: for the bare loop and
the idiomatic app from their first record to their last; for the worker from the moment at which it may read until
the global chart in Cosmos DB says that it counts the last event, so flush, merge and write are inside. These take some
three seconds after the last event whatever the number of events, so a short run says little. Decoding differs as it
does in life: the loop and the idiomatic app trust their input, the worker checks it. Counts are compared with what was
sent; the worker's after its rule of one action an hour.

    python -m bench.trending [EVENTS]
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from azure.cosmos.aio import ContainerProxy
from msgspec import Struct

from songline.cloud import cosmos
from songline.cloud.kafka import client_options
from songline.cloud.settings import CloudSettings
from songline.processes import emulator_files
from songline.schemas.channels import CHARTS, DATABASE, MUSIC_EVENTS
from songline.schemas.documents import CHART_SIZE, Chart
from songline.schemas.envelope import Event, encode
from songline.schemas.events import SongPlayed
from tests.support.localcloud import LocalCloud
from tests.support.waiting import wait_for_async
from tests.support.worker import TrendingWorker, make_containers, one_chart

EVENTS = 1_500_000
IDIOMATIC_EVENTS = 10_000
IDIOMATIC_HUB = "bench-idiomatic"
PARTITIONS = 4
SONGS, LISTENERS, ZIPF = 50_000, 20_000, 1.1
CHART = "top:24h:global"


class Play(Struct):
    song_id: str = msgspec.field(name="songId")


class Needed(Struct):
    time: str
    data: Play


class Result(Struct):
    what: str
    events: int
    seconds: float
    cpu_seconds: float
    right: bool

    def row(self, bare: float) -> str:
        rate = self.events / self.seconds
        cpu = self.cpu_seconds / self.events * 1e6
        right = "yes" if self.right else "NO"
        return f"{self.what:<44} {rate:>10,.0f} {cpu:>10.1f} {rate / bare:>8.2f}   {right}"


def plays(count: int) -> Iterator[Event]:
    """Plays of the last five minutes, by Zipf's law."""
    random = np.random.default_rng(7)
    weights = 1 / np.arange(1, SONGS + 1) ** ZIPF
    songs = random.choice(SONGS, count, p=weights / weights.sum())
    users = random.integers(0, LISTENERS, count)
    regions = random.choice(["DE", "FR", "US", "GB", "BR", "IN", "JP", "SE"], count)
    start = datetime.now(UTC) - timedelta(minutes=5)
    for number in range(count):
        yield Event(
            id=f"play-{number}",
            source="/bench",
            time=start + timedelta(seconds=300 * number // count),
            data=SongPlayed(
                user_id=f"user-{users[number]}",
                song_id=f"song-{songs[number]}",
                played_ms=184_000,
                duration_ms=201_000,
                region=str(regions[number]),
                device="ios",
            ),
        )


class Sent:
    """What the worker has to arrive at, gathered while the events pass."""

    def __init__(self) -> None:
        self.ends: Counter[int] = Counter()
        self._actions: set[tuple[str, str, int]] = set()

    def passing(self, events: Iterable[Event]) -> Iterator[Event]:
        for event in events:
            self.ends[partition_of(event)] += 1
            self._actions.add((event.data.user_id, event.data.song_id, event.time.hour))
            yield event

    def position(self) -> dict[str, int]:
        return {str(partition): count - 1 for partition, count in self.ends.items()}

    def best(self) -> list[tuple[str, int]]:
        counts = Counter(song for _, song, _ in self._actions)
        return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:CHART_SIZE]


def partition_of(event: Event) -> int:
    return int(event.data.user_id.removeprefix("user-")) % PARTITIONS


async def fill(settings: CloudSettings, hub: str, events: Iterable[Event]) -> None:
    producer = AIOKafkaProducer(
        max_request_size=1_000_000, max_batch_size=400_000, **client_options(settings.eventhubs)
    )
    await producer.start()
    try:
        batches: list[Any] = [producer.create_batch() for _ in range(PARTITIONS)]
        for event in events:
            partition = partition_of(event)
            body = encode(event)
            if batches[partition].append(key=None, value=body, timestamp=None) is None:
                await producer.send_batch(batches[partition], hub, partition=partition)
                batches[partition] = producer.create_batch()
                batches[partition].append(key=None, value=body, timestamp=None)
        for partition, batch in enumerate(batches):
            await producer.send_batch(batch, hub, partition=partition)
        await producer.flush()
    finally:
        await producer.stop()


async def bare(settings: CloudSettings, total: int) -> tuple[float, float, int]:
    """aiokafka's getmany, msgspec, a count by minute and song."""
    options = client_options(settings.eventhubs)
    consumer = AIOKafkaConsumer(max_partition_fetch_bytes=2_000_000, auto_offset_reset="earliest", **options)
    await consumer.start()
    consumer.assign([TopicPartition(MUSIC_EVENTS, number) for number in range(PARTITIONS)])
    decode = msgspec.json.Decoder(Needed).decode
    counts: Counter[tuple[str, str]] = Counter()
    seen, start, cpu = 0, time.monotonic(), time.process_time()
    while seen < total:
        fetched = await consumer.getmany(timeout_ms=500, max_records=5_000)
        for records in fetched.values():
            counts.update([(event.time[:16], event.data.song_id) for event in [decode(one.value) for one in records]])
            seen += len(records)
    took = time.monotonic() - start, time.process_time() - cpu, sum(counts.values())
    await consumer.stop()
    return took


def idiomatic(settings: CloudSettings, total: int) -> None:
    """Faust as its documentation shows it: a model, a windowed table, an event at a time. Prints its result."""
    import faust

    from songline.processors.trending.config import TrendingConfig
    from songline.processors.trending.faust.settings import faust_settings

    app = faust.App(
        "bench", **{**faust_settings(settings, TrendingConfig()), "stream_buffer_maxsize": 4_096, "datadir": Path.cwd()}
    )
    table = app.Table("counts", default=int, partitions=PARTITIONS).tumbling(60.0)
    state = {"seen": 0, "start": 0.0, "cpu": 0.0}

    async def agent(stream: Any) -> None:
        async for event in stream:
            if not state["seen"]:
                state["start"], state["cpu"] = time.monotonic(), time.process_time()
            table[event["data"]["songId"]] += 1
            state["seen"] += 1
            if state["seen"] == total:
                took = time.monotonic() - state["start"], time.process_time() - state["cpu"], state["seen"]
                print(json.dumps(took), flush=True)
                os._exit(0)

    app.agent(app.topic(IDIOMATIC_HUB, value_serializer="json"), name="bench")(agent)
    faust.Worker(app, loglevel="critical", redirect_stdouts=False).execute_from_commandline()


def child(cloud: LocalCloud, what: str, total: int) -> tuple[float, float, int]:
    ran = subprocess.run(
        [sys.executable, "-m", "bench.trending", what, str(total)],
        env=cloud.environment,
        stdout=subprocess.PIPE,
        check=True,
        timeout=300,
    )
    seconds, cpu, counted = json.loads(ran.stdout.splitlines()[-1])
    return seconds, cpu, counted


async def complete(container: ContainerProxy, wanted: dict[str, int]) -> Chart | None:
    """The chart, once it counts all."""
    await asyncio.sleep(0.2)
    chart = await one_chart(container, CHART)
    return chart if chart is not None and chart.position == wanted else None


def cpu_seconds(pid: int) -> float:
    """What a process has used so far. Source: proc(5), utime and stime."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def worker(cloud: LocalCloud, log: Path, sent: Sent, total: int) -> Result:
    settings = cloud.settings()
    running = TrendingWorker(cloud, log, config={}).start()
    try:
        async with cosmos.client(settings.cosmos) as client:
            container = cosmos.container(client, DATABASE, CHARTS)
            await wait_for_async(running.is_ready, "the worker to be ready", 60)
            start, before = time.monotonic(), cpu_seconds(running.pid)
            wanted = sent.position()
            chart = await wait_for_async(partial(complete, container, wanted), f"the chart at {wanted}", 300)
            seconds, cpu = time.monotonic() - start, cpu_seconds(running.pid) - before
    finally:
        running.stop()
    assert chart is not None
    right = [(entry.song_id, entry.listens) for entry in chart.entries] == sent.best()
    return Result("trending worker, Kafka endpoint to charts", total, seconds, cpu, right)


def hubs(folder: Path) -> Path:
    """The product's hubs, and those of the idiomatic app."""
    config = json.loads(emulator_files.files("eventhubs")[0].read_text())
    entities = config["UserConfig"]["NamespaceConfig"][0]["Entities"]
    for name in (IDIOMATIC_HUB, "bench-counts-changelog"):
        entities.append({"Name": name, "PartitionCount": PARTITIONS, "ConsumerGroups": []})
    path = folder / "hubs.json"
    path.write_text(json.dumps(config))
    return path


def main(total: int = EVENTS) -> None:
    """Print the table; exit code 1 when a count is wrong."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cloud = LocalCloud(folder / "cloud", ["--config", str(hubs(folder))]).start()
        try:
            settings = cloud.settings()
            asyncio.run(make_containers(settings))
            sent = Sent()
            asyncio.run(fill(settings, MUSIC_EVENTS, sent.passing(plays(total))))
            asyncio.run(fill(settings, IDIOMATIC_HUB, plays(IDIOMATIC_EVENTS)))
            results = []
            seconds, cpu, counted = child(cloud, "bare", total)
            results.append(Result("bare aiokafka getmany + msgspec + count", total, seconds, cpu, counted == total))
            seconds, cpu, counted = child(cloud, "idiomatic", IDIOMATIC_EVENTS)
            results.append(Result("Faust as documented", IDIOMATIC_EVENTS, seconds, cpu, counted == IDIOMATIC_EVENTS))
            results.append(asyncio.run(worker(cloud, folder / "worker.log", sent, total)))
        finally:
            cloud.stop()
    print(f"{'':<44} {'events/s':>10} {'CPU µs':>10} {'ratio':>8}   counts right")
    for result in results:
        print(result.row(results[0].events / results[0].seconds))
    if not all(result.right for result in results):
        raise SystemExit("a count is wrong")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["bare", total]:
            print(json.dumps(asyncio.run(bare(CloudSettings.read(os.environ), int(total)))))
        case ["idiomatic", total]:
            idiomatic(CloudSettings.read(os.environ), int(total))
        case [total]:
            main(int(total))
        case _:
            main()
