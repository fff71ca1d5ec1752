"""Late events of hours that were over long ago, by the hours' indexes and without them.

`python -m bench.late_events --hours 40 --actions 1000000 --events 1000` prints the figures and keeps nothing.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import click
import numpy as np
from azure.core.pipeline.transport import AioHttpTransport
from azure.storage.blob import BlobBlock
from msgspec import Struct, structs

from bench import report
from bench.machine import rss_bytes
from bench.measurement import Measurement
from bench.trending_memory import memory_bytes
from songline.cloud import blobs
from songline.cloud.settings import read_blobs
from songline.processors.trending.action_hashes import UserHashes
from songline.processors.trending.cells import late_hours
from songline.processors.trending.cells.action_codes import code
from songline.processors.trending.cells.chunks import CHUNK_ROWS, Actions, encode_chunk, encode_mark
from songline.processors.trending.cells.hour_marks import mark_key
from songline.processors.trending.cells.hour_store import BLOCK_BYTES, HourStore
from songline.processors.trending.cells.identity_key import IdentityKey
from songline.processors.trending.cells.loaded_actions import ROW_BYTES
from songline.processors.trending.cells.sealed_blocks import pack_block
from songline.processors.trending.cells.sealed_hours import SealedHours, blob_name
from songline.processors.trending.cells.source_partition import SourcePartition
from songline.processors.trending.cells.validation import broken_cells
from songline.processors.trending.faust.batch import Batch
from songline.processors.trending.faust.changelog import Changelog
from songline.processors.trending.song_index import REGION_BITS, RegionIndex, SongIndex
from songline.processors.trending.spans import HOUR_MS
from songline.schemas.channels import TRENDING_BLOBS
from songline.schemas.envelope import Event, encode
from songline.schemas.events import SongPlayed
from songline.schemas.moments import moment_at
from tests.support.localcloud import LocalCloud

REGION = (
    "Hours of one partition in Blob Storage, all with the same actions: songs by Zipf's law, eight regions. Late "
    "events of other listeners, spread over them. Inside: from the events, which are read, to the flush that has their "
    "counts, in a process of its own. Outside: connecting, and filling the hours. The counts of both ways are compared."
)
KEY = IdentityKey(b"a key for bench!")
SONGS, ZIPF, REGIONS = 50_000, 1.1, 8
NOW_MS = 500_000 * HOUR_MS + 1_800_000
FIRST = NOW_MS // HOUR_MS - 2
"""The last one of the hours."""


class LateEvents(NamedTuple):
    """A partition with late events that are not flushed, and its songs."""

    source: SourcePartition
    songs: SongIndex


class Way(Struct, frozen=True):
    """What one way has cost, and the counts that it has found."""

    wall_s: float
    cpu_s: float
    resident_bytes: int
    peak_bytes: int
    requests: int
    counts: list[tuple[str, int, int]]


FIGURES: list[tuple[str, str, Callable[[Way], float]]] = [
    ("wall", "s", lambda one: one.wall_s),
    ("CPU", "s", lambda one: one.cpu_s),
    ("requests", "", lambda one: one.requests),
    ("resident", "MB", lambda one: one.resident_bytes / 1e6),
    ("at the peak", "MB", lambda one: one.peak_bytes / 1e6),
]


def measure(quick: bool, hours: int = 40, actions: int = 1_000_000, events: int = 1_000) -> list[Measurement]:
    if quick:
        hours, actions, events = 3, 100_000, 30
    with tempfile.TemporaryDirectory() as name:
        cloud = LocalCloud(Path(name), ["--blobs"]).start()
        try:
            saved = asyncio.run(fill(cloud.environment, hours, actions))
            arguments = cloud.environment, saved, hours, events
            with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as process:
                whole = process.submit(run, load, *arguments, is_indexed=False).result()
                made = process.submit(run, index, *arguments, is_indexed=True).result()
                part = process.submit(run, load, *arguments, is_indexed=True).result()
        finally:
            cloud.stop()
    if whole.counts != part.counts or not whole.counts:
        raise SystemExit("the counts of both ways differ")
    world = f"{events:,} late events, {hours} hours of {actions:,} actions"
    return [
        *_rows(f"{world}, by indexes", part, whole),
        *_rows(f"{hours} indexes made", made, None),
    ]


def _rows(what: str, way: Way, peer: Way | None) -> Iterator[Measurement]:
    for name, unit, figure in FIGURES:
        found = Measurement(row=0, what=f"{what}: {name}", figure=figure(way), unit=unit)
        if peer is not None:
            ratio = figure(way) / figure(peer)
            found = structs.replace(found, ratio=ratio, peer="that of whole hours", peer_figure=figure(peer))
        yield found


def run(way: Any, environment: Mapping[str, str], saved: dict[bytes, bytes], *sizes: int, is_indexed: bool) -> Way:
    if not is_indexed:
        late_hours.INDEXED_BYTES = 1 << 62
    return asyncio.run(measured(way, environment, saved, *sizes))


async def measured(way: Any, environment: Mapping[str, str], saved: dict[bytes, bytes], hours: int, events: int) -> Way:
    requests = count()
    send = AioHttpTransport.send

    async def counted(*arguments: Any, **options: Any) -> Any:
        next(requests)
        return await send(*arguments, **options)

    AioHttpTransport.send = counted
    async with blobs.client(read_blobs(environment)) as service:
        sealed = SealedHours(service.get_container_client(TRENDING_BLOBS))
        nowhere: Any = None
        changelog = Changelog("cells", SimpleNamespace(data=saved), nowhere, broken_cells)
        store = HourStore(changelog, sealed, KEY, nowhere)
        late = listened(hours, events)
        forget_peak()
        resident, cpu_s, wall_s = rss_bytes(os.getpid()), time.process_time(), time.perf_counter()
        counts = await way(store, late, hours)
        return Way(
            time.perf_counter() - wall_s,
            time.process_time() - cpu_s,
            rss_bytes(os.getpid()) - resident,
            memory_bytes(os.getpid(), "VmHWM") - resident,
            next(requests),
            counts,
        )


def forget_peak() -> None:
    """Have VmHWM be the peak from here on. Source: proc(5), /proc/pid/clear_refs."""
    Path("/proc/self/clear_refs").write_text("5")


async def load(store: HourStore, late: LateEvents, _: int) -> list[tuple[str, int, int]]:
    """Load what late events need, and flush them."""
    source = late.source
    while source.cells.missing():
        await store.load_missing({0: source.cells}, NOW_MS)
        await asyncio.gather(*(one.task for one in store._loads.values()))
    hours = source.take_changes(NOW_MS).hours
    names = [late.songs.names[pair >> REGION_BITS] for pair in hours.pair.tolist()]
    return sorted(zip(names, hours.bucket.tolist(), hours.counts[:, 0].tolist(), strict=True))


async def index(store: HourStore, _: LateEvents, hours: int) -> list[tuple[str, int, int]]:
    """Make all indexes, one by one as a worker does."""
    for _turn in range(hours):
        await store.index(0, NOW_MS)
    return []


def listened(hours: int, events: int) -> LateEvents:
    songs = SongIndex(1)
    source = SourcePartition(0, "bench", 1, songs, RegionIndex(), UserHashes(), KEY, -1)
    random = np.random.default_rng(2)
    bodies = []
    for user, (song, hour) in enumerate(zip(drawn(random, events), random.integers(0, hours, events), strict=True)):
        data = SongPlayed(
            user_id=f"late-{user}", song_id=f"song-{song}", played_ms=184_000, duration_ms=201_000, region="AA"
        )
        at = moment_at((FIRST - int(hour)) * HOUR_MS)
        bodies.append(encode(Event(id=f"late-{user}", source="/bench", time=at, data=data)))
    source.apply(Batch(0, events, range(events), [NOW_MS] * events, bodies))
    return LateEvents(source, songs)


def drawn(random: np.random.Generator, events: int) -> list[int]:
    weights = np.cumsum(1 / np.arange(1, SONGS + 1) ** ZIPF)
    found: list[int] = np.searchsorted(weights / weights[-1], random.random(events)).tolist()
    return found


async def fill(environment: Mapping[str, str], hours: int, actions: int) -> dict[bytes, bytes]:
    """Fill the hours; return what the changelog says of them."""
    blocks = list(sealed_blocks(actions))
    async with blobs.client(read_blobs(environment)) as service:
        container = service.get_container_client(TRENDING_BLOBS)
        await container.create_container()
        for hour in range(FIRST - hours + 1, FIRST + 1):
            blob = container.get_blob_client(blob_name(0, hour))
            ids = [f"{number:032}" for number in range(len(blocks))]
            for id_, block in zip(ids, blocks, strict=True):
                await blob.stage_block(id_, block)
            await blob.commit_block_list([BlobBlock(id_) for id_ in ids])
    mark = encode_mark(sum(map(len, blocks)))
    return {mark_key(0, hour).encode(): mark for hour in range(FIRST - hours + 1, FIRST + 1)}


def sealed_blocks(actions: int) -> Iterator[bytes]:
    """An hour as a worker seals it: a megabyte of it at a time, sorted by song."""
    random, songs = np.random.default_rng(1), SongIndex()
    rows = BLOCK_BYTES // ROW_BYTES
    for begin in range(0, actions, rows):
        size = min(rows, actions - begin)
        numbers = songs.numbers([f"song-{song}" for song in drawn(random, size)])
        columns = [random.integers(low, high, size) for low, high in ((1, 1 + REGIONS), (0, 60), (0, 1))]
        codes = np.sort(code(numbers, *columns))
        identities = random.integers(0, 2**64, (size, 2), np.uint64, endpoint=False)
        yield pack_block(
            encode_chunk(Actions(identities[at : at + CHUNK_ROWS], codes[at : at + CHUNK_ROWS]), songs, KEY)
            for at in range(0, size, CHUNK_ROWS)
        )


@click.command()
@click.option("--hours", default=40)
@click.option("--actions", default=1_000_000)
@click.option("--events", default=1_000)
def main(hours: int, actions: int, events: int) -> None:
    """Print the figures, and keep nothing."""
    for one in measure(False, hours, actions, events):
        print(report.line(one), flush=True)


if __name__ == "__main__":
    main()
