"""The trending worker's memory, fed at full speed within one UTC hour, and its recovery after SIGKILL.

Every event is an action that no other is: each has another listener, and songs follow Zipf's law. The worker has Blob
Storage, and seals the hour as it is fed. See REGION for what is measured.

    python -m bench trending_memory
"""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
from aiokafka import AIOKafkaProducer
from azure.cosmos.aio import ContainerProxy

from bench.hub_filling import filling_producer, send_bodies
from bench.measurement import Measurement
from songline.cloud import cosmos
from songline.schemas.channels import CHARTS, DATABASE, MUSIC_EVENTS
from songline.schemas.documents import Chart
from songline.schemas.envelope import Event, encode
from songline.schemas.events import SongPlayed
from tests.support.localcloud import LocalCloud
from tests.support.waiting import wait_for_async
from tests.support.worker import TrendingWorker, make_containers, one_chart

EVENTS = 4_000_000
QUICK_EVENTS = 500_000
PARTITIONS = 4
SONGS, ZIPF, REGIONS = 50_000, 1.1, 8
CHART = "top:7d:global"
REGION = """\
Resident memory of the worker (/proc/PID/status) when a fifth of the events are counted, and when all are: an action has
the difference of VmRSS, the median of ten seconds once what is sealed behind the events is written, at its peak that of
VmHWM. What a process needs anyhow is outside; counts by song, region and minute, and what is fetched and not folded
yet, are inside. Restored: from SIGKILL until a chart in Cosmos DB counts 50,000 events that came after it, with the
group's shortest session (6 s) inside; the events came before, so the chart's listens may not change."""
SESSION = {"SONGLINE_TRENDING_SESSION_MS": "6000"}
STEP = 50_000
"""Events that are made at once, the same each time."""
SETTLE_S = 15
SAMPLES = 20
SAMPLE_S = 0.5
"""The resident memory goes up and down by a tenth while blocks and images are written: one sample says little."""


def bodies(first: int, count: int, start: datetime) -> Iterator[tuple[int, bytes]]:
    """Partition and body of plays, each of another listener, spread over the minutes of an hour that have passed."""
    random = np.random.default_rng(first)
    weights = np.cumsum(1 / np.arange(1, SONGS + 1) ** ZIPF)
    songs = np.searchsorted(weights / weights[-1], random.random(count))
    regions = random.integers(0, REGIONS, count)
    minutes = random.integers(0, 60, count)
    data = SongPlayed(user_id="USER", song_id="SONG", played_ms=184_000, duration_ms=201_000, region="RR", device="ios")
    template = encode(Event(id="ID", source="/bench", time=start, data=data)).decode()
    template = template.replace(start.strftime("%Y-%m-%dT%H:%M"), "MINUTE")
    for place in range(count):
        number = first + place
        at = start + timedelta(minutes=int(minutes[place]))
        body = template.replace("USER", f"user-{number}").replace("SONG", f"song-{songs[place]}").replace("ID", "e-1")
        body = body.replace("RR", f"A{chr(65 + int(regions[place]))}").replace("MINUTE", f"{at:%Y-%m-%dT%H:%M}")
        yield number % PARTITIONS, body.encode()


async def feed(producer: AIOKafkaProducer, first: int, count: int, start: datetime) -> None:
    await send_bodies(producer, MUSIC_EVENTS, PARTITIONS, bodies(first, count, start))


async def counted(container: ContainerProxy, total: int) -> Chart | None:
    """The chart, once it counts so many events."""
    await asyncio.sleep(0.2)
    chart = await one_chart(container, CHART)
    there = chart is not None and sum(offset + 1 for offset in chart.position.values()) >= total
    return chart if there else None


def memory_bytes(pid: int, field: str) -> int:
    """VmRSS or VmHWM. Source: proc(5), /proc/pid/status, in KiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1_024 for line in lines if line.startswith(field + ":"))


async def steady_bytes(pid: int) -> float:
    """The median of VmRSS over some seconds."""
    found = []
    for _ in range(SAMPLES):
        found.append(memory_bytes(pid, "VmRSS"))
        await asyncio.sleep(SAMPLE_S)
    return median(found)


def open_hour(now: datetime) -> datetime:
    """The hour that is open for the longest, as it can be fed whole: this one, or early in it the one before."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    return hour - timedelta(hours=1) if now.minute < 5 else hour


async def run(cloud: LocalCloud, log: Path, total: int) -> list[Measurement]:
    settings = cloud.settings()
    await make_containers(settings)
    worker = TrendingWorker(cloud, log, config=SESSION).start()
    try:
        async with filling_producer(settings) as producer, cosmos.client(settings.cosmos) as client:
            container = cosmos.container(client, DATABASE, CHARTS)
            await wait_for_async(worker.is_ready, "the worker to be ready", 60)
            start = open_hour(datetime.now(UTC))
            fifth = total // 5 // STEP * STEP
            resident = []
            for begin, end in ((0, fifth), (fifth, total)):
                for first in range(begin, end, STEP):
                    await feed(producer, first, STEP, start)
                await wait_for_async(partial(counted, container, end), f"{end} events counted", 900)
                await asyncio.sleep(SETTLE_S)
                resident.append(await steady_bytes(worker.pid))
            peak = memory_bytes(worker.pid, "VmHWM")
            found = [
                ("bytes an action", (resident[1] - resident[0]) / (total - fifth), "bytes", "<= 48"),
                ("bytes an action at the peak", (peak - resident[0]) / (total - fifth), "bytes", "<= 64"),
                ("resident with all actions", resident[1] / 1e6, "MB", ""),
                ("restored after SIGKILL", await recover(worker, producer, container, total, start), "s", "<= 30"),
            ]
    finally:
        worker.kill()
    return [
        Measurement(row=5, what=f"{what}, {total:,} actions", figure=figure, unit=unit, wanted=wanted)
        for what, figure, unit, wanted in found
    ]


async def recover(
    worker: TrendingWorker, producer: AIOKafkaProducer, container: ContainerProxy, total: int, start: datetime
) -> float:
    """Seconds from SIGKILL until the next worker has counted events that it must know again."""
    before = await one_chart(container, CHART)
    assert before is not None
    killed = time.monotonic()
    worker.kill()
    worker.start()
    await feed(producer, total - STEP, STEP, start)
    chart = await wait_for_async(partial(counted, container, total + STEP), "the events after the kill", 300)
    took = time.monotonic() - killed
    assert chart is not None
    if [one.listens for one in chart.entries] != [one.listens for one in before.entries]:
        raise SystemExit("a count is wrong")
    return took


def measure(quick: bool) -> list[Measurement]:
    """The rows of this benchmark; exits with an error when a count is wrong."""
    with tempfile.TemporaryDirectory() as name:
        cloud = LocalCloud(Path(name) / "cloud", ["--blobs"]).start()
        try:
            return asyncio.run(run(cloud, Path(name) / "worker.log", QUICK_EVENTS if quick else EVENTS))
        finally:
            cloud.stop()
