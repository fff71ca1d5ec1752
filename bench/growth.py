"""The library worker by the number of events, songs and partitions, what is stored of an action, and its start-up.

The largest world takes most of the time, and comes last; each is printed when it is measured. Without it, and keeping
nothing:

    python -m bench.growth --largest 1000000
"""

import asyncio
import json
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import msgspec
import numpy as np
from msgspec import Struct

from bench import report
from bench.acts import Listens, fill, publish_at
from bench.contestants import RunningWorker, Today
from bench.machine import rss_bytes
from bench.measurement import Measurement
from songline.cloud import cosmos
from songline.cloud.settings import read_cosmos
from songline.processes import emulator_files
from songline.schemas.channels import DATABASE, LIBRARY_SHELVES, MUSIC_EVENTS
from songline.schemas.library.action_run import decode_run
from tests.support.localcloud import LocalCloud

REGION = (
    "CPU: of the worker, from the moment at which it says for the first time how far it is until all is applied; its "
    "start is outside, localcloud's CPU too. Every event is a listen of one of 20,000 listeners. Bytes: all documents "
    "of the container as JSON, by action and by song in a library; the listens in them are counted by listener, and of "
    "every hundredth listener by song, and compared with what was sent. Start-up: SIGKILL, an event that is published "
    "behind it, and the time from the start of the next process until that event is applied."
)

LISTENERS = 20_000
CHECKED_EVERY = 100
"""Of every hundredth listener each song's plays are compared with what was sent, of the others their number."""


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


def measure(quick: bool, largest: int = 10_000_000) -> list[Measurement]:
    base = Size(3_000 if quick else 300_000)
    peer = run(base)
    found = report.shown(_rows(base, peer, None, base))
    for size in _others(base, quick, largest):
        found += report.shown(_rows(size, run(size), peer, base))
    return found


def _others(base: Size, quick: bool, largest: int) -> list[Size]:
    """What is compared with `base`: fewer and more events, songs, and partitions."""
    if quick:
        return [Size(base.events // 2), Size(base.events, partitions=32)]
    songs = [Size(base.events, songs) for songs in (1_000, 1_000_000)]
    partitions = [Size(base.events, partitions=partitions) for partitions in (1, 32)]
    events = [Size(events) for events in (100_000, 1_000_000, 10_000_000) if events <= largest]
    return [*songs, *partitions, *events]


def run(size: Size) -> Grown:
    """A worker over a full log of this size, then killed and started again."""
    log = Listens.drawn(np.random.default_rng(3).integers(0, LISTENERS, size.events), size.songs)
    with tempfile.TemporaryDirectory() as name:
        folder, today = Path(name), Today()
        hubs = _hubs(folder, size.partitions)
        cloud = LocalCloud(folder / "cloud", ["--blobs", "--config", str(hubs)]).start()
        try:
            today.prepare(cloud)
            fill(cloud.settings(), log.events(), size.partitions)
            with RunningWorker(today, cloud, folder) as worker:
                ran = asyncio.run(worker.run_through(size.events))
                cpu_us = ran.cpu_s / ran.events * 1e6
                tally, rss = worker.tally, rss_bytes(worker.pid)
                worker.end(signal.SIGKILL)
            start_s = _restart(today, cloud, folder, size)
            stored = asyncio.run(_read_stored(cloud))
        finally:
            cloud.stop()
    stored.assert_are(log)
    songs = len(np.unique(log.users * size.songs + log.songs))
    ru, size_bytes = tally.charge / size.events, stored.size_bytes
    return Grown(cpu_us, ru, size_bytes / size.events, size_bytes / songs, rss / 2**20, start_s)


def _restart(today: Today, cloud: LocalCloud, folder: Path, size: Size) -> float:
    """Seconds from the start of a worker, behind one that was killed, until a new event is applied."""
    new = list(Listens.drawn(np.array([LISTENERS]), size.songs, seed=99).events())
    asyncio.run(publish_at(cloud.settings(), 1, new))
    begun = time.monotonic()
    with RunningWorker(today, cloud, folder, "again") as worker:
        asyncio.run(worker.wait_until_applied(size.events + 1))
        return time.monotonic() - begun


class StoredListens(Struct):
    """What documents of shelves hold: their bytes, listens by listener, and by song of every hundredth listener."""

    size_bytes: int
    by_user: Counter[str]
    by_song: Counter[tuple[str, str]]

    def add(self, document: Mapping[str, Any]) -> None:
        self.size_bytes += len(msgspec.json.encode(document))
        for run in document.get("runs", ()):
            for action in decode_run(run):
                self.by_user[action.user_id] += 1
                if _is_checked(action.user_id):
                    self.by_song[action.user_id, action.song_id] += 1

    def assert_are(self, log: Listens) -> None:
        """Raise AssertionError if these are not the listens of `log`, and the one behind it."""
        counts = np.bincount(log.users, minlength=LISTENERS + 1)
        counts[LISTENERS] += 1
        wanted = {f"user-{user}": int(count) for user, count in enumerate(counts) if count}
        wrong = [user for user in wanted.keys() | self.by_user.keys() if wanted.get(user) != self.by_user.get(user)]
        assert not wrong, (len(wrong), len(wanted), wrong[:3])
        for user in range(0, LISTENERS, CHECKED_EVERY):
            name = f"user-{user}"
            songs = Counter(f"song-{song}" for song in log.songs[log.users == user].tolist())
            assert songs == {song: count for (of, song), count in self.by_song.items() if of == name}, name


def _is_checked(user_id: str) -> bool:
    return int(user_id.removeprefix("user-")) in range(0, LISTENERS, CHECKED_EVERY)


async def _read_stored(cloud: LocalCloud) -> StoredListens:
    """Read document after document, since they would not all fit into memory."""
    found = StoredListens(0, Counter(), Counter())
    async with cosmos.client(read_cosmos(cloud.environment)) as client:
        container = cosmos.container(client, DATABASE, LIBRARY_SHELVES)
        async for item in container.query_items("SELECT * FROM c", max_item_count=20):
            found.add(item)
    return found


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


@click.command()
@click.option("--largest", default=10_000_000, show_default=True, help="The most events of a world.")
def main(largest: int) -> None:
    """Measure worlds of up to so many events, print what was seen, and keep nothing."""
    measure(quick=False, largest=largest)


if __name__ == "__main__":
    main()
