"""What a trending worker that starts takes to load hours: the open one, and the small ones that late events want.

Nothing but the cells and Blob Storage take part: the hours lie in sealed blocks, as the open one does but for its last
megabyte.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Iterable
from functools import partial
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from bench.measurement import Measurement
from bench.trending_memory import memory_bytes
from songline.cloud import blobs
from songline.cloud.concurrency import gather_or_cancel
from songline.cloud.settings import read_blobs
from songline.processors.runtime.allocator import release_free_memory
from songline.processors.trending.cells.action_codes import code
from songline.processors.trending.cells.chunks import Actions, encode_chunk, encode_mark, merged_chunks
from songline.processors.trending.cells.columns import ActionColumns
from songline.processors.trending.cells.hour_marks import mark_key
from songline.processors.trending.cells.hour_store import BLOCK_BYTES, HourStore
from songline.processors.trending.cells.identity_key import IdentityKey
from songline.processors.trending.cells.partition_cells import PartitionCells
from songline.processors.trending.cells.sealed_blocks import pack_block
from songline.processors.trending.cells.sealed_hours import SealedHours
from songline.processors.trending.cells.validation import broken_cells, check_chunk
from songline.processors.trending.faust.changelog import Changelog
from songline.processors.trending.song_index import SongIndex
from songline.processors.trending.spans import HOUR_MS
from songline.schemas.channels import TRENDING_BLOBS
from tests.support.localcloud import LocalCloud
from tests.support.waiting import wait_for_async

ACTIONS = 1_000_000
QUICK_ACTIONS = 100_000
SMALL_HOURS, SMALL_ACTIONS = 40, 400
"""Hours that were sealed long ago, of each partition: what came late of them in half an hour."""
PARTITIONS = 4
SONGS, ZIPF, REGIONS = 20_000, 0.9, 30
FLUSHED = 1_250
"""Actions that a flush saves: half a second of 10,000 events/s in four partitions."""
HOUR = 490_000
MILLION = "s a million"
FLUSH_S = 0.1
"""The pause between two flushes, each of which asks for the hours that it misses."""
KEY = IdentityKey(bytes(16))
REGION = """\
CPU of this process, user and system, from the first request to Blob Storage until the cells may be used: reading and
checking blocks, the set of actions, and counts by song, region and minute; of the small hours also the waits of
flushes. Outside: Blob Storage's own. Memory is that of the process above what it had before, resident with all cells
and at its peak. Every action is folded once more afterwards, and none may count again."""


def made(partition: int, actions: int, hour: int = HOUR) -> ActionColumns:
    """Actions of a partition, the same each time, none of which is another one."""
    random = np.random.default_rng(hour * PARTITIONS + partition)
    weights = np.cumsum(1 / np.arange(1, SONGS + 1) ** ZIPF)
    songs = np.searchsorted(weights / weights[-1], random.random(actions))
    region, minute = random.integers(1, REGIONS + 1, actions), random.integers(0, 60, actions)
    kind = (random.random(actions) < 0.04).astype(np.int64)
    hashes = random.integers(0, 2**64, (actions, 2), np.uint64)
    return ActionColumns(hashes, code(songs, region, minute, kind), np.full(actions, hour), [], [])


def named_songs() -> SongIndex:
    """Songs by the numbers that they have in `made`."""
    songs = SongIndex()
    songs.numbers([f"song-{number:08}" for number in range(SONGS)])
    return songs


def sealed_blocks(actions: ActionColumns, songs: SongIndex) -> list[bytes]:
    """The blocks in which flushes of the actions are sealed."""
    identities = KEY.identities(actions.hashes)
    chunks = [
        encode_chunk(Actions(identities[start : start + FLUSHED], actions.codes[start : start + FLUSHED]), songs, KEY)
        for start in range(0, len(actions.codes), FLUSHED)
    ]
    together = -(-BLOCK_BYTES // len(chunks[0]))
    return [
        pack_block(merged_chunks((check_chunk(one, KEY.id) for one in chunks[start : start + together]), KEY))
        for start in range(0, len(chunks), together)
    ]


def forget_peak() -> None:
    """Set this process's peak to what is resident now. Source: proc(5), /proc/pid/clear_refs."""
    Path("/proc/self/clear_refs").write_text("5")


async def _are_loaded(cells: Iterable[PartitionCells]) -> bool:
    return all(one.loaded() for one in cells)


class SavedHours:
    """Sealed hours in Blob Storage, and the changelog that says so."""

    def __init__(self, hours: SealedHours) -> None:
        self._hours = hours
        self._marks: dict[bytes, bytes] = {}
        nowhere: Any = None
        changelog = Changelog("cells", SimpleNamespace(data=self._marks), nowhere, broken_cells)
        self.store, self._songs = HourStore(changelog, hours, KEY, nowhere), named_songs()

    async def save(self, number: int, hour: int, actions: int) -> None:
        """Seal an hour of a partition."""
        for block in sealed_blocks(made(number, actions, hour), self._songs):
            size_bytes = await self._hours.add_block(number, hour, block)
            self._marks[mark_key(number, hour).encode()] = encode_mark(size_bytes)

    def cells(self) -> dict[int, PartitionCells]:
        """Cells of a worker that has just started."""
        return {number: PartitionCells(self._songs, KEY, count()) for number in range(PARTITIONS)}


