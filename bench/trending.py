"""Plays to charts: the trending worker beside bare loops and an idiomatic Faust app, in one run.

    python -m bench.trending [--events N] [--baseline]

Each runs in a process of its own against the same localcloud, which was filled before. `--baseline` runs the worker of
64129bc as well, over a localcloud of its own with the same events.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Self

import click
from azure.cosmos.aio import ContainerProxy
from msgspec import Struct

from bench.acts import as_v1
from bench.baseline import Checkout, checked_out
from bench.machine import cpu_s, rss_bytes
from bench.measurement import Measurement
from bench.plays import Plays, fill
from bench.report import line
from songline.cloud import cosmos
from songline.processes import emulator_files
from songline.schemas.channels import CHARTS, DATABASE, MUSIC_EVENTS, TRENDING_CELLS_CHANGELOG
from songline.schemas.documents import Chart
from tests.support.localcloud import LocalCloud
from tests.support.waiting import wait_for_async
from tests.support.worker import TrendingWorker, make_containers, one_chart

REGION = (
    "The loops and the idiomatic app: from their first record to their last. The worker: from the moment at which it "
    "may read until the global chart in Cosmos DB says that it counts the last event, so flush, changelog, merge and "
    "write are inside; these take about a second after the last event whatever the number of events. Decoding "
    "differs as it does in life: the loops and the idiomatic app trust their input, the worker checks it. All counts "
    "are compared with what was sent, the worker's after its rule of one action an hour. CPU is that of the process, "
    "user and system; memory is resident at the end."
)

EVENTS, QUICK_EVENTS = 10_000_000, 60_000
IDIOMATIC_EVENTS, QUICK_IDIOMATIC_EVENTS = 10_000, 2_000
IDIOMATIC_HUB = "bench-idiomatic"
PARTITIONS = 4
SONGS = 50_000
CHART = "top:24h:global"
READY_S = 120
AN_EVENT_S = 200e-6
"""No event takes longer, on the slowest machine."""


class Run(Struct, frozen=True):
    """What one of them used for so many events."""

    events: int
    seconds: float
    cpu_s: float
    rss_bytes: int

    @property
    def rate(self) -> float:
        return self.events / self.seconds

    @property
    def cpu_us(self) -> float:
        """CPU microseconds an event."""
        return self.cpu_s / self.events * 1e6


class WorkerOfVersion(TrendingWorker):
    """The trending worker of this working tree, or of a checkout."""

    def __init__(self, cloud: LocalCloud, log: Path, checkout: Checkout | None) -> None:
        super().__init__(cloud, log, config={})
        self._checkout = checkout

    def start(self) -> Self:
        if self._checkout is None:
            return super().start()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._checkout.python, "-m", "processors.trending"],
                cwd=self._checkout.folder,
                env=self._environment,
                stdout=log,
                stderr=log,
            )
        return self

    async def is_ready(self) -> bool:
        """Whether it may read. The one of 64129bc answers only later that it is ready, and logs this before."""
        return await super().is_ready() if self._checkout is None else "Worker ready" in self.said


def measure(quick: bool, events: int = 0, baseline: bool = False) -> list[Measurement]:
    total = events or (QUICK_EVENTS if quick else EVENTS)
    few = QUICK_IDIOMATIC_EVENTS if quick else IDIOMATIC_EVENTS
    plays = Plays.drawn(total, SONGS, PARTITIONS, datetime.now(UTC))
    some = Plays.drawn(few, SONGS, PARTITIONS, datetime.now(UTC))
    with filled(plays) as cloud:
        asyncio.run(fill(cloud.settings(), IDIOMATIC_HUB, some))
        loop = peer(cloud, "aiokafka", plays, MUSIC_EVENTS)
        others = {
            "confluent-kafka loop": peer(cloud, "confluent", plays, MUSIC_EVENTS),
            "Faust as documented": peer(cloud, "faust", some, IDIOMATIC_HUB),
            "trending worker": asyncio.run(worker(cloud, plays)),
        }
    if baseline:
        with checked_out() as checkout, filled(plays, checkout) as cloud:
            others[f"trending worker of {checkout.name}"] = asyncio.run(worker(cloud, plays, checkout))
    return [one for name, run in others.items() for one in _measurements(name, run, loop)]


def _measurements(name: str, run: Run, loop: Run) -> Iterator[Measurement]:
    today = name == "trending worker"
    peer_name = "bare aiokafka loop"
    yield Measurement(
        row=4,
        what=f"{name}, {run.events:,} events",
        figure=run.cpu_us,
        unit="µs CPU an event",
        # The ratios are those of speeds, so the loop's CPU stands above.
        ratio=loop.cpu_us / run.cpu_us,
        peer=peer_name,
        peer_figure=loop.cpu_us,
        wanted=">= 0.8" if today else "",
    )
    yield Measurement(
        row=4,
        what=f"{name}, by rate",
        figure=run.rate,
        unit="events/s",
        ratio=run.rate / loop.rate,
        peer=peer_name,
        peer_figure=loop.rate,
        wanted=">= 0.65" if today else "",
    )
    yield Measurement(
        row=4,
        what=f"{name}, memory",
        figure=run.rss_bytes / 2**20,
        unit="MiB",
        ratio=run.rss_bytes / loop.rss_bytes,
        peer=peer_name,
        peer_figure=loop.rss_bytes / 2**20,
    )


@contextmanager
def filled(plays: Plays, checkout: Checkout | None = None) -> Iterator[LocalCloud]:
    """A localcloud of its own whose `music-events` has these plays; with a checkout, as its version reads them."""
    with tempfile.TemporaryDirectory(prefix="songline-bench-") as name:
        folder = Path(name)
        cloud = LocalCloud(folder / "cloud", ["--config", str(_hubs(folder, plays.partitions, checkout))]).start()
        try:
            asyncio.run(make_containers(cloud.settings()))
            asyncio.run(fill(cloud.settings(), MUSIC_EVENTS, plays, None if checkout is None else as_v1))
            yield cloud
        finally:
            cloud.stop()


def _hubs(folder: Path, partitions: int, checkout: Checkout | None) -> Path:
    """The product's hubs, or a checkout's, with so many partitions of `music-events`, and those of the idiomatic
    app."""
    today = emulator_files.files("eventhubs")[0]
    declared = today if checkout is None else checkout.folder / "infra" / "emulators" / "eventhubs" / today.name
    config = json.loads(declared.read_text())
    entities = config["UserConfig"]["NamespaceConfig"][0]["Entities"]
    for entity in entities:
        if entity["Name"] in (MUSIC_EVENTS, TRENDING_CELLS_CHANGELOG):
            entity["PartitionCount"] = partitions
    for name in (IDIOMATIC_HUB, "bench-counts-changelog"):
        entities.append({"Name": name, "PartitionCount": PARTITIONS, "ConsumerGroups": []})
    path = folder / "hubs.json"
    path.write_text(json.dumps(config))
    return path


def peer(cloud: LocalCloud, name: str, plays: Plays, hub: str) -> Run:
    """A run of one of `bench.bare_loops`; raises AssertionError if it has not counted each play."""
    ran = subprocess.run(
        [sys.executable, "-m", "bench.bare_loops", name, str(len(plays)), hub, str(plays.partitions)],
        env=cloud.environment,
        stdout=subprocess.PIPE,
        check=True,
        timeout=READY_S + len(plays) * AN_EVENT_S * (100 if name == "faust" else 1),
    )
    seconds, cpu, memory, counted = json.loads(ran.stdout.splitlines()[-1])
    assert counted == len(plays), (name, counted, len(plays))
    return Run(len(plays), seconds, cpu, memory)


async def worker(cloud: LocalCloud, plays: Plays, checkout: Checkout | None = None) -> Run:
    """A run of the trending worker; raises AssertionError if its chart is not what was sent."""
    wanted = plays.position()
    with tempfile.NamedTemporaryFile(prefix="songline-bench-", suffix=".log") as log:
        running = WorkerOfVersion(cloud, Path(log.name), checkout).start()
        try:
            async with cosmos.client(cloud.settings().cosmos) as client:
                container = cosmos.container(client, DATABASE, CHARTS)
                await wait_for_async(running.is_ready, "the worker to be ready", READY_S)
                start, before = time.monotonic(), cpu_s(running.pid)
                limit_s = READY_S + len(plays) * AN_EVENT_S
                chart = await wait_for_async(partial(_complete, container, wanted), f"the chart at {wanted}", limit_s)
                run = Run(len(plays), time.monotonic() - start, cpu_s(running.pid) - before, rss_bytes(running.pid))
        finally:
            running.stop()
    assert chart is not None
    found = [(entry.song_id, entry.listens) for entry in chart.entries]
    assert found == plays.best(), (found[:5], plays.best()[:5])
    return run


async def _complete(container: ContainerProxy, wanted: dict[str, int]) -> Chart | None:
    """The chart, once it counts all."""
    await asyncio.sleep(0.2)
    chart = await one_chart(container, CHART)
    return chart if chart is not None and chart.position == wanted else None


@click.command()
@click.option("--events", type=click.IntRange(min=1_000), default=EVENTS, show_default=True)
@click.option("--baseline", is_flag=True, help="Run the worker of 64129bc as well.")
def main(events: int, baseline: bool) -> None:
    """The trending worker beside its peers. Leave the machine alone meanwhile."""
    for one in measure(quick=False, events=events, baseline=baseline):
        print(line(one), flush=True)


if __name__ == "__main__":
    main()
