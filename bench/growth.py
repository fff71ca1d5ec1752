"""The library worker by the number of events, songs and partitions, what is stored of an action, and its start-up."""

import asyncio
import json
import signal
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct

from bench.acts import fill, plays, publish_at
from bench.contestants import RunningWorker, Today
from bench.machine import rss_bytes
from bench.measurement import Measurement
from songline.cloud import cosmos
from songline.cloud.settings import read_cosmos
from songline.processes import emulator_files
from songline.schemas.channels import DATABASE, LIBRARY_SHELVES, MUSIC_EVENTS
from songline.schemas.envelope import Event
from tests.support.localcloud import LocalCloud

REGION = (
    "CPU: of the worker, from the moment at which it says for the first time how far it is until all is applied; its "
    "start is outside, localcloud's CPU too. Every event is a listen of one of 20,000 listeners. Bytes: all documents "
    "of the container as JSON, by action and by song in a library. Start-up: SIGKILL, an event that is published "
    "behind it, and the time from the start of the next process until that event is applied."
)

LISTENERS = 20_000


class Size(Struct, frozen=True):
    events: int
    songs: int = 50_000
    partitions: int = 4

    @property
    def words(self) -> str:
        return f"{self.events:,} events, {self.songs:,} songs, {self.partitions} partitions"


class Grown(Struct):
    """What a worker took for a log of a size."""

    cpu_us: float
    ru: float
    bytes_an_action: float
    bytes_a_song: float
    rss_mib: float
    start_s: float


def measure(quick: bool) -> list[Measurement]:
    base = Size(3_000 if quick else 300_000)
    few, many = (1_500, 6_000) if quick else (100_000, 1_000_000)
    sizes = [Size(few), Size(many), *(Size(base.events, songs) for songs in (1_000, 1_000_000))]
    sizes += [Size(base.events, partitions=partitions) for partitions in (1, 32)]
    if quick:
        sizes = [sizes[0], sizes[-1]]
    peer = run(base)
    found = _rows(base, peer, None, base)
    grown = {size: run(size) for size in sizes}
    for size, one in grown.items():
        found += _rows(size, one, peer, base)
    return found


def run(size: Size) -> Grown:
    """A worker over a full log of this size, then killed and started again."""
    users = np.random.default_rng(3).integers(0, LISTENERS, size.events)
    log = plays(size.events, users, size.songs)
    with tempfile.TemporaryDirectory() as name:
        folder, today = Path(name), Today()
        hubs = _hubs(folder, size.partitions)
        cloud = LocalCloud(folder / "cloud", ["--blobs", "--config", str(hubs)]).start()
        try:
            today.prepare(cloud)
            fill(cloud.settings(), log, size.partitions)
            with RunningWorker(today, cloud, folder) as worker:
                first = asyncio.run(worker.wait_until_applied(1))
                begun = worker.cpu_s()
                asyncio.run(worker.wait_until_applied(size.events))
                cpu_us = (worker.cpu_s() - begun) / max(1, size.events - first) * 1e6
                tally, rss = worker.tally, rss_bytes(worker.pid)
                worker.end(signal.SIGKILL)
            stored = asyncio.run(_stored_bytes(cloud))
            start_s = _restart(today, cloud, folder, size)
            today.check(cloud)
        finally:
            cloud.stop()
    songs = len({(event.data.user_id, event.data.song_id) for event in log})
    return Grown(cpu_us, tally.charge / size.events, stored / size.events, stored / songs, rss / 2**20, start_s)


def _restart(today: Today, cloud: LocalCloud, folder: Path, size: Size) -> float:
    """Seconds from the start of a worker, behind one that was killed, until a new event is applied."""
    new: Sequence[Event] = plays(1, np.array([LISTENERS]), size.songs, seed=99)
    asyncio.run(publish_at(cloud.settings(), 1, new))
    begun = time.monotonic()
    with RunningWorker(today, cloud, folder, "again") as worker:
        asyncio.run(worker.wait_until_applied(size.events + 1))
        return time.monotonic() - begun


async def _stored_bytes(cloud: LocalCloud) -> int:
    async with cosmos.client(read_cosmos(cloud.environment)) as client:
        container = cosmos.container(client, DATABASE, LIBRARY_SHELVES)
        query = container.query_items("SELECT * FROM c", max_item_count=100)
        return sum([len(msgspec.json.encode(item)) async for item in query])


def _hubs(folder: Path, partitions: int) -> Path:
    """The product's hubs, `music-events` with so many partitions."""
    config = json.loads(emulator_files.files("eventhubs")[0].read_text())
    for entity in config["UserConfig"]["NamespaceConfig"][0]["Entities"]:
        if entity["Name"] == MUSIC_EVENTS:
            entity["PartitionCount"] = partitions
    path = folder / "hubs.json"
    path.write_text(json.dumps(config))
    return path


def _rows(size: Size, one: Grown, peer: Grown | None, base: Size) -> list[Measurement]:
    beside = base.words if peer else ""
    return [
        Measurement(
            row=11, what=f"{size.words}: CPU", figure=one.cpu_us, unit="µs an event", wanted="<= 1.2" if peer else "",
            ratio=one.cpu_us / peer.cpu_us if peer else None, peer=beside, peer_figure=peer.cpu_us if peer else None,
        ),
        Measurement(
            row=11, what=f"{size.words}: charges", figure=one.ru, unit="RU an act",
            ratio=one.ru / peer.ru if peer else None, peer=beside, peer_figure=peer.ru if peer else None,
        ),
        Measurement(row=11, what=f"{size.words}: stored", figure=one.bytes_an_action, unit="bytes an action"),
        Measurement(row=11, what=f"{size.words}: stored", figure=one.bytes_a_song, unit="bytes a song in a library"),
        Measurement(row=11, what=f"{size.words}: the worker's memory", figure=one.rss_mib, unit="MiB"),
        Measurement(
            row=11, what=f"{size.words}: start-up after SIGKILL", figure=one.start_s, unit="s",
            wanted="<= 1.5" if peer else "", ratio=one.start_s / peer.start_s if peer else None, peer=beside,
            peer_figure=peer.start_s if peer else None,
        ),
    ]  # fmt: skip
