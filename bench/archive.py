"""Reading an archive beside bare fastavro, a listener's events over its index, and libraries as of a moment."""

import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import fastavro
from azure.storage.blob.aio import ContainerClient

from bench.measurement import Measurement
from bench.past_libraries import LOOKUPS, past_libraries
from bench.plays import LISTENERS, Plays
from songline.cloud import blobs
from songline.cloud.settings import read_blobs
from songline.processors.history.archive.blob_files import BlobFiles
from songline.processors.history.archive.history import HubHistory
from songline.processors.history.archive.name_format import NameFormat
from songline.processors.history.index.archive_index import ArchiveIndex, is_of_listener
from songline.processors.history.index.index_blobs import IndexBlobs
from songline.schemas.channels import ARCHIVE_BLOBS, ARCHIVE_INDEX_BLOBS, MUSIC_EVENTS
from songline.schemas.decoding import Decoder
from songline.schemas.envelope import ReceivedEnvelope
from tests.support.capture_files import capture_file, record
from tests.support.localcloud import LocalCloud

REGION = (
    "Plays in files of 100,000 events, codec null, blocks of 64 KB. Inside, by CPU of the process: from the first list "
    "of files to the last decoded body, downloads included. Outside: writing the files. A lookup is by a client that "
    "knows nothing yet: it lists the files, reads the index, then the events. A library is one of a moment in the "
    "middle: the command is a process, which asks the API twice, and the API has a process fold the answer."
)
EVENTS, QUICK_EVENTS = 2_000_000, 100_000
PARTITIONS = 4
FILE_EVENTS = 100_000
SONGS = 20_000
EVENTS_A_SECOND = 2_000
"""Of each partition."""

_decode = Decoder(ReceivedEnvelope).raw


def measure(quick: bool) -> list[Measurement]:
    """Events a second of a core, both ways; seconds of a listener's events."""
    with tempfile.TemporaryDirectory() as name:
        cloud = LocalCloud(Path(name) / "cloud", ["--blobs"]).start()
        try:
            events = QUICK_EVENTS if quick else EVENTS
            plays = Plays.drawn(events, SONGS, PARTITIONS, datetime.now(UTC))
            found = asyncio.run(_measure(cloud, Path(name), plays))
            middle = plays.start_s + events // PARTITIONS // EVENTS_A_SECOND // 2
            return found + past_libraries(cloud, Path(name), events, middle)
        finally:
            cloud.stop()


async def _measure(cloud: LocalCloud, folder: Path, plays: Plays) -> list[Measurement]:
    events = len(plays)
    async with _containers(cloud) as (archive, index_container):
        paths = [path async for path in _written(archive, folder, plays)]
        bare = _bare(paths, events)
        files = BlobFiles(archive, NameFormat.default(MUSIC_EVENTS))
        ours = await _ours(files, events)
        cold, warm = await _lookups(files, index_container)
    return [
        Measurement(
            row=14,
            what="archive reading, per core",
            figure=ours,
            unit="events/s",
            wanted=">= 0.5",
            ratio=ours / bare,
            peer="bare fastavro from a local file: read, decode the body, do nothing",
            peer_figure=bare,
        ),
        Measurement(row=0, what=f"making the index of {events:,} events", figure=cold, unit="s"),
        Measurement(
            row=14, what=f"a listener's events of {events:,}, index warm", figure=warm, unit="s", wanted="<= 3"
        ),
    ]


@asynccontextmanager
async def _containers(cloud: LocalCloud) -> AsyncIterator[tuple[ContainerClient, ContainerClient]]:
    async with blobs.client(read_blobs(cloud.environment)) as account:
        await blobs.ensure(account, (ARCHIVE_BLOBS, ARCHIVE_INDEX_BLOBS))
        yield account.get_container_client(ARCHIVE_BLOBS), account.get_container_client(ARCHIVE_INDEX_BLOBS)


async def _written(archive: ContainerClient, folder: Path, plays: Plays) -> AsyncIterator[Path]:
    """Write the plays as Capture's files, into the container and the folder; the paths in the folder."""
    names = NameFormat.default(MUSIC_EVENTS)
    waiting: list[list[bytes]] = [[] for _ in range(PARTITIONS)]
    firsts = [0] * PARTITIONS
    starts = range(0, len(plays), 100_000)
    for start in starts:
        for number, body in enumerate(plays.bodies(start), start):
            waiting[plays.users[number] % PARTITIONS].append(body)
        for partition, bodies in enumerate(waiting):
            while len(bodies) >= FILE_EVENTS or (bodies and start == starts[-1]):
                first, some = firsts[partition], bodies[:FILE_EVENTS]
                made = capture_file(_records(first, some, plays.start_s), block_bytes=64 * 1024)
                moment = datetime.fromtimestamp(plays.start_s + first, UTC)
                path = folder / f"{partition}-{first}.avro"
                path.write_bytes(made)
                await archive.upload_blob(names.path("bench", MUSIC_EVENTS, str(partition), moment), made)
                yield path
                firsts[partition] += len(some)
                del bodies[: len(some)]


def _records(first: int, bodies: list[bytes], start_s: int) -> Iterable[dict[str, object]]:
    return (record(first + at, start_s + (first + at) // EVENTS_A_SECOND, body) for at, body in enumerate(bodies))


def _bare(paths: list[Path], events: int) -> float:
    start_s, count = time.process_time(), 0
    for path in paths:
        with path.open("rb") as file:
            for found in fastavro.reader(file):
                assert isinstance(found, dict)
                _decode(found["Body"])
                count += 1
    assert count == events, (count, events)
    return events / (time.process_time() - start_s)


async def _ours(files: BlobFiles, events: int) -> float:
    start_s, count = time.process_time(), 0
    history = HubHistory(files)
    for partition in await history.partitions():
        async for batch in history.read(partition):
            for body in batch.bodies:
                _decode(body)
            count += len(batch.bodies)
    assert count == events, (count, events)
    return events / (time.process_time() - start_s)


async def _lookups(files: BlobFiles, container: ContainerClient) -> tuple[float, float]:
    """Seconds of making the index, and of a lookup then, each by a process that knows nothing (the median)."""
    start_s = time.perf_counter()
    await ArchiveIndex(HubHistory(files), IndexBlobs(container)).listener_history("nobody")
    cold = time.perf_counter() - start_s
    times = []
    for number in range(LOOKUPS):
        user_id = f"user-{number * (LISTENERS // LOOKUPS)}"
        start_s = time.perf_counter()
        found = (await ArchiveIndex(HubHistory(files), IndexBlobs(container)).listener_history(user_id)).events
        times.append(time.perf_counter() - start_s)
        assert found
        assert all(is_of_listener(event.body, user_id) for event in found)
    return cold, statistics.median(times)
