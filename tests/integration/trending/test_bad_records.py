"""Every kind of bad record among counted neighbours, in each hub that the worker reads or recovers from."""

import gzip
import zlib
from collections import Counter
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.record._crecords import default_records
from azure.cosmos.aio import ContainerProxy

from songline.audit import chart_reference as reference
from songline.cloud import cosmos
from songline.cloud.kafka import client_options
from songline.cloud.settings import CloudSettings
from songline.processors.trending.cells.wire import CountSection, Partial, SongFact
from songline.processors.trending.shards.wire import ReportPart, SongLabel, TopK
from songline.processors.trending.watermark import ShardWatermark
from songline.schemas.channels import (
    CHARTS,
    DATABASE,
    MUSIC_EVENTS,
    TRENDING_CELLS_CHANGELOG,
    TRENDING_PARTIALS,
    TRENDING_SHARDS_CHANGELOG,
    TRENDING_TOPS,
)
from songline.schemas.envelope import decode
from songline.schemas.errors import PoisonError
from tests.integration.trending.test_other_hub import ready
from tests.integration.trending.test_worker import play
from tests.support.bad_bytes import BAD_RECORDS, NULL_RECORD
from tests.support.localcloud import LocalCloud
from tests.support.waiting import wait_for_async
from tests.support.worker import TrendingWorker, make_containers, one_chart, parked_records, read_hub

WORLD = "top:1h:global"
NOTHING = CountSection([], b"", b"", b"", b"")
ROW = (b"\0" * 4, b"\0" * 2, b"\0" * 4, b"\0" * 12)
JUNK: list[bytes | None] = [None, b"", b"\xff\xfe", b"\xc1", b"x" * 900_000, b"\x93\x01\x02\x03", b"[" * 5_000]
"""What is no message of any stage. 0xc1 is never used in MessagePack."""

PARTIALS = [
    Partial(-1, 5, None, NOTHING, NOTHING, []),
    Partial(2_048, 5, None, NOTHING, NOTHING, []),
    Partial(0, 2**64 - 1, None, NOTHING, NOTHING, []),
    Partial(0, 5, 2**62, NOTHING, NOTHING, []),
    Partial(0, 5, None, CountSection(["song-1"], ROW[0], ROW[1], ROW[2], b"\0" * 8), NOTHING, []),
    Partial(0, 5, None, CountSection(["song-1"], b"\7\0\0\0", *ROW[1:]), NOTHING, []),
    Partial(0, 5, None, NOTHING, CountSection(["song-1"], ROW[0], ROW[1], b"\xff\xff\xff\x7f", ROW[3]), []),
    Partial(0, 5, None, CountSection(["a b"], *ROW), NOTHING, []),
    Partial(0, 5, None, NOTHING, NOTHING, [SongFact("song-1", 2**63, 0, False, "x" * 301)]),
]
FRAMES = [
    ReportPart(-1, True, True, [], {}, ShardWatermark(0, {}, {})),
    ReportPart(99, True, True, [], {}, ShardWatermark(0, {}, {})),
    ReportPart(0, True, True, [], {}, ShardWatermark(2**62, {}, {})),
    ReportPart(0, True, True, [], {WORLD: TopK(["song-9"], [1], [0], [1])}, ShardWatermark(0, {}, {})),
    ReportPart(0, True, False, [SongLabel("song-1", "x" * 500_000, None, None)], {}, None),
    ReportPart(0, True, False, [], {WORLD: TopK(["song-1", "song-2"], [1], [0], [1])}, None),
    ReportPart(0, True, False, [], {"best:1h:world": TopK([], [], [], [])}, None),
]
CELLS = [
    (b"\xff\xfe", b"x"),
    (b"0/5/a", b"x"),
    (b"1/5/a/0", b"\x90"),
    (b"0/5/a/0", b"\xff"),
    (b"0/6/a/0", b"\x91\x93\xa1x\xc4\x00\xc4\x00"),
]
SHARDS = [
    (b"\xff\xfe", b"x"),
    (b"0/a/head", b"\xff"),
    (b"1/a/head", b"\x92\x80\x80"),
    (b"0/a/minute/5/0/0", b"\x90"),
    (b"0/a/other", b"x"),
    (b"0/a/waiting/0", b"\x91\x92\xa0\xff"),
]


