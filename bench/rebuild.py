"""A whole rebuild of the charts from an archive, beside the live trending worker."""

import asyncio
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from bench import trending
from bench.measurement import Measurement
from bench.plays import Plays
from songline.cloud import blobs, cosmos
from songline.cloud.settings import read_blobs
from songline.processors.history.archive.name_format import NameFormat
from songline.schemas.channels import ARCHIVE_BLOBS, CHARTS, DATABASE, MUSIC_EVENTS
from songline.schemas.documents import CURRENT, Chart
from songline.schemas.projections import container_of
from tests.support.capture_files import capture_file, record
from tests.support.localcloud import LocalCloud
from tests.support.worker import make_containers

REGION = (
    "Plays of the last 24 hours in files of 100,000 events. Inside: the command `songline rebuild charts --until` as a "
    "process, its start, the reading of the archive, the snapshots of 24 hours and the current charts written to "
    "Cosmos DB, and the hand-over. Outside: writing the files. The best songs are compared with what was sent. The "
    "live worker is that of `bench.trending`, in the same run."
)
EVENTS, QUICK_EVENTS = 2_000_000, 100_000
LIVE_EVENTS, QUICK_LIVE_EVENTS = 500_000, 60_000
PARTITIONS = 4
SONGS = 50_000
SPAN_S = 86_400
BLOCK = 100_000
START_S = 120
AN_EVENT_S = 400e-6
"""No event takes longer, on the slowest machine."""


def measure(quick: bool) -> list[Measurement]:
    """Events a second of the rebuild and of the worker, by the clock and by the CPU of their processes."""
    events, live_events = (QUICK_EVENTS, QUICK_LIVE_EVENTS) if quick else (EVENTS, LIVE_EVENTS)
    live_plays = Plays.drawn(live_events, SONGS, PARTITIONS, datetime.now(UTC))
    _say(f"the live worker, {live_events:,} events")
    with trending.filled(live_plays) as cloud:
        live = asyncio.run(trending.worker(cloud, live_plays))
    plays = Plays.drawn(events, SONGS, PARTITIONS, datetime.now(UTC), SPAN_S)
    with tempfile.TemporaryDirectory() as name:
        cloud = LocalCloud(Path(name), ["--blobs"]).start()
        try:
            asyncio.run(_prepare(cloud, plays))
            seconds, cpu_s = _rebuild(cloud, plays)
            _say("comparing the best songs")
            asyncio.run(_check(cloud, plays))
        finally:
            cloud.stop()
    return [
        Measurement(
            row=15,
            what=f"a rebuild of the charts, {events:,} events of 24 hours, per core",
            figure=events / cpu_s,
            unit="events/s",
            wanted=">= 50000",
            peer="live trending worker, per core",
            peer_figure=1e6 / live.cpu_us,
        ),
        Measurement(
            row=15,
            what="the same by the clock",
            figure=events / seconds,
            unit="events/s",
            wanted=">= 50000",
            peer="live trending worker",
            peer_figure=live.rate,
        ),
    ]


async def _prepare(cloud: LocalCloud, plays: Plays) -> None:
    """Write the archive, with the plays in the seconds in which they happened."""
    await make_containers(cloud.settings())
    names = NameFormat.default(MUSIC_EVENTS)
    seconds = (plays.microseconds() // 1_000_000).tolist()
    positions = [0] * PARTITIONS
    async with blobs.client(read_blobs(cloud.environment)) as account:
        await blobs.ensure(account, (ARCHIVE_BLOBS,))
        container = account.get_container_client(ARCHIVE_BLOBS)
        for start in range(0, len(plays), BLOCK):
            _say(f"writing the archive, {start:,} of {len(plays):,} events")
            rows: list[list[dict[str, object]]] = [[] for _ in range(PARTITIONS)]
            for number, body in enumerate(plays.bodies(start), start):
                partition = int(plays.users[number]) % PARTITIONS
                rows[partition].append(record(positions[partition], seconds[number], body))
                positions[partition] += 1
            for partition, records in enumerate(rows):
                moment = datetime.fromtimestamp(seconds[start], UTC)
                path = names.path("bench", MUSIC_EVENTS, str(partition), moment)
                await container.upload_blob(path, capture_file(records, block_bytes=64 * 1024))


def _rebuild(cloud: LocalCloud, plays: Plays) -> tuple[float, float]:
    """Seconds by the clock, and CPU seconds, of the command, which says itself how far it is."""
    until = datetime.fromtimestamp(plays.start_s + SPAN_S, UTC).isoformat()
    before, began_s = _children_s(), time.monotonic()
    command = (sys.executable, "-m", "songline", "rebuild", CHARTS, "--until", until)
    limit_s = START_S + len(plays) * AN_EVENT_S
    subprocess.run(command, env=dict(cloud.environment), check=True, stdout=subprocess.DEVNULL, timeout=limit_s)
    return time.monotonic() - began_s, _children_s() - before


def _say(line: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {line}", flush=True)


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


async def _check(cloud: LocalCloud, plays: Plays) -> None:
    """Compare the best songs of a day, in an hour of which a listener moves a song once."""
    async with cosmos.client(cloud.settings().cosmos) as account:
        container = cosmos.container(account, DATABASE, container_of(CHARTS, 2))
        item = await container.read_item(CURRENT, "top:7d:global")
        chart = msgspec.convert(dict(item), Chart)
    assert [(entry.song_id, entry.listens) for entry in chart.entries] == plays.best()