def check_known(cells: dict[int, PartitionCells], actions: int, hour: int = HOUR) -> None:
    """Exit with an error if one of so many actions of each partition counts again."""
    for number, one in cells.items():
        one.fold(made(number, actions, hour))
        if any(flush.chunks or len(flush.hours) for flush in one.flush(0)):
            raise SystemExit("an action counted again")


async def load_open_hour(saved: SavedHours, actions: int) -> list[tuple[str, float, str]]:
    """What it takes to load the hour by its blocks, to write the images of it, and to load it by these."""
    for number in range(PARTITIONS):
        await saved.save(number, HOUR, actions // PARTITIONS)
    cells, found = await measured_load(saved, actions, "")
    cpu_s = time.process_time()
    for number, one in cells.items():
        source: Any = SimpleNamespace(number=number, cells=one)
        await saved.store.save_images(source, asyncio.Lock(), HOUR * HOUR_MS)
    found.append(
        (f"CPU of writing its images, {actions:,} actions", (time.process_time() - cpu_s) / actions * 1e6, MILLION)
    )
    check_known(cells, actions // PARTITIONS)
    del cells
    cells, by_images = await measured_load(saved, actions, " by its images")
    check_known(cells, actions // PARTITIONS)
    # What it takes of memory is where the cells before have been.
    return found + by_images[:2]


async def measured_load(
    saved: SavedHours, actions: int, how: str
) -> tuple[dict[int, PartitionCells], list[tuple[str, float, str]]]:
    """The cells of the open hour, and what it took to load them."""
    cells = saved.cells()
    release_free_memory()
    forget_peak()
    before, cpu_s, steady_s = memory_bytes(os.getpid(), "VmRSS"), time.process_time(), time.monotonic()
    for number, one in cells.items():
        saved.store.preload(number, one, HOUR * HOUR_MS)
    await wait_for_async(partial(_are_loaded, cells.values()), "the hour to be loaded", 300)
    cpu_s, steady_s = time.process_time() - cpu_s, time.monotonic() - steady_s
    peak = memory_bytes(os.getpid(), "VmHWM") - before
    release_free_memory()
    resident = memory_bytes(os.getpid(), "VmRSS") - before
    return cells, [
        (f"CPU of loading an open hour{how}, {actions:,} actions", cpu_s / actions * 1e6, MILLION),
        (f"the same by the clock, {actions:,} actions", steady_s / actions * 1e6, MILLION),
        (f"memory of it, {actions:,} actions", resident / actions, "bytes an action"),
        (f"memory of it at its peak, {actions:,} actions", peak / actions, "bytes an action"),
    ]


async def load_small_hours(saved: SavedHours) -> list[tuple[str, float, str]]:
    first = HOUR - SMALL_HOURS
    for number in range(PARTITIONS):
        await gather_or_cancel(saved.save(number, hour, SMALL_ACTIONS) for hour in range(first, HOUR))
    cells = saved.cells()
    for number, one in cells.items():
        for hour in range(first, HOUR):
            one.fold(made(number, SMALL_ACTIONS, hour))
    cpu_s = time.process_time()
    while any(one.missing() for one in cells.values()):
        await saved.store.load_missing(cells, HOUR * HOUR_MS)
        await asyncio.sleep(FLUSH_S)
    cpu_s = time.process_time() - cpu_s
    for hour in range(first, HOUR):
        check_known(cells, SMALL_ACTIONS, hour)
    what = f"CPU of loading an hour of {SMALL_ACTIONS} actions that was sealed"
    return [(what, cpu_s / (SMALL_HOURS * PARTITIONS) * 1_000, "ms")]


async def run(cloud: LocalCloud, actions: int) -> list[Measurement]:
    async with blobs.client(read_blobs(cloud.environment)) as client:
        hours = SealedHours(client.get_container_client(TRENDING_BLOBS))
        await hours.make_container()
        saved = SavedHours(hours)
        found = [*await load_open_hour(saved, actions), *await load_small_hours(saved)]
        await saved.store.load_missing({}, 0)
    return [Measurement(row=0, what=what, figure=figure, unit=unit) for what, figure, unit in found]


def measure(quick: bool) -> list[Measurement]:
    """The figures; exits with an error when an action counts again."""
    with tempfile.TemporaryDirectory() as name:
        cloud = LocalCloud(Path(name) / "cloud", ["--blobs"]).start()
        try:
            return asyncio.run(run(cloud, QUICK_ACTIONS if quick else ACTIONS))
        finally:
            cloud.stop()