@patch.object(default_records, "gzip_decode", lambda data: zlib.decompress(data, wbits=31))
async def test_bad_records_are_parked_once_and_their_neighbours_count(localcloud: LocalCloud, tmp_path: Path) -> None:
    settings = localcloud.settings()
    await make_containers(settings)
    now, bad = datetime.now(UTC), [*BAD_RECORDS.values(), NULL_RECORD]
    producer = AIOKafkaProducer(**client_options(settings.eventhubs), max_request_size=1_000_000)
    zipped = AIOKafkaProducer(**client_options(settings.eventhubs), compression_type="gzip")
    await producer.start()
    await zipped.start()
    try:
        for number, body in enumerate(bad):
            odd = number % 2 or body is None
            key, headers = (b"\xff\xfe", [("trace", b"\xff")]) if odd else (None, None)
            await producer.send(MUSIC_EVENTS, body, key, partition=number % 4, headers=headers)
            await producer.send(MUSIC_EVENTS, play(number, now), partition=number % 4)
        # What stands behind the end of a gzip stream is nothing.
        with patch.object(default_records, "gzip_encode", lambda data: gzip.compress(data) + b"no gzip"):
            for number in range(10):
                await zipped.send_and_wait(MUSIC_EVENTS, play(1_000 + number, now, "song-zip"), partition=3)
        await producer.flush()
        await zipped.flush()
        expected = Counter({MUSIC_EVENTS: len(bad)})
        expected += await put(producer, TRENDING_PARTIALS, [*JUNK, *map(msgspec.msgpack.encode, PARTIALS)])
        expected += await put(producer, TRENDING_TOPS, [*JUNK, *map(msgspec.msgpack.encode, FRAMES)])
        for hub, records in ((TRENDING_CELLS_CHANGELOG, CELLS), (TRENDING_SHARDS_CHANGELOG, SHARDS)):
            for key, value in records:
                await producer.send_and_wait(hub, value, key, partition=0)
            expected[hub] = len(records)
        worker = TrendingWorker(localcloud, tmp_path / "worker.log").start()
        try:
            async with cosmos.client(settings.cosmos) as client:
                container = cosmos.container(client, DATABASE, CHARTS)
                await wait_for_async(partial(right, settings, container), "a chart with all neighbours")
                worker.kill()
                for number in range(5):
                    await producer.send_and_wait(MUSIC_EVENTS, b"\xff bad again", partition=number % 4)
                    await producer.send_and_wait(MUSIC_EVENTS, play(2_000 + number, now), partition=number % 4)
                expected[MUSIC_EVENTS] += 5
                worker.start()
                await wait_for_async(partial(right, settings, container), "a chart with what came meanwhile")
                await wait_for_async(partial(parked, settings, expected), f"parked records {expected}", 120)
                await wait_for_async(partial(ready, worker), "the worker to be ready", 120)
        finally:
            worker.kill()
    finally:
        await producer.stop()
        await zipped.stop()
    found = await parked_records(settings)
    assert all(one.readers.keys() == {"trending"} for one in found)
    assert Counter(one.hub for one in found) == expected


async def put(producer: Any, hub: str, bodies: list[bytes | None]) -> Counter[str]:
    for body in bodies:
        await producer.send_and_wait(hub, body, b"\xff\xfe", partition=0)
    return Counter({hub: len(bodies)})


async def right(settings: CloudSettings, container: ContainerProxy) -> bool:
    """Whether the global chart is what the reference makes of all that can be understood, up to the ends of the hub."""
    log, ends = [], dict[str, int]()
    for partition, offset, body in await read_hub(settings):
        ends[str(partition)] = max(offset, ends.get(str(partition), -1))
        try:
            log.append((partition, offset, decode(body or b"")))
        except PoisonError:
            continue
    chart = await one_chart(container, WORLD)
    if chart is None or chart.position != ends:
        return False
    lines = reference.charts(log, chart.as_of)[WORLD]
    assert [(one.song_id, one.listens) for one in chart.entries] == [(line.song_id, line.listens) for line in lines]
    return True


async def parked(settings: CloudSettings, expected: Counter[str]) -> bool:
    return Counter(one.hub for one in await parked_records(settings)) == expected
